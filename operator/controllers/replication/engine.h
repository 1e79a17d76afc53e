#pragma once

/// Engine: the loop of the replication-TLS controller. Observes all satellites, plans for the
/// cluster (hold back, pin, push, start), keeps one RunDriver per resource that needs work, and
/// reports.
///
/// Idle = one exec per node with resources and interval, one per other node and ten minutes, and a
/// handful of LINSTOR reads; no API writes.

#include <atomic>
#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "operator/api/linstor_cluster.h"
#include "operator/api/object.h"
#include "operator/base/thread.h"
#include "operator/controllers/replication/actor.h"
#include "operator/controllers/replication/cluster_settings.h"
#include "operator/controllers/replication/linstor_view.h"
#include "operator/controllers/replication/node_observer.h"
#include "operator/controllers/replication/quiet_nodes.h"
#include "operator/controllers/replication/register.h"
#include "operator/controllers/replication/reporter.h"
#include "operator/controllers/replication/run_driver.h"
#include "operator/controllers/replication/status_writer.h"
#include "operator/core/replication/plan/cluster_plan.h"
#include "operator/core/replication/node/preflight.h"
#include "operator/core/replication/volume/stale_ledger.h"
#include "operator/runtime/wakeup.h"

namespace breakwater::controllers {

struct EngineDeps {
  runtime::Services services;
  kube::KubeClient& client;
  NodeShell& shell;
  LinstorProvider& linstor;
  const runtime::Store& clusters;
  const runtime::Store& satellites;
  const runtime::Store& pods;
  const runtime::Store& secrets;  ///< of the operator's namespace
  EventSink events{};
  ReplicationTlsOptions options{};
};

/// Thread safety: Start and Stop from one thread; the rest is internal.
class Engine {
 public:
  explicit Engine(EngineDeps deps);
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  /// Starts the loop; returns at once. Once `leading` is stopped nothing new is begun: Stop may
  /// come much later, when running reconciles have ended.
  void Start(std::stop_token leading = {});
  /// Asks all threads to stop and waits for them: at once, except for a volume whose I/O is frozen
  /// at that moment, which is brought to an end (at most 15 s, then the watchdog on its node does
  /// it).
  void Stop();
  /// Look now: something relevant changed.
  void Wake();
  /// A Secret with certificates changed: the files in the pods are looked at a few times until
  /// the kubelet must have brought it there. Any thread.
  void NoteSecretChange();

  /// One round without a thread, for tests: observes, plans, starts drivers; returns when to come
  /// back.
  std::chrono::milliseconds Round(const std::stop_token& stop, const std::stop_token& leading = {});
  /// Waits until no driver runs, for tests.
  void JoinDrivers();

 private:
  /// Everything that belongs to the one LinstorCluster that is served; made anew when it is
  /// another.
  struct Cluster {
    std::string name{};
    std::string uid{};
    std::unique_ptr<LinstorView> linstor{};
    std::unique_ptr<Actor> actor{};
    std::unique_ptr<StatusWriter> status{};
    std::unique_ptr<RunDriver> driver{};
    bool loaded = false;
  };

  /// A resource with a driver.
  struct Active {
    std::unique_ptr<Thread> thread{};
    bool switching = false;  ///< a migration, not only care: it is told what is wanted
    bool foreign = false;    ///< LINSTOR does not know the resource
    std::string waiting{};   ///< what it waits for, "" while it acts
    SystemTime waiting_since{};
    bool done = false;
    RunResult result{};
  };

  /// An encrypted connection with a StandAlone end.
  struct Alone {
    std::string node{};        ///< one that is StandAlone
    SystemTime since{};        ///< first seen
    bool since_known = false;  ///< it was seen in another state before
    std::string held{};        ///< why it is not reconnected, "" when it is
  };

  /// When a node last had a fault that makes DRBD give up on TLS (F6).
  struct Cause {
    SystemTime first{};
    SystemTime last{};
  };

  struct Failure {
    api::MigrationFailure shown{};
    int count = 0;
    SteadyTime retry_at{};
  };

  void Loop(const std::stop_token& stop, const std::stop_token& leading);
  bool OpenCluster(const Context& ctx, const api::Object& object);
  void MakeCluster(const api::Object& object);
  void CloseCluster(const Context& ctx);
  std::set<std::string> SatelliteNodes() const;
  std::map<std::string, replication::NodeReport> AskNodes(const Context& ctx,
                                                            const std::set<std::string>& nodes);
  void AskNamedNodes(const Context& ctx,
                     const std::set<std::string>& nodes,
                     const LevelsSnapshot& linstor,
                     std::map<std::string, replication::NodeReport>* reports);
  std::vector<replication::ResourceObservation> Assemble(
      const std::map<std::string, replication::NodeReport>& reports,
      const LevelsSnapshot& linstor);
  std::map<std::string, std::vector<replication::PreflightFailure>> Preflight(
      const Context& ctx,
      const std::set<std::string>& nodes,
      const std::map<std::string, replication::NodeReport>& reports,
      bool wanted);
  void ReadCertificates(const Context& ctx,
                        const std::set<std::string>& with_daemon,
                        const std::map<std::string, replication::NodeFacts>& facts);
  bool SecretLookDue(SteadyTime now) const;
  /// When the certificates are to be looked at again, at the latest.
  std::chrono::milliseconds UntilCertificates() const;
  void Apply(const Context& ctx, const replication::ClusterPlan& plan);
  replication::ClusterInput Input(
      const ClusterSettings& settings,
      const LevelsSnapshot& linstor,
      const std::vector<replication::ResourceObservation>& resources) const;
  replication::ClusterPlan Plan(
      replication::ClusterInput input,
      const ClusterSettings& settings,
      const std::map<std::string, std::vector<replication::PreflightFailure>>& preflight);
  std::map<std::string, std::map<replication::Pair, bool>> WantedNow() const;
  void StartDrivers(const std::vector<replication::ResourceObservation>& resources,
                    const replication::ClusterPlan& plan,
                    const LevelsSnapshot& linstor);
  void StartDriver(const replication::ResourceObservation& seen,
                   replication::RunState state,
                   bool switching,
                   bool foreign);
  // engine_alone.cc
  void TrackAlone(const std::vector<replication::ResourceObservation>& resources);
  void TrackCauses(
      const std::map<std::string, std::vector<replication::PreflightFailure>>& preflight);
  void HoldAlone(const ClusterSettings& settings);
  bool Explained(const std::string& node, SystemTime since, bool since_known) const;
  std::vector<api::MigrationFailure> AloneFailures() const;

  // engine_stale.cc
  void LoadStale();
  void NoteObservation(const replication::ResourceObservation& seen);
  void TidyStale(const Context& ctx,
                 const std::set<std::string>& released,
                 const std::set<std::string>* known);
  std::vector<api::MigrationFailure> StaleFailures() const;

  void NoteWaiting(const std::string& resource, const std::string& why);
  std::vector<api::MigrationFailure> LongWaits() const;
  void ReapDrivers(const Context& ctx);
  void NoteResult(const std::string& resource, const RunResult& result);
  std::vector<api::MigrationFailure> ShownFailures(
      const std::vector<replication::ResourceObservation>& resources,
      const replication::ClusterPlan& plan,
      const std::map<std::string, std::vector<replication::PreflightFailure>>& preflight);
  void Report(const Context& ctx, const api::Object& object, const Picture& picture);
  void TrackLeftovers(const std::vector<replication::ResourceObservation>& resources);
  bool NeedsCare(const replication::ResourceObservation& seen, bool foreign);
  replication::Goal GoalFor(const std::string& resource) const;
  std::set<std::string> ActiveNames() const;

  EngineDeps deps_;
  const Logger log_;
  NodeObserver observer_;
  Reporter reporter_;
  QuietNodes quiet_;  // only touched by the loop
  runtime::Wakeup wakeup_;
  std::unique_ptr<Cluster> cluster_;                       // only touched by the loop
  std::map<std::string, replication::RunState> resume_;  // journal of a former leader; loop only
  std::map<std::string, Failure> failures_;                // loop only
  std::map<std::string, SteadyTime> care_since_;           // loop only
  std::map<std::string, SteadyTime> suspended_since_;      // loop only
  std::map<std::string, std::string> danger_since_;        // loop only
  std::map<std::pair<std::string, replication::Pair>, Alone> alone_;  // loop only
  std::map<std::string, Cause> causes_;                                 // by node; loop only
  bool first_look_ = true;                                              // loop only
  std::string last_phase_;                                              // loop only
  std::map<std::string, NodeCertificate> certificates_;                 // loop only
  bool certificate_trouble_ = false;                                    // loop only
  std::optional<SteadyTime> certificates_read_;                         // loop only
  bool pending_ = false;                                                // loop only
  std::atomic<SteadyTime::rep> secret_changed_ = 0;                     // 0 = never

  mutable std::mutex mutex_;
  std::map<std::string, Active> active_;                                 // guarded by mutex_
  ClusterSettings settings_{};                                           // guarded by mutex_
  std::map<std::string, std::map<replication::Pair, bool>> wanted_{};  // guarded by mutex_
  std::map<std::string, std::string> unfit_{};                           // guarded by mutex_
  std::map<std::string, std::set<replication::Pair>> hold_{};          // guarded by mutex_
  replication::StaleLedger stale_{};                                   // guarded by mutex_
  std::set<std::string> leftover_{};                                     // guarded by mutex_

  bool stopping_ = false;         // guarded by mutex_
  std::stop_source driver_stop_;  // guarded by mutex_

  Thread loop_;
};

}  // namespace breakwater::controllers
