#pragma once

/// KeepPodTemplates: what another operator's version deployed does not restart at a take-over.
///
/// Between versions of the Piraeus Operator the pod templates of one component differ in what
/// changes nothing for its users: where an argument is written, a probe more. A new template
/// restarts the pods all the same, those of the CSI driver on every node. So a workload of a
/// LinstorCluster that was not applied by this operator before keeps its pod template while its
/// containers and their images are the ones that it would get anyway. Everything else of the object
/// is applied as rendered. Satellites get the rendered one: how they see the host's LVM is in it.
///
/// It is given up, and the rendered template applied, as soon as the rendering is another one (a
/// setting, a patch, an image, a version of this operator with another manifest), the template is
/// changed by somebody else, or the annotation is removed.

#include <string>
#include <string_view>
#include <vector>

#include "operator/api/object.h"
#include "operator/controllers/common/apply_objects.h"

namespace breakwater::controllers {

/// Annotation of a workload with a kept template: hash of the rendered one, "/", hash of the kept
/// one.
inline constexpr std::string_view kKeptPodTemplate = "breakwater.io/kept-pod-template";

/// Gives the rendered Deployment or DaemonSet the pod template of `live` where it is to be kept,
/// and the annotation. Returns whether it did; false for any other kind. Pure.
bool KeepPodTemplate(const api::Object& live, api::Json* rendered);

/// The same for all of `rendered` whose live object `owner` controls. Returns "DaemonSet name" of
/// those that keep it, in their order.
std::vector<std::string> KeepPodTemplates(const Writers& writers,
                                          const api::Object& owner,
                                          std::vector<api::Json>* rendered);

/// What to say of them in a condition; nothing when there are none.
std::vector<std::string> KeptTemplateWarnings(const std::vector<std::string>& names);

}  // namespace breakwater::controllers
