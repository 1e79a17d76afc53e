#pragma once

/// Patch: a kustomize patch in a custom resource, as the user wrote it.

#include <string>
#include <vector>

#include "operator/api/field_reader.h"

namespace breakwater::api {

/// Which objects a patch changes. group, version, kind, name and namespace are anchored regular
/// expressions, the selectors have the syntax of label selectors; empty fields match everything.
struct PatchTarget {
  std::string group{};
  std::string version{};
  std::string kind{};
  std::string name{};
  std::string ns{};
  std::string label_selector{};
  std::string annotation_selector{};

  bool operator==(const PatchTarget&) const = default;
};

struct Patch {
  /// YAML or JSON: a strategic merge patch of exactly one object, or a list of JSON6902 operations.
  std::string patch{};
  std::optional<PatchTarget> target{};
  bool allow_name_change = false;
  bool allow_kind_change = false;

  bool operator==(const Patch&) const = default;
};

std::vector<Patch> ReadPatches(const FieldReader& parent, std::string_view key = "patches");
Json ToJson(const Patch& patch);
Json ToJson(const std::vector<Patch>& patches);

}  // namespace breakwater::api
