#pragma once

/// LinstorNodeConnection: properties and network paths between pairs of nodes.

#include <string>
#include <vector>

#include "operator/api/condition.h"
#include "operator/api/property.h"

namespace breakwater::api {

enum class NodeConnectionOp { kExists, kDoesNotExist, kIn, kNotIn, kSame, kNotSame };

/// Looks at one label on both nodes of a pair.
struct NodeConnectionMatch {
  std::string key{};
  NodeConnectionOp op = NodeConnectionOp::kExists;
  std::vector<std::string> values{};  ///< In and NotIn only
};

/// All matches must hold.
struct NodeConnectionTerm {
  std::vector<NodeConnectionMatch> match_labels{};
  /// The term could not be read: it matches nothing (dropping it could leave "every pair").
  bool broken = false;
};

/// A network path: the named interface on both nodes.
struct NodeConnectionPath {
  std::string name{};
  std::string interface {};
};

struct LinstorNodeConnectionSpec {
  std::vector<NodeConnectionTerm> selector{};  ///< any term may hold; empty: every pair
  std::vector<Property> properties{};
  std::vector<NodeConnectionPath> paths{};
};

std::string_view ToString(NodeConnectionOp op);

Decoded<LinstorNodeConnectionSpec> DecodeLinstorNodeConnection(const Json& object);

struct LinstorNodeConnectionStatus {
  std::vector<Condition> conditions{};
};

Json ToJson(const LinstorNodeConnectionStatus& status);

}  // namespace breakwater::api
