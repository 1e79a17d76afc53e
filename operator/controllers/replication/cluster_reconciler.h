#pragma once

/// ClusterReconciler: the one place that decides when a volume is started. Looks at everything at
/// once, asks PlanCluster (core/replication/plan/cluster_plan.h), pins and pushes LINSTOR's values,
/// keeps the places, publishes the plan for the volumes, and reports.
///
/// Runs when something it depends on changed, not more often than once a second, and in between
/// only because a person may have changed a value in LINSTOR.

#include <atomic>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <vector>

#include "operator/controllers/common/satellite_use.h"
#include "operator/controllers/linstor_connection/linstor_provider.h"
#include "operator/controllers/node_shell/satellite_pods.h"
#include "operator/controllers/replication/agent_link/agent_hub.h"
#include "operator/controllers/replication/floor_source.h"
#include "operator/controllers/replication/node_feed.h"
#include "operator/controllers/replication/node_reconciler.h"
#include "operator/controllers/replication/places.h"
#include "operator/controllers/replication/preflight.h"
#include "operator/controllers/replication/report/failure_list.h"
#include "operator/controllers/replication/report/reporter.h"
#include "operator/controllers/replication/report/tls_metrics.h"
#include "operator/controllers/replication/served_cluster.h"
#include "operator/core/replication/plan/cluster_plan.h"
#include "operator/runtime/controller.h"

namespace breakwater::controllers {

struct ClusterReconcilerOptions {
  std::string satellite_container{};
  std::string tlshd_container{};
  /// How often LINSTOR is read although nothing is known to have changed.
  std::chrono::milliseconds observe_interval{60000};
};

/// References must outlive the reconciler.
struct ReplicationClusterDeps {
  runtime::Services services;
  kube::KubeClient& client;
  LinstorProvider& linstor;
  const runtime::Store& clusters;
  SatelliteStores satellites;
  FloorSource floor;
  ClaimBoard& claims;
  PlanBoard& board;
  NodeFeed& feed;
  AgentHub& agents;
  NodeReconciler& nodes;
  Reporter& reporter;
  TlsMetrics& metrics;
  SatelliteUseBoard* use = nullptr;  ///< may be null
};

class ReplicationClusterReconciler final : public runtime::Reconciler {
 public:
  ReplicationClusterReconciler(ReplicationClusterDeps deps, ClusterReconcilerOptions options);

  /// Before the first reconcile. `node` makes a node's key due.
  void SetWakers(Wakers wakers, std::function<void(const std::string& node)> node);
  /// We lead from now on, until `leading` is stopped; `epoch` is of our lease.
  void Lead(std::stop_token leading, std::int64_t epoch);

  /// The key does not matter: there is one.
  Result<runtime::Requeue, Error> Reconcile(const Context& ctx, const api::ObjectKey& key) override;

  /// LINSTOR is to be read in the next pass. Any thread.
  void WantLinstor() { linstor_wanted_ = true; }

 private:
  /// One pass: what was seen, and what follows.
  struct Pass {
    api::ObjectPtr object{};
    std::shared_ptr<ServedCluster> cluster{};
    ClusterSettings settings{};
    std::map<std::string, api::ObjectPtr> pods{};
    std::map<std::string, replication::NodeReport> reports{};
    LevelsSnapshot linstor{};
    std::map<std::string, replication::AgentView> agents{};
    std::map<std::string, VolumeOutcome> outcomes{};
    std::set<std::string> busy{};
    /// All that were seen; those that LINSTOR does not know are only watched.
    std::vector<replication::ResourceObservation> resources{};
    /// Names in LINSTOR that are no safe names: not looked at.
    std::vector<std::string> ignored{};
    replication::ClusterInput input{};
    std::map<std::string, replication::VolumeFloor> floors{};
    NodeVerdicts verdicts{};
    bool tls_wanted = false;
    replication::ClusterPlan plan{};
  };

  Result<void, Error> Serve(const Context& ctx, Pass* pass);
  void AdoptJournal(const ServedCluster& cluster);
  void LookAtNodes(Pass* pass);
  void ReadLinstor(const Context& ctx, Pass* pass);
  std::chrono::milliseconds WhileWaiting(SteadyTime now) const;
  void LookAtVolumes(Pass* pass);
  replication::VolumeFloor FindFloor(const replication::FloorRules& rules,
                                     const std::string& resource,
                                     Pass* pass) const;
  void NoteRefused(const Pass& pass);
  void NoteSessions(Pass* pass) const;
  void Judge(Pass* pass);
  void LookBeforeRekey(Pass* pass);
  void SettlePlaces(Pass* pass);
  void Change(const Context& ctx, Pass* pass);
  void Push(const Context& ctx, const Pass& pass);
  void Publish(const Pass& pass);
  void PublishUse(const Pass& pass) const;
  void Wake(const PublishedPlan* before, const PublishedPlan& now, const Pass& pass);
  static bool AllWell(const Pass& pass);
  void Report(const Context& ctx, const Pass& pass);
  void TellHeldBack(const Pass& pass);
  std::chrono::milliseconds NextPass(const Pass& pass) const;
  bool Leading() const;

  const ReplicationClusterDeps deps_;
  const ClusterReconcilerOptions options_;
  const Logger log_;
  Wakers wake_;                                             // constant after SetWakers
  std::function<void(const std::string& node)> wake_node_;  // constant after SetWakers
  std::atomic<bool> linstor_wanted_{false};

  mutable std::mutex mutex_;
  std::stop_token leading_;  // guarded by mutex_
  std::int64_t epoch_ = 0;   // guarded by mutex_

  // Only of the reconcile, which runs once at a time.
  std::shared_ptr<ServedCluster> cluster_;
  bool loaded_ = false;
  Places places_;
  FailureList failures_;
  std::uint64_t number_ = 0;
  std::optional<SteadyTime> last_pass_;
  std::chrono::milliseconds between_passes_{1000};  // longer with many volumes
  std::optional<SteadyTime> last_linstor_;
  std::optional<SteadyTime> waits_since_;  // volumes, or the cluster's value, wait for something
  std::optional<SteadyTime> last_report_;
  std::optional<SteadyTime> first_look_;
  bool report_due_ = false;
  bool causes_changed_ = false;
  std::optional<bool> last_value_;
  std::set<std::string> unknown_;  // resources that LINSTOR did not know when it was read last
  std::map<std::string, replication::ResourceLevels> last_levels_;
  std::map<std::string, int> daemon_starts_;
  /// What LINSTOR says below the floor, by resource; "" is the controller.
  std::map<std::string, std::vector<std::string>> refused_;
  std::optional<bool> last_controller_;
  std::set<std::string> last_pods_;  // nodes whose satellite pod was there
  std::string last_phase_;
  std::string last_unfit_;  // the node that keeps new volumes in plaintext
  std::optional<std::pair<std::string, SteadyTime>> silent_;  // such a node, and since when
  std::map<std::string, SteadyTime> looked_for_;  // nodes whose certificates were to be read
};

}  // namespace breakwater::controllers
