#pragma once

/// What patches of users may not do, and what they do that a person should hear of.
///
/// Whoever edits a LinstorCluster or a LinstorSatelliteConfiguration can run privileged programs on
/// the nodes: that is what patches are for, and why editing them is an administrator's right. What
/// is refused here are rights in the Kubernetes API and keys, which no patch needs and which reach
/// further than the nodes.

#include <set>
#include <string>
#include <vector>

#include "operator/api/patch.h"
#include "operator/base/error.h"
#include "operator/base/result.h"
#include "operator/core/render/resource_set.h"

namespace breakwater::core {

/// Secrets with keys that belong to one component each, under their usual names; those that a spec
/// names otherwise are added by the caller.
std::set<std::string> KeySecrets();

/// kInvalid with the object and the reason when the step from `before` to `after`
///   - changes an object of rbac.authorization.k8s.io in more than labels and annotations, or makes
///     one (deleting one is fine),
///   - gives a pod one of `keys` that it did not have, or
///   - runs a pod under the account of another component.
/// Both are the same set before and after one patch. Pure.
Result<void, Error> CheckRights(const ResourceSet& before,
                                const ResourceSet& after,
                                const std::set<std::string>& keys);

/// What in these patches can take over a node: one line per patch, "spec.patches[0]: hostPath,
/// privileged". `pod_template` (null: none) stands at `template_path`. What cannot be read is
/// skipped: it is reported where it is rendered. Pure.
std::vector<std::string> DangerousPatches(const std::vector<api::Patch>& patches,
                                          const api::Json& pod_template,
                                          const std::string& template_path);

}  // namespace breakwater::core
