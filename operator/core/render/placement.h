#pragma once

/// Where the pods of a cluster's workloads may run.

#include <string>

#include "operator/api/linstor_cluster.h"
#include "operator/core/render/patches.h"

namespace breakwater::core {

/// Built-in patch for a workload: node selector, required node affinity and tolerations of `spec`,
/// the tolerations after `defaults` (a list, or null).
ParsedPatch PlacementPatch(const std::string& kind,
                           const std::string& name,
                           const api::LinstorClusterSpec& spec,
                           const api::Json& defaults);

}  // namespace breakwater::core
