#pragma once

/// SimBed: the replication-TLS controller with an API server, a LINSTOR and DRBD in one process and
/// in virtual time. For tests only.

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "operator/api/object.h"
#include "operator/base/clock.h"
#include "operator/base/log.h"
#include "operator/controllers/replication_tls/engine.h"
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
  explicit SimBed(const std::vector<std::string>& resources);
  ~SimBed() override;

  void SetClusterTls(const std::string& value, const api::Json& replication_tls = {});
  void Annotate(const std::string& key, const std::string& value);
  /// One round of the engine, then all drivers come to their end.
  void Round();
  void RoundsWithoutWaiting(int count);
  bool RunUntilPhase(const std::string& phase, int rounds = 40);

  /// The operator dies after so many operations on nodes.
  void StopAfterOperations(int count) { operations_left_ = count; }

  /// Rounds until the operator has died (see StopAfterOperations).
  void RunUntilDead();
  void NewLeader();
  /// As LINSTOR does for a snapshot.
  void Suspend(const std::string& resource);
  bool InjectStale(const std::string& resource);
  void RemoveCertificates(const std::string& node);
  void GiveCertificates(const std::string& node);

  api::Json Status();
  api::Json ConditionOf(const std::string& type);
  api::Json SatelliteCondition(const std::string& node);
  sim::ResourceReport Report(const std::string& resource);
  std::vector<std::string> EventReasons();

  int operations() const { return operations_; }

  std::string log();

  testing::FakeKube& kube() { return kube_; }

  testing::FakeLinstor& linstor() { return *linstor_; }

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
  std::vector<std::string> events_;
  std::atomic<int> operations_{0};
  std::atomic<int> operations_left_{-1};
  std::atomic<bool> dead_{false};
  std::map<std::string, int> watchdogs_;
  std::unique_ptr<Engine> engine_;
};

}  // namespace breakwater::controllers
