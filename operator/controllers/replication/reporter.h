#pragma once

/// Reporter: turns what was seen into status, conditions, metrics and events. Never claims
/// encryption without evidence on both ends (I6).

#include <map>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "operator/api/condition.h"
#include "operator/api/object.h"
#include "operator/api/replication_tls.h"
#include "operator/base/context.h"
#include "operator/controllers/replication/cluster_settings.h"
#include "operator/controllers/replication/register.h"
#include "operator/controllers/replication/run_driver.h"
#include "operator/core/replication/plan/cluster_plan.h"
#include "operator/core/replication/node/preflight.h"
#include "operator/kube/client.h"
#include "operator/runtime/services.h"
#include "operator/runtime/store.h"

namespace breakwater::controllers {

/// One look at the cluster.
struct Picture {
  const std::vector<replication::ResourceObservation>& resources;
  const replication::ClusterPlan& plan;
  const ClusterSettings& settings;
  const std::map<std::string, std::vector<replication::PreflightFailure>>& nodes;
  const std::set<std::string>& in_flight;
  std::vector<api::MigrationFailure> failures{};
  bool linstor_known = false;
  std::string linstor_error{};
};

/// Bound of status.replicationTLS.failures.
inline constexpr std::size_t kMaxFailures = 20;

/// Pure: counts, phase, failures. `in_flight` of the result is empty (StatusWriter owns it).
api::ReplicationTlsStatus BuildStatus(const Picture& picture);
/// Pure: condition ReplicationEncrypted; without a transition time.
api::Condition BuildCondition(const Picture& picture, const api::ReplicationTlsStatus& status);
/// Pure: condition ReplicationTLSReady of one node.
api::Condition NodeCondition(const std::vector<replication::PreflightFailure>& failures);

/// Thread safety: all methods may be called from any thread.
class Reporter {
 public:
  Reporter(runtime::Services services,
           kube::KubeClient& client,
           const runtime::Store& clusters,
           const runtime::Store& satellites,
           EventSink events);

  /// Condition ReplicationTLSReady of every LinstorSatellite; writes only what changed.
  void ReportNodes(
      const Context& ctx,
      const std::map<std::string, std::vector<replication::PreflightFailure>>& nodes);

  /// What alerts are made of.
  struct Dangers {
    std::size_t stale = 0;
    std::size_t diverged = 0;
    std::size_t suspended = 0;
  };

  void SetMetrics(const api::ReplicationTlsStatus& status, const Dangers& dangers);
  void CountRun(const RunResult& result);
  /// About the volume `resource`, or "" = about the cluster as a whole.
  void Event(const std::string& cluster,
             const std::string& resource,
             bool warning,
             const std::string& reason,
             const std::string& note);

 private:
  runtime::Services services_;
  kube::KubeClient& client_;
  const runtime::Store& clusters_;
  const runtime::Store& satellites_;
  const EventSink events_;
};

}  // namespace breakwater::controllers
