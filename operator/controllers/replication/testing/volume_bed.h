#pragma once

/// VolumeBed: the replication controllers against fakes, in virtual time and one thread: FakeKube,
/// FakeLinstor, DRBD simulated, with the real agents' Runner on each node (sim_hub.h).

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <vector>

#include "operator/api/object.h"
#include "operator/controllers/node_shell/node_shell.h"
#include "operator/controllers/replication/replication_controllers.h"
#include "operator/controllers/replication/testing/sim_hub.h"
#include "operator/runtime/health.h"
#include "operator/runtime/metrics.h"
#include "operator/testing/fake_kube.h"
#include "operator/testing/fake_linstor.h"
#include "tests/e2e/sim/drbd/test_cluster.h"

namespace breakwater::controllers {

struct BedOptions {
  std::vector<std::string> resources{"r0"};
  std::size_t replicas = 3;  ///< on the first so many of node1, node2, node3; two have no quorum
  /// Those of single resources.
  std::map<std::string, std::size_t> replicas_of{};
  std::vector<std::string> diskless{};
  bool agents = true;  ///< the pods have an agent
};

class VolumeBed final : public NodeShell, public LinstorProvider {
 public:
  explicit VolumeBed(const BedOptions& options = {});
  ~VolumeBed() override;

  void SetClusterTls(const std::string& value, const api::Json& replication_tls = {});
  void Annotate(const std::string& key, const std::string& value);

  /// Virtual time goes on; the controllers do what is due.
  void RunFor(std::chrono::milliseconds time);
  bool RunUntil(const std::function<bool()>& condition, std::chrono::milliseconds limit);
  bool RunUntilPhase(const std::string& phase,
                     std::chrono::milliseconds limit = std::chrono::minutes(5));

  /// The operator dies; nothing of it goes on. Then another one leads.
  void KillOperator();
  void StartOperator();

  /// Leadership is lost: reconciles that run may end, nothing is asked for.
  void LoseLeadership() { leading_.request_stop(); }

  int Shell(const std::string& node, const std::vector<std::string>& command);
  std::string StateOf(const std::string& node,
                      const std::string& peer,
                      const std::string& resource = "r0");
  bool InjectStale(const std::string& resource,
                   const std::string& primary = "node1",
                   const std::string& peer = "node2");
  void RemoveCertificates(const std::string& node);
  /// The handshake daemon runs (again) in a new container.
  void RestartDaemon(const std::string& node);
  void GiveCertificates(const std::string& node);
  /// What F6 describes: without a certificate the next handshake ends StandAlone; then it is back.
  void BreakByCertificate(const std::string& node, const std::string& peer);

  api::Json Status();
  api::Json ConditionOf(const std::string& type);
  api::Json SatelliteCondition(const std::string& node);

  sim::ResourceReport Report(const std::string& resource = "r0") {
    return cluster_.Report(resource);
  }

  /// Without the comparison of all blocks, which is slow.
  sim::ResourceReport Summary(const std::string& resource = "r0") {
    return cluster_.Summary(resource);
  }

  testing::FakeKube& kube() { return kube_; }

  testing::FakeLinstor& linstor() { return *linstor_; }

  SimHub& hub() { return hub_; }

  agent::testing::SimAgents& agents() { return agents_; }

  sim::Cluster& cluster() { return cluster_; }

  runtime::Metrics& metrics() { return metrics_; }

  ReplicationControllers& controllers() { return *controllers_; }

  const std::vector<std::string>& events() const { return events_; }

  const std::string& log() const { return log_text_; }

  /// For messages of failed expectations.
  std::string Dump();

  int execs = 0;                       ///< that the operator made
  sim::Millis exec_takes{0};           ///< each of them
  std::set<std::string> silent_nodes;  ///< whose exec fails
  bool refuse_heals = false;           ///< the script of a heal by exec sees a reason not to

  Result<kube::ExecResult, Error> Run(const Context& ctx,
                                      const std::string& node,
                                      const std::string& container,
                                      const std::vector<std::string>& argv) override;

  Result<std::shared_ptr<linstor::Client>, Error> ClientFor(const std::string&) override {
    return std::shared_ptr<linstor::Client>(linstor_);
  }

 private:
  class BedClock final : public Clock {
   public:
    explicit BedClock(VolumeBed* bed) : bed_(*bed) {}

    SystemTime SystemNow() const override;
    SteadyTime SteadyNow() const override;
    bool SleepUntil(std::stop_token stop, SteadyTime time) const override;

   private:
    VolumeBed& bed_;
  };

  /// Keys of one controller and when they are due.
  using Queue = std::map<std::string, SteadyTime>;

  void MakePods(bool agents);
  void MakeVolumes(const BedOptions& options);
  void SyncStores();
  void SyncRes();
  bool Reconcile(runtime::Reconciler& reconciler, Queue* queue);
  void Step(sim::Time end);

  const std::vector<std::string> nodes_{"node1", "node2", "node3"};
  sim::Cluster cluster_;
  agent::testing::SimAgents agents_{&cluster_};
  SimHub hub_;
  BedClock clock_{this};
  std::map<std::string, sim::testing::ResourceSpec> specs_;
  testing::FakeKube kube_;
  std::shared_ptr<testing::FakeLinstor> linstor_ = std::make_shared<testing::FakeLinstor>();
  std::string log_text_;
  Logger log_;
  runtime::Metrics metrics_;
  runtime::Health health_{clock_};
  runtime::Store clusters_;
  runtime::Store satellites_;
  runtime::Store daemon_sets_;
  runtime::Store pods_;
  runtime::Store secrets_;
  runtime::Store persistent_volumes_;
  runtime::Store storage_classes_;
  std::vector<std::string> events_;
  Queue volumes_;
  Queue due_nodes_;
  Queue cluster_keys_;
  std::stop_source leading_;
  std::int64_t epoch_ = 0;
  std::unique_ptr<ReplicationControllers> controllers_;
};

}  // namespace breakwater::controllers
