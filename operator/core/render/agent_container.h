#pragma once

/// The node agent in a satellite's pod: the container `breakwater-agent`, which runs the agent with
/// the programs of the satellite's image, and the init container `breakwater-agent-init`, which
/// brings the agent's binary.
///
/// Pure functions.

#include <map>
#include <string>

#include "operator/core/render/component.h"

namespace breakwater::core {

/// Name of the container, and of its component in the image configuration.
inline constexpr const char* kAgentContainer = "breakwater-agent";

/// Adds the agent behind everything else in the pod of DaemonSet `satellite`, so that patches by
/// index mean what they meant before.
///
/// Does nothing when the image configuration (resolved: `images`) has no agent: an init container
/// whose image does not exist would keep the whole satellite, and the volumes of its node, from
/// starting. Such a node is observed, and nothing is switched there.
void AddAgent(const std::string& satellite,
              const std::map<std::string, std::string>& images,
              Component* component);

/// Gives the agent the image (and, unless it has its own, the pull policy) of container
/// `satellite`, when a user's patch has given that one another image: drbdsetup must fit to the
/// satellite's. An image that a patch gave to the agent itself stays. To be called when images are
/// resolved.
/// @param rendered the image that the satellite has without patches
void FollowSatelliteImage(const std::string& satellite,
                          const std::string& rendered,
                          ResourceSet* resources);

}  // namespace breakwater::core
