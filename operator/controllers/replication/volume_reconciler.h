#pragma once

/// VolumeReconciler: brings one volume a step further. Looks at it as its nodes show it now, asks
/// PlanVolume (core/replication/plan/volume_plan.h) what to do, writes that into the journal, and
/// asks the agents for it. Keeps no state of a switch: agents and LINSTOR have it, so whoever leads
/// next gets to the same step.
///
/// Whether a volume may be switched at all is decided for the cluster (cluster_reconciler.h).

#include <atomic>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "operator/controllers/node_shell/node_shell.h"
#include "operator/controllers/replication/agent_link/agent_hub.h"
#include "operator/controllers/replication/node_feed.h"
#include "operator/controllers/replication/report/reporter.h"
#include "operator/controllers/replication/report/tls_metrics.h"
#include "operator/controllers/replication/served_cluster.h"
#include "operator/core/replication/plan/volume_plan.h"
#include "operator/core/replication/protocol/messages.h"
#include "operator/runtime/controller.h"

namespace breakwater::controllers {

/// Whom a reconciler may wake. Any thread.
struct Wakers {
  std::function<void(const std::string& resource)> volume{};
  std::function<void()> cluster{};
  /// The certificate files of the node may have changed, or explain something.
  std::function<void(const std::string& node)> certificates{};
};

/// References must outlive the reconciler.
struct VolumeReconcilerDeps {
  runtime::Services services;
  PlanBoard& board;
  NodeFeed& feed;
  AgentHub& agents;
  NodeShell& shell;
  Reporter& reporter;
  TlsMetrics& metrics;
  std::string satellite_container{};
  /// Part of the ids of our requests: tells this process from others of the same epoch.
  std::string instance{};
};

class VolumeReconciler final : public runtime::Reconciler {
 public:
  explicit VolumeReconciler(VolumeReconcilerDeps deps);

  /// Before the first reconcile.
  void SetWakers(Wakers wakers) { wake_ = std::move(wakers); }

  /// Nothing is asked for any more once this is stopped: leadership is lost or the process ends.
  void SetLeading(std::stop_token leading);

  /// `key.name` is a resource.
  Result<runtime::Requeue, Error> Reconcile(const Context& ctx, const api::ObjectKey& key) override;

  /// An agent's transaction came to its end. Any thread; returns soon.
  void NoteResult(const std::string& node, const replication::ResultMessage& message);

 private:
  struct Look {
    replication::ResourceObservation seen{};
    replication::VolumeGoal goal{};
    std::map<std::string, replication::AgentView> agents{};
    std::vector<replication::RunningTransaction> running{};
    replication::VolumeMemory memory{};
    bool there = false;  ///< LINSTOR or a node knows the volume
  };

  struct Asked {
    replication::TransactionRequest request{};
    SteadyTime at{};
  };

  Look LookAt(const Context& ctx, const PublishedPlan& plan, const std::string& resource);
  void TakeIn(const Context& ctx, const PublishedPlan& plan, bool by_person, Look* look);
  void NoteSuspects(const Look& look);
  std::optional<std::chrono::milliseconds> Act(const Context& ctx,
                                               const PublishedPlan& plan,
                                               const Look& look,
                                               const replication::VolumeDecision& decision);
  /// False: not now.
  bool Ask(const Context& ctx,
           const PublishedPlan& plan,
           const Look& look,
           const replication::VolumeDecision& decision);
  bool Heal(const Context& ctx,
            const PublishedPlan& plan,
            const Look& look,
            const replication::StalePeer& stale);
  void Settle(const PublishedPlan& plan,
              const Look& look,
              const replication::VolumeDecision& decision,
              bool asked);
  void NoteFailure(const PublishedPlan& plan,
                   VolumeFailure failure,
                   replication::Strategy strategy);
  std::string NextId(std::int64_t epoch);
  bool Leading() const;

  const VolumeReconcilerDeps deps_;
  const Logger log_;
  Wakers wake_;  // constant after SetWakers
  std::atomic<std::uint64_t> counter_{0};

  mutable std::mutex mutex_;
  std::stop_token leading_;  // guarded by mutex_
  /// What was asked for and is not answered, by id.
  std::map<std::string, Asked> asked_;  // guarded by mutex_
  /// The end of a connection that gave up while it was being switched to TLS.
  std::map<std::pair<std::string, replication::Pair>, std::string> suspects_;  // guarded by mutex_
  std::map<std::string, std::string> said_;  // guarded by mutex_; last `why` in the log
};

}  // namespace breakwater::controllers
