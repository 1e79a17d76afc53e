#include "operator/core/render/placement.h"

#include <utility>

#include "operator/core/cluster/node_matching.h"

namespace breakwater::core {

using api::Json;

ParsedPatch PlacementPatch(const std::string& kind,
                           const std::string& name,
                           const api::LinstorClusterSpec& spec,
                           const Json& defaults) {
  Json pod_spec{{"tolerations", MergeTolerations({defaults, HighAvailabilityTolerations(),
                                                  spec.raw_tolerations})}};
  if (!spec.node_selector.empty()) {
    pod_spec["nodeSelector"] = spec.node_selector;
  }
  if (spec.node_affinity) {
    pod_spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"] =
        spec.node_affinity->raw;
  }
  return PodTemplatePatch(kind, name, {{"spec", std::move(pod_spec)}});
}

}  // namespace breakwater::core
