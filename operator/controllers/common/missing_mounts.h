#pragma once

/// MissingMounts: Secrets and ConfigMaps without which the pods of a workload do not start.

#include <set>
#include <string>
#include <vector>

#include "operator/api/object.h"
#include "operator/controllers/common/apply_objects.h"

namespace breakwater::controllers {

/// "Secret a", "ConfigMap b": what the pod template of `workload` needs, volumes and environment;
/// what is optional is not in it. Pure.
std::set<std::string> NeededByPods(const api::Json& workload);

/// Those of them that do not exist in the operator's namespace, for all workloads in `objects`,
/// "Secret a (Deployment b)". ConfigMaps in `objects` count as there.
std::vector<std::string> MissingMounts(const Context& ctx,
                                       const Writers& writers,
                                       const std::vector<api::Json>& objects);

}  // namespace breakwater::controllers
