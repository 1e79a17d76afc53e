#pragma once

/// ServedCluster: everything that belongs to the one LinstorCluster that is served, and
/// PublishedPlan: what the cluster's reconciler tells those of the volumes.

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <utility>

#include "operator/controllers/common/board.h"
#include "operator/controllers/replication/cluster_settings.h"
#include "operator/controllers/replication/ledger/ledgers.h"
#include "operator/controllers/replication/linstor_view.h"
#include "operator/controllers/replication/places.h"
#include "operator/controllers/replication/report/status_writer.h"
#include "operator/controllers/replication/switch_gate.h"
#include "operator/core/replication/volume/observation.h"

namespace breakwater::controllers {

/// What PlanVolume said about each volume last. Thread safety: all methods from any thread.
class OutcomeBoard {
 public:
  /// True: something that the cluster's plan or the status depends on is another than before.
  bool Note(const std::string& resource, VolumeOutcome outcome);
  std::map<std::string, VolumeOutcome> All() const;
  void Forget(const std::string& resource);

  /// The migration of this volume has begun; true: it had not before.
  bool Begin(const std::string& resource);
  /// It ended; true: it had begun.
  bool End(const std::string& resource);

 private:
  mutable std::mutex mutex_;
  std::map<std::string, VolumeOutcome> outcomes_;  // guarded by mutex_
  std::set<std::string> begun_;                    // guarded by mutex_
};

/// Made anew when another object takes the place of the LinstorCluster: nothing that is remembered
/// is about that one. Reconciles that run keep theirs alive. Thread safety: that of its parts.
struct ServedCluster {
  ServedCluster(kube::KubeClient& client,
                const ClaimBoard& claims,
                LinstorProvider& provider,
                const std::string& cluster_name,
                std::string cluster_uid)
      : name(cluster_name),
        uid(std::move(cluster_uid)),
        linstor(provider, cluster_name),
        status(client, claims, cluster_name) {}

  const std::string name;
  const std::string uid;
  LinstorView linstor;
  StatusWriter status;
  Ledgers ledgers;
  SwitchGate gate;
  OutcomeBoard outcomes;
};

/// The last plan for the cluster, as far as it concerns volumes and nodes. Immutable.
struct PublishedPlan {
  std::uint64_t number = 0;
  std::int64_t epoch = 0;  ///< of our lease
  std::shared_ptr<ServedCluster> cluster{};
  ClusterSettings settings{};
  bool linstor_known = false;
  /// What is wanted is known: LINSTOR answers and the cluster's own value makes sense.
  bool wishes_known = false;
  /// The cluster's value and the preflight say that nodes need certificates.
  bool tls_wanted = false;
  std::map<std::string, std::map<replication::Pair, bool>> wanted{};
  std::set<std::string> floored{};  ///< volumes whose floor is TLS, see ResourceLevels::floor
  std::set<std::string> may_switch{};
  std::set<std::string> in_flight{};  ///< volumes that hold a place
  std::set<std::string> may_repair{};
  /// VolumeGoal::rekey by resource.
  std::map<std::string, std::map<replication::Pair, std::string>> rekey{};
  std::map<std::string, std::string> unfit{};
  std::set<std::string> used_nodes{};  ///< those that hold a volume, by LINSTOR or a peer's word
  /// How late we may have seen a fault or its effect.
  std::chrono::seconds slack{};
};

/// Empty: no plan, nothing is done.
using PlanBoard = Board<PublishedPlan>;

}  // namespace breakwater::controllers
