#pragma once

/// PlanCluster: hold back, then pin, then start (DESIGN 4.3), as one pure function over everything
/// seen.
///
/// 1. Hold back. The cluster's value stays with us while an existing connection would be changed by
/// it.
/// 2. Pin. Every resource definition without a value of its own is pinned to what it runs; a
/// resource
///    with a user's own value that it does not run yet gets the values of its pairs pinned instead,
///    so that LINSTOR's .res files always say what the kernel does (a reboot in between is
///    harmless).
/// 3. Push. The cluster's value goes to LINSTOR when no connection would change by it and every
/// node that answers is fit for TLS: the pins protect what exists, and a new volume must not be
/// born on a node where it cannot connect. A node that does not answer holds it back as long as it
/// has a volume that only a pin protects, and LINSTOR does not show it OFFLINE: whether its .res
/// file has the pin is not known.
/// 4. Start volumes, within the limits. A bad or silent node holds back the resources that touch it
/// and nothing else, whether the value was pushed or not: what moves before has a pin that says
/// where to. Resources in flight are never pinned or started here.
/// 5. When all that is done, start one volume whose session keys are too old.
///
/// A value in LINSTOR is no proof that a node has it (L33): the push waits until the .res files say
/// what the pins say. LINSTOR resumes what it adjusts (L24): no pin and no push while a volume that
/// it would touch is suspended.
/// Effort: one walk over the resources, what is dear only for those that could start.

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "operator/core/replication/plan/properties.h"
#include "operator/core/replication/plan/volume_plan.h"
#include "operator/core/replication/volume/observation.h"

namespace breakwater::replication {

struct ClusterPolicy {
  bool paused = false;
  bool manual = false;
  std::set<std::string> released{};  ///< policy Manual: resources that may start
  bool release_all = false;
  int max_parallel_resources = 4;
  int max_parallel_per_node = 2;
  int max_parallel_repairs = 8;
  int max_repairs_per_node = 2;
  StrategyChoice strategy = StrategyChoice::kAuto;
  bool allow_single_copy = false;
};

struct ClusterInput {
  bool linstor_known = false;
  /// spec.properties DrbdOptions/Net/tls of the LinstorCluster; nothing when it is not set there.
  std::optional<bool> cluster_value{};
  /// Why it is not known what is wanted: a value that is neither yes nor no, an unreadable field.
  std::optional<std::string> invalid{};
  /// The same property in LINSTOR, and whether it is marked as written by us.
  std::optional<bool> linstor_value{};
  bool linstor_value_ours = false;
  /// Never null. Pointers, because a plan is made often and of everything.
  std::vector<std::shared_ptr<const ResourceObservation>> resources{};
  /// Why a node is not fit for TLS; nodes that do not answer are not in here but unknown in
  /// `resources`.
  std::map<std::string, std::string> unfit{};
  /// Resources that were given a place and have not given it back.
  std::set<std::string> in_flight{};
  /// Those with a transaction under way: nothing in LINSTOR is touched meanwhile.
  std::set<std::string> journalled{};
  /// Resources that failed lately and wait for their next try, with the reason.
  std::map<std::string, std::string> backing_off{};
  /// A node that is not in it has no agent.
  std::map<std::string, AgentView> agents{};
  /// Nodes by LINSTOR's connection status: ONLINE, and OFFLINE. A node in neither is on its way: it
  /// does not get what is set now (L33).
  std::set<std::string> online_nodes{};
  std::set<std::string> offline_nodes{};
  /// Resources whose .res files have lagged behind their pin for long (ClusterPlan::unsettled): the
  /// pin is written again.
  std::set<std::string> touch{};
  /// Nodes between which a connection with TLS failed lately, with the reason: other volumes do not
  /// try the same, and a node with two such partners is a bad one.
  std::map<Pair, std::string> failed_pairs{};
  /// VolumeGoal::hold by resource.
  std::map<std::string, std::map<Pair, std::string>> hold{};
  /// Resources that no change in LINSTOR may touch, with the reason: an adjust would reconnect a
  /// StandAlone connection and erase the record of what its peer lacks (F12.3).
  std::map<std::string, std::string> untouchable{};
  /// Volumes for which Kubernetes says something of their own: see VolumeFloor::cluster. The floor
  /// itself stands in ResourceLevels::floor.
  std::map<std::string, std::optional<bool>> cluster_for{};
  /// Resources with a repair under way.
  std::set<std::string> repairing{};
  /// VolumeGoal::rekey by resource.
  std::map<std::string, std::map<Pair, std::string>> rekey{};
  ClusterPolicy policy{};
};

struct PinOp {
  std::string resource{};
  LinstorOp op{};

  bool operator==(const PinOp&) const = default;
};

struct ClusterPush {
  std::optional<bool> value{};  ///< nothing: delete the property

  bool operator==(const ClusterPush&) const = default;
};

/// What is wrong with the cluster's own value. While there is a problem nothing is pinned, pushed
/// or started: a typing error or a deleted line must not decrypt a cluster.
struct ClusterProblem {
  std::string reason{};  ///< "" = none; InvalidValue, ValueRemoved
  std::string message{};
};

struct ClusterPlan {
  ClusterProblem problem{};
  std::vector<PinOp> pins{};  ///< to be done before everything else
  std::optional<ClusterPush> push{};
  std::string pins_held{};  ///< why a pin waits, "" when none does
  std::string push_held{};  ///< why the cluster's value is held back, "" when it is not
  /// The node that is not fit for it, or silent, when only that holds it back.
  std::string push_unfit{};
  bool push_next = false;  ///< held back only by resources in flight: nothing starts before it
  std::vector<std::string> start{};
  /// VolumeGoal::may_switch: those of `start`, and those in flight that may go on.
  std::set<std::string> may_switch{};
  /// VolumeGoal::may_repair: within the limits, those under way first.
  std::set<std::string> repair_allowed{};
  /// Resources of which a node's .res file does not say yet what LINSTOR does, with the node.
  std::map<std::string, std::string> unsettled{};
  std::map<std::string, std::string> held{};  ///< resource -> why it waits
  /// Resource -> why its session keys are not renewed, once nothing else is left to do.
  std::map<std::string, std::string> rekey_held{};
  /// Per resource what is wanted per connection; also for those that need nothing.
  std::map<std::string, std::map<Pair, bool>> wanted{};
  int pending = 0;   ///< resources that still have to change, those in flight not counted
  int migrated = 0;  ///< resources with at least one connection that are as wanted
  /// Resources, in flight or not, with a connection that is not as wanted. 0: all that is left to
  /// do, if anything, is to take values of ours out of LINSTOR.
  int differing = 0;
  int cleaning = 0;  ///< resources that are as wanted and still have such a value
};

ClusterPlan PlanCluster(const ClusterInput& input);

/// Whether anybody on any level asks for TLS: then nodes must be fit for it.
bool AnyTlsWanted(const ClusterInput& input);

/// The cluster's value as far as anybody set it: the LinstorCluster's, else LINSTOR's. A "no" that
/// is only a leftover of ours counts as "not set"; a "yes" of ours holds until somebody says "no".
std::optional<bool> ClusterValue(const ClusterInput& input);

}  // namespace breakwater::replication
