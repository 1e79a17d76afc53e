#pragma once

/// ReplicationControllers: the reconcilers of replication TLS, made and wired to each other.
/// Everything but the manager, so that tests can run them with agents of their own.

#include <functional>
#include <stop_token>
#include <string>

#include "operator/controllers/node_shell/satellite_pods.h"
#include "operator/controllers/replication/cluster_reconciler.h"
#include "operator/controllers/replication/register.h"
#include "operator/controllers/replication/volume_reconciler.h"

namespace breakwater::controllers {

/// References must outlive the controllers.
struct ReplicationControllersDeps {
  runtime::Services services;
  kube::KubeClient& client;
  NodeShell& shell;
  AgentHub& agents;
  LinstorProvider& linstor;
  const runtime::Store& clusters;
  SatelliteStores satellites;
  const runtime::Store& secrets;
  FloorSource floor;
  EventSink events{};
  ReplicationTlsOptions options{};
};

/// How a key becomes due.
struct ReplicationQueues {
  std::function<void(const std::string& resource)> volume{};
  std::function<void(const std::string& node)> node{};
  std::function<void()> cluster{};
};

/// Thread safety: Note* from any thread; the rest as said there.
class ReplicationControllers {
 public:
  explicit ReplicationControllers(ReplicationControllersDeps deps);

  /// Before the first reconcile.
  void SetQueues(const ReplicationQueues& queues);
  /// We lead until `leading` is stopped.
  void Lead(const std::stop_token& leading, std::int64_t epoch);

  runtime::Reconciler& cluster() { return cluster_; }

  runtime::Reconciler& volume() { return volume_; }

  runtime::Reconciler& node() { return node_; }

  /// The certificate files of the nodes, as last read.
  std::map<std::string, NodeCertificate> Certificates() const { return node_.Certificates(); }

  /// The certificate files of a node, and its clock, are to be read again. From any thread.
  void WantCertificates(const std::string& node);

  /// An agent reported, came or went.
  void NoteResource(const std::string& resource);
  void NoteNode(const std::string& node);
  void NoteResult(const std::string& node, const replication::ResultMessage& message);
  void NotePod(const api::Object& pod);
  void NoteSecret(const api::Object& secret);

 private:
  const ReplicationControllersDeps deps_;
  ReplicationQueues queues_;
  PlanBoard board_;
  ClaimBoard claims_;
  NodeFeed feed_;
  Reporter reporter_;
  TlsMetrics metrics_;
  VolumeReconciler volume_;
  NodeReconciler node_;
  ReplicationClusterReconciler cluster_;
};

}  // namespace breakwater::controllers
