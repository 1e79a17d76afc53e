#pragma once

/// SimBed: the replication-TLS controller with an API server, a LINSTOR and DRBD in one process and
/// in virtual time. For tests only.

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "operator/api/object.h"
#include "operator/api/resources.h"
#include "operator/base/clock.h"
#include "operator/base/log.h"
#include "operator/controllers/replication/engine.h"
#include "operator/runtime/health.h"
#include "operator/runtime/metrics.h"
#include "operator/testing/fake_kube.h"
#include "operator/testing/fake_linstor.h"
#include "tests/e2e/sim/drbd/cluster.h"
#include "tests/e2e/sim/drbd/test_cluster.h"

namespace breakwater::controllers {

/// Time of the simulator; sleeping moves it. Thread safety: any thread.
class SimClock final : public Clock {
 public:
  SimClock(sim::Cluster& cluster, std::recursive_mutex& mutex) : cluster_(cluster), mutex_(mutex) {}

  SystemTime SystemNow() const override;
  SteadyTime SteadyNow() const override;
  bool SleepUntil(std::stop_token stop, SteadyTime time) const override;

 private:
  sim::Cluster& cluster_;
  std::recursive_mutex& mutex_;
};

class SimBed final : public NodeShell, public LinstorProvider {
 public:
  /// `replicas`: on the first so many nodes; two replicas have no quorum.
  explicit SimBed(const std::vector<std::string>& resources, std::size_t replicas = 3);
  ~SimBed() override;

  void SetClusterTls(const std::string& value, const api::Json& replication_tls = {});
  void Annotate(const std::string& key, const std::string& value);
  /// One round of the engine, then all drivers come to their end.
  void Round(const std::stop_token& leading = {});
  void RoundsWithoutWaiting(int count);
  bool RunUntilPhase(const std::string& phase, int rounds = 40);

  /// The operator dies after so many operations on nodes.
  void StopAfterOperations(int count) { operations_left_ = count; }

  /// Rounds until the operator has died (see StopAfterOperations).
  void RunUntilDead();
  void NewLeader();
  /// As LINSTOR does for a snapshot.
  void Suspend(const std::string& resource);
  bool InjectStale(const std::string& resource,
                   const std::string& primary = "node1",
                   const std::string& peer = "node2");
  /// A third replica of r0, made by LINSTOR on node3.
  void AddReplica();
  /// The node's exec fails from now on, or works again.
  void SetUnreachable(const std::string& node, bool unreachable);

  /// LINSTOR's satellites write no .res files any more.
  void FreezeRes() { frozen_res_ = true; }

  /// Whether the call that reaches the API server now comes from a driver's thread.
  bool InJournalWrite() const { return std::this_thread::get_id() != main_thread_; }

  /// No satellite pod has the container of tlshd.
  void RemoveHandshakeDaemons();
  void RemoveCertificates(const std::string& node);
  void GiveCertificates(const std::string& node);

  api::Json Status();
  api::Json ConditionOf(const std::string& type);
  api::Json SatelliteCondition(const std::string& node);
  sim::ResourceReport Report(const std::string& resource);
  std::vector<std::string> EventReasons();

  int operations() const { return operations_; }

  /// Called in the driver's thread before each operation on a node, without any lock.
  void on_operation(std::function<void(const std::string& kind)> hook) {
    on_operation_ = std::move(hook);
  }

  /// Virtual time goes on, as it does while a server takes its time.
  void Advance(std::chrono::milliseconds time);
  /// A command that somebody else gives on a node; its exit code.
  int Shell(const std::string& node, const std::vector<std::string>& command);
  /// State of a connection of r0 as `node` sees it.
  std::string StateOf(const std::string& node, const std::string& peer);
  /// What F6 describes: without a certificate the next handshake ends StandAlone; then it is back.
  void BreakByCertificate(const std::string& node, const std::string& peer);
  std::vector<std::string> operation_kinds();

  std::string log();

  testing::FakeKube& kube() { return kube_; }

  testing::FakeLinstor& linstor() { return *linstor_; }

  Engine& engine() { return *engine_; }

  Result<kube::ExecResult, Error> Run(const Context& ctx,
                                      const std::string& node,
                                      const std::string& container,
                                      const std::vector<std::string>& argv) override;

  Result<std::shared_ptr<linstor::Client>, Error> ClientFor(const std::string&) override {
    return std::shared_ptr<linstor::Client>(linstor_);
  }

 private:
  void MakeEngine();
  void SyncStores();
  void SyncRes();
  kube::ExecResult Act(const std::string& node, const std::vector<std::string>& argv);
  int RunOp(const std::string& node, const std::string* op);

  const std::vector<std::string> nodes_ = {"node1", "node2", "node3"};
  std::recursive_mutex mutex_;  // the simulator is single-threaded
  sim::Cluster cluster_;
  SimClock clock_;
  std::map<std::string, sim::testing::ResourceSpec> specs_;
  testing::FakeKube kube_;
  std::shared_ptr<testing::FakeLinstor> linstor_ = std::make_shared<testing::FakeLinstor>();
  std::mutex events_mutex_;  // guards log_text_ and events_; made before the logger
  std::string log_text_;
  Logger log_;
  runtime::Metrics metrics_;
  runtime::Health health_{clock_};
  runtime::Store clusters_;
  runtime::Store satellites_;
  runtime::Store pods_;
  runtime::Store secrets_{api::kSecret};
  std::vector<std::string> events_;
  std::function<void(const std::string&)> on_operation_;
  const std::thread::id main_thread_ = std::this_thread::get_id();
  bool frozen_res_ = false;
  std::set<std::string> unreachable_;  // guarded by mutex_
  std::vector<std::string> kinds_;     // guarded by mutex_
  std::atomic<int> operations_{0};
  std::atomic<int> operations_left_{-1};
  std::atomic<bool> dead_{false};
  std::map<std::string, int> watchdogs_;
  std::unique_ptr<Engine> engine_;
};

}  // namespace breakwater::controllers
