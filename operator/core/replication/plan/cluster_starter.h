#pragma once

/// Insides of PlanCluster: who may start, and who may be repaired. Not for use outside this folder.

#include <map>
#include <optional>
#include <set>
#include <string>

#include "operator/core/replication/plan/cluster_plan.h"

namespace breakwater::replication::internal {

/// What a connection runs as configured in the kernel, as far as either end says; LINSTOR's present
/// value for one that cannot be observed, and for one whose ends differ: which of them is right is
/// LINSTOR's to say, so it must not be told what one of them has.
bool Runs(const ResourceObservation& seen, const ConnectionView& connection);

/// LINSTOR's view is not what the connections run: now, or when the cluster's value is in LINSTOR,
/// or when the CSI driver has written what a StorageClass asks for (K11).
bool NeedsPin(const ResourceObservation& seen, std::optional<bool> cluster);

/// What stands for the cluster's value where this volume is concerned.
std::optional<bool> ClusterFor(const ClusterInput& input,
                               const ResourceObservation& seen,
                               std::optional<bool> cluster);

/// Places, in all and per node.
class Starter {
 public:
  /// `input` must outlive it.
  Starter(const ClusterInput& input, std::optional<bool> cluster);

  /// Why it cannot start now, or nothing; takes a place when it can.
  std::optional<std::string> Start(const ResourceObservation& seen,
                                   const std::map<Pair, bool>& wanted,
                                   bool differs);

  /// The same for new session keys: it may start when one of the connections may be cut.
  std::optional<std::string> StartRekey(const ResourceObservation& seen,
                                        const std::map<Pair, bool>& wanted,
                                        const std::map<Pair, std::string>& due);

  /// Why a volume that has a place begins nothing new, or nothing.
  std::optional<std::string> GoOn(const ResourceObservation& seen,
                                  const std::map<Pair, bool>& wanted) const;

 private:
  std::optional<std::string> Policy(const ResourceObservation& seen) const;
  std::optional<std::string> FailedElsewhere(const ResourceObservation& seen,
                                             const std::map<Pair, bool>& wanted) const;
  std::optional<std::string> NoPlace(const ResourceObservation& seen) const;
  void Take(const ResourceObservation& seen);

  const ClusterInput& input_;
  const std::optional<bool> cluster_;
  VolumeGoal goal_{};  ///< what is the same for all volumes; `wanted` changes
  int running_ = 0;
  std::map<std::string, int> per_node_{};
  std::map<std::string, int> failed_partners_{};
};

/// Fills ClusterPlan::repair_allowed.
void PlanRepairs(const ClusterInput& input, ClusterPlan* plan);

}  // namespace breakwater::replication::internal
