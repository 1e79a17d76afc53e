#pragma once

/// Component: a set of manifests with the patches and settings that make it the objects of one
/// workload; what the Piraeus Operator does with one in-memory kustomization.

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "operator/base/error.h"
#include "operator/base/result.h"
#include "operator/core/render/patches.h"
#include "operator/core/render/resource_set.h"
#include "operator/core/render/transformers.h"

namespace breakwater::core {

struct Component {
  std::string name{};  ///< in problems
  std::string node{};  ///< in problems
  ResourceSet resources{};
  std::vector<ParsedPatch> patches{};  ///< built-in ones: they run before those of users
  /// The user's podTemplate, after the built-in patches and before the user's own.
  std::optional<ParsedPatch> pod_template{};
  std::string pod_template_path{};  ///< in problems: where it is in the spec
  /// False: Services keep the selector that they have, or have none.
  bool label_selectors = true;

  /// Adds the objects of an embedded manifest.
  void AddManifest(std::string_view name);
};

struct BuildSettings {
  std::string ns{};
  std::string name_suffix{};
  Labels selector_labels{};
  Labels metadata_labels{};
  std::map<std::string, std::string> images{};
  std::string pull_secret{};
  std::set<std::string> keys{};  ///< Secrets that patches of users give to nobody (patch_guard.h)
};

/// Builds the objects: built-in patches, pull secret, user patches, then namespace, suffix, labels,
/// images. kInvalid when a patch cannot be applied or would raise rights (patch_guard.h).
/// @param missing what a user patch without a target does when it finds no object
/// @param matches when not null, gets the number of objects per user patch added
Result<ResourceSet, Error> Build(Component component,
                                 const BuildSettings& settings,
                                 const std::vector<ParsedPatch>& user_patches,
                                 MissingObject missing,
                                 std::vector<int>* matches);

/// The labels that the operator puts on everything and on selectors.
Labels SelectorLabels(const std::string& cluster);
/// The label that says who manages an object; on metadata only.
Labels ManagedByLabels();
/// ManagedByLabels() and the version of the operator: another one writes these objects anew.
Labels MetadataLabels();

}  // namespace breakwater::core
