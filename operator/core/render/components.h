#pragma once

/// The components beside the LINSTOR controller and the satellites: CSI driver, high-availability
/// controller, affinity controller, NFS server.

#include <set>
#include <string>
#include <vector>

#include "operator/core/render/component.h"
#include "operator/core/render/render.h"

namespace breakwater::core {

/// Those that `inputs` enable, in the order of application. Each is built, patched and reported on
/// its own. With an external controller they talk to that one.
std::vector<Component> WorkloadComponents(const ClusterInputs& inputs);

/// The user's podTemplates of all components with their paths in the spec; null where there is
/// none.
std::vector<std::pair<std::string, const api::Json*>> PodTemplates(
    const api::LinstorClusterSpec& spec);

}  // namespace breakwater::core
