#pragma once

/// Which pod is the satellite of a node. What runs there is believed and does what it is told, so a
/// label is not enough (REVIEW-2 M4): the chain of controller owners has to lead from the pod to
/// the node's LinstorSatellite, by uid. Two pods that both qualify are none: an owner reference can
/// be written by anybody who may create pods there.

#include <map>
#include <string>
#include <vector>

#include "operator/api/object.h"
#include "operator/controllers/replication/agent_link/agent_hub.h"
#include "operator/runtime/store.h"

namespace breakwater::controllers {

/// Where to look; borrowed.
struct SatelliteStores {
  const runtime::Store& satellites;
  const runtime::Store& daemon_sets;
  const runtime::Store& pods;
  std::string ns{};  ///< of the pods and DaemonSets
};

struct SatellitePod {
  api::ObjectPtr pod{};   ///< null: there is none, or it cannot be told which one it is
  std::string problem{};  ///< then why, for people
};

/// The satellite pod of a node: on that node, neither ended nor being deleted, controlled by a
/// DaemonSet that the LinstorSatellite of that name controls, or by the LinstorSatellite itself.
SatellitePod FindSatellitePod(const SatelliteStores& stores, const std::string& node);

/// The same for every LinstorSatellite, by node.
std::map<std::string, SatellitePod> FindSatellitePods(const SatelliteStores& stores);

/// Where the agents are: every node whose satellite pod has the container. `restarts` is -1 while
/// the container does not run, so that its start is a change.
std::vector<AgentTarget> FindAgents(const SatelliteStores& stores, const std::string& container);

/// Whether the pod was made with this container, running or not.
bool HasContainer(const api::Object& pod, const std::string& container);

}  // namespace breakwater::controllers
