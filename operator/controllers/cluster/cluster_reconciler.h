#pragma once

/// ClusterReconciler: everything that belongs to a LinstorCluster as a whole.
///
/// Two halves that do not wait for each other: the Kubernetes half renders and applies objects, the
/// LINSTOR half looks at the controller and its properties. One of them failing shows in the
/// conditions and stops nothing of the other.

#include <chrono>
#include <map>
#include <mutex>
#include <string>

#include "operator/api/linstor_cluster.h"
#include "operator/controllers/cluster/csi_node_sync.h"
#include "operator/controllers/common/apply_objects.h"
#include "operator/controllers/common/image_source.h"
#include "operator/controllers/common/patch_alarm.h"
#include "operator/controllers/linstor_connection/linstor_provider.h"
#include "operator/controllers/linstor_connection/linstor_snapshot.h"
#include "operator/core/status/conditions.h"
#include "operator/runtime/controller.h"

namespace breakwater::controllers {

struct ClusterReconcilerOptions {
  std::string pull_secret{};  ///< "": none
  /// How often LINSTOR is looked at although nothing changed. Source: Piraeus Operator v2.
  std::chrono::milliseconds requeue_interval{std::chrono::minutes{1}};
  /// The same while LINSTOR does not answer or refuses. 10 s: soon enough for a person who waits; a
  /// look costs the API server nothing.
  std::chrono::milliseconds retry_interval{std::chrono::seconds{10}};
  /// How old what is shown of LINSTOR may be. Short: this pass is the one that keeps the shared
  /// snapshot young for the satellites, and notices first that LINSTOR is gone.
  std::chrono::milliseconds linstor_max_age{std::chrono::seconds{5}};
  /// Whether the cluster has snapshots of groups of volumes.
  bool volume_group_snapshots = false;
};

/// Everything is borrowed and outlives the reconciler.
struct ClusterReconcilerDeps {
  const runtime::Store& clusters;
  const runtime::Store& configurations;
  const runtime::Store& satellites;
  const runtime::Store& nodes;
  const runtime::Store& pods;
  const runtime::Store& csi_nodes;
  const Writers& writers;
  const ImageSource& images;
  LinstorProvider& linstor;
  LinstorSnapshots& snapshots;
  const Logger& log;
  EventSink events{};
};

/// Thread safety: see runtime::Reconciler.
class ClusterReconciler final : public runtime::Reconciler {
 public:
  ClusterReconciler(ClusterReconcilerDeps deps, ClusterReconcilerOptions options)
      : deps_(std::move(deps)),
        options_(std::move(options)),
        alarm_(deps_.events),
        csi_nodes_(deps_.pods, deps_.csi_nodes, deps_.writers.client, deps_.log) {}

  Result<runtime::Requeue, Error> Reconcile(const Context& ctx, const api::ObjectKey& key) override;

 private:
  /// Findings of one reconcile.
  struct Pass {
    const api::Object& cluster;
    const api::LinstorClusterSpec& spec;
    api::FieldErrors errors{};  ///< of the spec
    bool readable = true;       ///< false: a part of the spec is missing in `spec`
    core::ConditionSet conditions{};
    api::LinstorClusterStatus status{};
    std::optional<Error> error{};
    bool linstor_settled = false;  ///< LINSTOR answered and has what it should
  };

  void ApplyHalf(const Context& ctx, Pass& pass);
  /// Of everything that the Kubernetes half reads. The same text: nothing to render or to compare.
  std::string Fingerprint(const Pass& pass) const;
  /// Patches and podTemplates that can take over a node, as an event.
  void AnnounceDangers(const Pass& pass);
  void CountSatellites(Pass& pass) const;
  void CheckKeptDaemons(Pass& pass) const;
  void CheckDefinitions(Pass& pass) const;
  /// A satellite with internalTLS listens for TLS only, and a controller without it has nothing to
  /// connect there with: LINSTOR then fails with a message about a "default TCP connector".
  void CheckInternalTls(Pass& pass) const;
  /// APIUnprotected is True where a stranger can command LINSTOR.
  static void CheckApiDoor(Pass& pass);
  Result<void, Error> WriteStatus(const Context& ctx, Pass& pass) const;

  // cluster_linstor.cc
  void LinstorHalf(const Context& ctx, Pass& pass);
  void SyncProperties(const Context& ctx, linstor::Client& client, Pass& pass) const;

  const ClusterReconcilerDeps deps_;
  const ClusterReconcilerOptions options_;
  PatchAlarm alarm_;
  CsiNodeSync csi_nodes_;

  std::mutex applied_mutex_;

  struct Applied {
    std::string fingerprint{};
    std::vector<std::string> warnings{};
  };

  /// Of a pass that found everything in place, by name of the cluster.
  std::map<std::string, Applied> applied_;  // guarded by applied_mutex_
};

/// Kinds that are deleted when a LinstorCluster no longer asks for an object of them.
const std::vector<api::ResourceInfo>& ClusterPruneKinds();

}  // namespace breakwater::controllers
