#pragma once

/// Patches of users and of the operator itself, applied to a ResourceSet as kustomize does.

#include <optional>
#include <string>
#include <vector>

#include "operator/api/patch.h"
#include "operator/base/error.h"
#include "operator/base/result.h"
#include "operator/core/render/resource_set.h"

namespace breakwater::core {

/// A patch whose text was read and whose kind is known.
struct ParsedPatch {
  api::Json content{};  ///< an object (strategic merge) or a list (JSON6902)
  std::optional<api::PatchTarget> target{};
  bool is_json_patch = false;
  bool allow_name_change = false;
  bool allow_kind_change = false;
  std::string path{};  ///< where it stands in its spec, for problems; may be empty
};

/// kInvalid when the text is neither a strategic merge patch of exactly one object nor a JSON6902
/// list, or when a patch without a target does not say which object it means.
Result<ParsedPatch, Error> ParsePatch(const api::Patch& patch);

/// Names the patch in messages: its target, or the object that it describes.
std::string Describe(const ParsedPatch& patch);

/// How many of the objects the patch addresses.
std::size_t CountMatches(const ParsedPatch& patch, const ResourceSet& resources);

/// What to do with a patch without a target that finds no object.
enum class MissingObject { kError, kIgnore };

/// Applies one patch to every object that it addresses; returns how many there were. A target that
/// matches nothing is no error. Names and kinds stay unless the patch may change them. kInvalid
/// also when an object has no longer the shape of its kind (shape.h). On error `resources` is
/// unspecified.
Result<int, Error> ApplyPatch(const ParsedPatch& patch,
                              MissingObject missing,
                              ResourceSet* resources);

/// Whether a patch is for Pod `satellite`, which satellites were up to v2.3 of the Piraeus
/// Operator.
bool IsBarePodPatch(const ParsedPatch& patch);

/// Satellites were bare pods up to v2.3: a patch for Pod `satellite` becomes one for the pod
/// template of DaemonSet `linstor-satellite`. Other patches are returned as they are.
ParsedPatch ConvertBarePodPatch(ParsedPatch patch);

/// A patch that merges `pod_template` into the pod template of a workload.
ParsedPatch PodTemplatePatch(const std::string& kind,
                             const std::string& name,
                             const api::Json& pod_template);

/// A built-in strategic merge patch for exactly this object.
ParsedPatch MergePatchFor(const std::string& api_version,
                          const std::string& kind,
                          const std::string& name,
                          api::Json content);

}  // namespace breakwater::core
