#pragma once

/// World: a Kubernetes cluster and a LINSTOR in memory with the four reconcilers, driven step by
/// step.
///
/// No threads and no watches: each step first makes the stores equal to the API server, so a test
/// says exactly what was seen when. Nodes run their pods when RunNodes() is called.

#include <chrono>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "operator/base/log.h"
#include "operator/controllers/cluster/cluster_reconciler.h"
#include "operator/controllers/node_connection/node_connection_reconciler.h"
#include "operator/controllers/satellite/satellite_reconciler.h"
#include "operator/controllers/satellite_configuration/configuration_reconciler.h"
#include "operator/testing/fake_clock.h"
#include "operator/testing/fake_kube.h"
#include "operator/testing/fake_linstor.h"

namespace breakwater::testing {

inline constexpr const char* kWorldNamespace = "storage";

/// LinstorProvider that always gives the fake, or a fixed error.
class FakeLinstorProvider final : public controllers::LinstorProvider {
 public:
  explicit FakeLinstorProvider(std::shared_ptr<FakeLinstor> fake) : fake_(std::move(fake)) {}

  Result<std::shared_ptr<linstor::Client>, Error> ClientFor(const std::string& cluster) override;

  std::optional<Error> error{};  ///< set: ClientFor fails

 private:
  std::shared_ptr<FakeLinstor> fake_;
};

class World {
 public:
  explicit World(const std::vector<std::string>& nodes = {"node-a", "node-b", "node-c"});
  ~World();

  FakeKube kube;
  std::shared_ptr<FakeLinstor> linstor = std::make_shared<FakeLinstor>();
  FakeLinstorProvider provider{linstor};
  FakeClock clock;
  controllers::LinstorSnapshots snapshots{provider};
  controllers::SatelliteUseBoard use;
  std::vector<kube::Event> events{};

  /// How long a reconcile may take, when it is not 0.
  std::chrono::seconds pass_limit{0};

  /// Creates or replaces a custom resource from JSON text.
  void Put(const api::ResourceInfo& kind, const std::string& name, const std::string& spec);
  /// Every satellite's DaemonSet gets a ready pod with an address and reports it. The CSI driver
  /// gets a pod, "csi-<node>", on every node that LINSTOR knows, and registers when that is made.
  /// Pods whose DaemonSet is gone end. `ready`: nodes whose pods become ready; empty = all.
  void RunNodes(const std::vector<std::string>& ready = {});
  /// The DaemonSets of satellites.
  std::vector<Json> SatelliteSets() const;
  /// Reconciles every object once; returns the errors.
  std::vector<std::string> ReconcileAll();
  /// RunNodes and ReconcileAll until a round writes nothing (neither to Kubernetes nor to LINSTOR)
  /// and has no error, a minute for each. False when that takes more than `rounds`. Deleted
  /// objects' dependents are collected.
  bool Settle(int rounds = 12);
  /// Reconciles one satellite on fresh stores.
  Result<runtime::Requeue, Error> ReconcileSatellite(const std::string& name);
  Result<runtime::Requeue, Error> ReconcileCluster();

  /// A condition of an object as "status/reason: message"; "" when it is not there.
  std::string Condition(const api::ResourceInfo& kind,
                        const std::string& name,
                        std::string_view type) const;

  std::string ClusterCondition(std::string_view type) const {
    return Condition(api_cluster(), "cluster", type);
  }

  /// Everything in Kubernetes and LINSTOR that should be equal after two runs, as text.
  std::string Summary();

 private:
  static const api::ResourceInfo& api_cluster();
  void Refresh();
  void RunCsiNodes(const api::Object& daemon_set,
                   const std::vector<std::string>& ready,
                   std::set<std::string>* alive);
  /// What driver and kubelet do: the keys are kept as they are when the driver is registered.
  void RegisterCsiDriver(const std::string& node, const linstor::Props& props);

  Context ctx() const {
    const Context endless(stop_.get_token(), clock);
    return pass_limit.count() == 0 ? endless : endless.WithTimeout(pass_limit);
  }

  std::stop_source stop_;
  Logger log_ = Logger::Null();
  std::vector<std::unique_ptr<runtime::Store>> stores_;
  controllers::ObjectStores written_;
  runtime::Applier applier_{kube};
  std::unique_ptr<controllers::Writers> writers_;
  std::unique_ptr<controllers::ImageSource> images_;
  std::unique_ptr<controllers::ClusterReconciler> cluster_;
  std::unique_ptr<controllers::SatelliteReconciler> satellite_;
  std::unique_ptr<controllers::ConfigurationReconciler> configuration_;
  std::unique_ptr<controllers::NodeConnectionReconciler> connection_;
};

/// First line in which two summaries differ, "" when they are equal.
std::string FirstDifference(const std::string& left, const std::string& right);

}  // namespace breakwater::testing
