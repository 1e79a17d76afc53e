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
/// node that
///    answers is fit for TLS: the pins protect what exists, and a new volume must not be born on a
///    node where it cannot connect. Nodes that do not answer do not count: LINSTOR places nothing
///    on them.
/// 4. Start runs, within the limits. A bad node holds back the resources that touch it and nothing
/// else.
///    Resources in flight are never pinned or started here.

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "operator/core/replication/volume/observation.h"
#include "operator/core/replication/plan/properties.h"

namespace breakwater::replication {

struct ClusterPolicy {
  bool paused = false;
  bool manual = false;
  std::set<std::string> released{};  ///< policy Manual: resources that may start
  bool release_all = false;
  int max_parallel_resources = 4;
  int max_parallel_per_node = 2;
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
  std::vector<ResourceObservation> resources{};
  /// Why a node is not fit for TLS; nodes that do not answer are not in here but unknown in
  /// `resources`.
  std::map<std::string, std::string> unfit{};
  std::set<std::string> in_flight{};
  /// Those of them with something cut, frozen or half done.
  std::set<std::string> journalled{};
  /// Resources that failed lately and wait for their next try, with the reason.
  std::map<std::string, std::string> backing_off{};
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
  std::string push_held{};  ///< why the cluster's value is held back, "" when it is not
  bool push_next = false;   ///< held back only by resources in flight: nothing starts before it
  std::vector<std::string> start{};
  std::map<std::string, std::string> held{};  ///< resource -> why it waits
  /// Per resource what is wanted per connection; also for those that need nothing.
  std::map<std::string, std::map<Pair, bool>> wanted{};
  int pending = 0;   ///< resources that still have to change, those in flight not counted
  int migrated = 0;  ///< resources with at least one connection that are as wanted
};

ClusterPlan PlanCluster(const ClusterInput& input);

/// Whether anybody on any level asks for TLS: then nodes must be fit for it.
bool AnyTlsWanted(const ClusterInput& input);

/// The cluster's value as far as anybody set it: the LinstorCluster's, else LINSTOR's. A "no" that
/// is only a leftover of ours counts as "not set"; a "yes" of ours holds until somebody says "no".
std::optional<bool> ClusterValue(const ClusterInput& input);

}  // namespace breakwater::replication
