#pragma once

/// AgentTargets: where the agents of the nodes are, by the API's owner chain and not by labels,
/// which anybody who may make a pod can set (REVIEW-2 M4). Pure.

#include <string>
#include <vector>

#include "operator/controllers/replication/agent_link/agent_hub.h"
#include "operator/runtime/store.h"

namespace breakwater::controllers {

inline constexpr std::string_view kAgentContainer = "breakwater-agent";

/// One for every LinstorSatellite with exactly one pod that runs an agent: the pod is controlled by
/// a DaemonSet, that one by the LinstorSatellite, it is on the node of that name, runs, and is not
/// being deleted. Two such pods: none, because nobody can say which of them speaks for the node.
std::vector<AgentTarget> AgentTargets(const runtime::Store& satellites,
                                      const runtime::Store& daemon_sets,
                                      const runtime::Store& pods,
                                      const std::string& ns);

}  // namespace breakwater::controllers
