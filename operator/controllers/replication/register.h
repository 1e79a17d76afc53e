#pragma once

/// How the composition root adds the replication-TLS controllers to the manager.
///
///   controllers::ReplicationTlsOptions options;
///   options.operator_namespace = flags.operator_namespace;
///   options.observe_interval = flags.observe_interval;
///   auto tls = controllers::RegisterReplicationTls(
///       manager, services, kube_client, pod_exec, linstor_provider, secrets, events, options);
///   // keep `tls` until manager.Run() has returned

#include <chrono>
#include <memory>
#include <string>

#include "operator/controllers/common/satellite_use.h"
#include "operator/controllers/linstor_connection/linstor_provider.h"
#include "operator/controllers/replication/report/reporter.h"
#include "operator/kube/client.h"
#include "operator/kube/pod_exec.h"
#include "operator/runtime/manager.h"
#include "operator/runtime/services.h"

namespace breakwater::controllers {

struct ReplicationTlsOptions {
  /// Namespace of the satellite pods.
  std::string operator_namespace{};
  /// How often LINSTOR is read, and nodes without an agent are observed, while nothing is to do
  /// (flag --observe-interval).
  std::chrono::milliseconds observe_interval{60000};
  /// Containers of the satellite pod; names are part of the Piraeus Operator's API.
  std::string satellite_container = "linstor-satellite";
  std::string tlshd_container = "ktls-utils";
  /// Longest time for one exec.
  std::chrono::milliseconds exec_timeout{20000};
  std::string version{};   ///< of the operator, for the agents
  std::string instance{};  ///< of this process, part of the ids of its requests
  /// Told what replication needs of the satellites; borrowed, may be null.
  SatelliteUseBoard* use = nullptr;
};

/// Keeps the controllers alive. Destroy after the manager's Run() returned.
class ReplicationTlsHandle {
 public:
  virtual ~ReplicationTlsHandle() = default;
};

/// Adds the stores that the controllers read (LinstorCluster, LinstorSatellite, DaemonSet and Pod
/// of the operator's namespace), the controllers "replication-cluster", "replication-volume",
/// "replication-node" and "replication-certificates", and a leader-only runnable that keeps the
/// streams to the agents. `secrets` holds the Secrets of that namespace. Call once, before
/// Manager::Run. All references must outlive the handle. Owns the LINSTOR property
/// DrbdOptions/Net/tls at controller level: the LinstorCluster controller must leave it (and
/// Aux/breakwater.io/*) alone.
std::unique_ptr<ReplicationTlsHandle> RegisterReplicationTls(runtime::Manager& manager,
                                                             runtime::Services services,
                                                             kube::KubeClient& client,
                                                             kube::PodExec& exec,
                                                             LinstorProvider& linstor,
                                                             runtime::Store& secrets,
                                                             EventSink events,
                                                             ReplicationTlsOptions options);

}  // namespace breakwater::controllers
