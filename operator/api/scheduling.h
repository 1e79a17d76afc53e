#pragma once

/// Node selectors, taints and tolerations: the part of the core API that decides which nodes get
/// satellites.

#include <optional>
#include <string>
#include <vector>

#include "operator/api/field_reader.h"

namespace breakwater::api {

struct NodeSelectorRequirement {
  std::string key{};
  std::string op{};  ///< In, NotIn, Exists, DoesNotExist, Gt, Lt
  std::vector<std::string> values{};
};

struct NodeSelectorTerm {
  std::vector<NodeSelectorRequirement> match_expressions{};  ///< labels
  std::vector<NodeSelectorRequirement> match_fields{};       ///< metadata.name only
};

/// Terms are ORed, the requirements of one term are ANDed; a term without requirements matches
/// nothing.
struct NodeSelector {
  std::vector<NodeSelectorTerm> terms{};
  Json raw{};  ///< as the user wrote it, to be put into pod specs unchanged
};

struct Toleration {
  std::string key{};  ///< "" with Exists: every taint
  std::string op = "Equal";
  std::string value{};
  std::string effect{};  ///< "": every effect
};

struct Taint {
  std::string key{};
  std::string value{};
  std::string effect{};
};

std::optional<NodeSelector> ReadNodeSelector(const FieldReader& parent, std::string_view key);
std::vector<Toleration> ReadTolerations(const FieldReader& parent, std::string_view key);
/// spec.taints of a Node; tolerant.
std::vector<Taint> TaintsOf(const Object& node);

}  // namespace breakwater::api
