#pragma once

/// Which nodes belong to the storage cluster.

#include <map>
#include <string>
#include <vector>

#include "operator/api/object.h"
#include "operator/api/scheduling.h"

namespace breakwater::core {

/// Every label of `selector` is on the node with that value (an empty selector matches every node).
bool MatchesSelector(const std::map<std::string, std::string>& selector, const api::Object& node);
/// Terms are ORed; a selector without terms matches nothing, as in the scheduler.
bool MatchesAffinity(const api::NodeSelector& affinity, const api::Object& node);
bool Tolerates(const std::vector<api::Toleration>& tolerations, const api::Taint& taint);

/// Nodes that get (or keep) a satellite, in the order of `nodes`: selector and affinity must match,
/// and the taints must be tolerated by `tolerations` together with those that every DaemonSet has.
/// A NoSchedule taint keeps only new satellites away, a NoExecute taint also existing ones (rule of
/// the Piraeus Operator v2.9).
std::vector<api::ObjectPtr> MatchNodes(const std::vector<api::ObjectPtr>& nodes,
                                       const std::map<std::string, std::string>& selector,
                                       const std::optional<api::NodeSelector>& affinity,
                                       const std::vector<api::Toleration>& tolerations,
                                       const std::vector<api::ObjectPtr>& existing_satellites);

/// Tolerations as pod specs have them: defaults merged with the user's; a later equal one (same
/// key, value, effect and operator) replaces an earlier one in its place. Lists may be JSON null.
api::Json MergeTolerations(const std::vector<api::Json>& lists);
/// For pods that must survive the taints that the high-availability controller sets.
api::Json HighAvailabilityTolerations();

}  // namespace breakwater::core
