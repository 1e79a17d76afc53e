#pragma once

/// SatelliteReconciler: one LinstorSatellite, that is one node of the storage cluster.
///
/// Kubernetes half: DaemonSet, ConfigMaps and Certificate of the node, changed in waves
/// (RolloutGate). LINSTOR half: node, properties, interfaces and pools once the pod is ready.
/// Deletion follows the deletion policy. The finalizer makes sure of that.

#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "operator/api/linstor_satellite.h"
#include "operator/controllers/common/apply_objects.h"
#include "operator/controllers/common/image_source.h"
#include "operator/controllers/common/patch_alarm.h"
#include "operator/controllers/common/satellite_use.h"
#include "operator/controllers/linstor_connection/linstor_provider.h"
#include "operator/controllers/linstor_connection/linstor_snapshot.h"
#include "operator/controllers/satellite/departure.h"
#include "operator/controllers/satellite/node_registration.h"
#include "operator/controllers/satellite/pool_backoff.h"
#include "operator/controllers/satellite/rollout_gate.h"
#include "operator/core/render/render.h"
#include "operator/core/status/conditions.h"
#include "operator/runtime/controller.h"

namespace breakwater::controllers {

struct SatelliteReconcilerOptions {
  /// How often LINSTOR is looked at although nothing changed. Source: Piraeus Operator v2.
  std::chrono::milliseconds requeue_interval{std::chrono::minutes{1}};
  /// The same while something is not yet as it should be.
  std::chrono::milliseconds retry_interval{std::chrono::seconds{10}};
  /// The same for the satellite that is next to change. It is also woken by the DaemonSet it waits
  /// for, but not when LINSTOR sees that satellite again.
  std::chrono::milliseconds next_in_line_interval{std::chrono::seconds{2}};
  /// How old what is known of LINSTOR may be while nothing is to be done.
  std::chrono::milliseconds linstor_max_age{std::chrono::minutes{1}};
  /// Satellites that may change at once.
  int max_unavailable = 1;
};

/// Everything is borrowed and outlives the reconciler.
struct SatelliteReconcilerDeps {
  const runtime::Store& clusters;
  const runtime::Store& satellites;
  const runtime::Store& nodes;
  const runtime::Store& pods;
  const runtime::Store& daemon_sets;
  const Writers& writers;
  const ImageSource& images;
  LinstorProvider& linstor;
  LinstorSnapshots& snapshots;
  const Logger& log;
  const SatelliteUseBoard& use;
  EventSink events{};
};

/// Thread safety: see runtime::Reconciler.
class SatelliteReconciler final : public runtime::Reconciler {
 public:
  SatelliteReconciler(SatelliteReconcilerDeps deps, SatelliteReconcilerOptions options)
      : deps_(std::move(deps)),
        options_(options),
        gate_(options.max_unavailable),
        backoff_(options.retry_interval, options.requeue_interval) {}

  Result<runtime::Requeue, Error> Reconcile(const Context& ctx, const api::ObjectKey& key) override;

  /// The satellite that may change next, if one waits for its turn: to be asked when a DaemonSet
  /// changed.
  std::vector<api::ObjectKey> NextInLine() const;

 private:
  /// Findings of one reconcile.
  struct Pass {
    const api::Object& satellite;
    const api::LinstorSatelliteSpec& spec;
    api::ObjectPtr node{};  ///< null when the Node is gone
    core::ConditionSet conditions{};
    api::LinstorSatelliteStatus status{};
    std::optional<Error> error{};
    std::shared_ptr<linstor::Client> client{};  ///< null when LINSTOR has no address
    std::string external_version{};             ///< of LINSTOR, when it is not ours
    core::ReplicationCertificate replication{};
    bool awaits_certificate = false;  ///< for the handshake daemon that it is to get
    /// What the handshake daemon mounts that stays against the spec.
    std::optional<api::TlsConfig> kept_daemon{};
    std::string kept_why{};               ///< why it stays, "" when nothing is kept
    std::vector<std::string> warnings{};  ///< of the rendering
    bool settled = false;                 ///< LINSTOR has what it should
    bool waiting = false;                 ///< a change waits for its turn in the rollout
  };

  // satellite_reconciler.cc
  bool Guard(const Context& ctx, Pass& pass) const;
  void Keep(const Context& ctx, Pass& pass);
  void Forget(const std::string& name);
  Result<void, Error> WriteStatus(const Context& ctx, Pass& pass) const;
  Result<void, Error> ReportRemoved(const Context& ctx, Pass& pass) const;

  // satellite_apply.cc
  void ApplyHalf(const Context& ctx, Pass& pass);
  void Apply(const Context& ctx, Pass& pass, const std::string& fingerprint);
  /// Null when it has none; of two, one that is not settled.
  api::ObjectPtr DaemonSetOf(const std::string& satellite_uid) const;
  std::string AwaitTurn(const Context& ctx, Pass& pass, const api::Json* desired);
  /// A volume on this node that is being switched; "" when none.
  std::string SwitchingVolume(const Context& ctx, const Pass& pass) const;
  /// Nothing when LINSTOR cannot be asked.
  std::optional<std::set<std::string>> OfflineNodes(const Context& ctx, Pass& pass) const;
  bool LinstorComesBack(const Context& ctx, const Pass& pass) const;
  std::string ExternalVersion(const Context& ctx, const Pass& pass) const;
  void LookAtReplication(Pass& pass) const;

  // satellite_daemon.cc
  /// Why the handshake daemon of the node must not go; "" when it may.
  std::string DaemonNeeded(const Pass& pass) const;
  /// Sets kept_daemon and kept_why when the spec does not ask for a daemon that is needed.
  void KeepDaemon(Pass& pass) const;
  /// Whether what was rendered lacks a daemon that is needed: a patch may take it away. Sets
  /// kept_why.
  bool PatchTakesDaemon(Pass& pass, const api::Json* desired) const;
  /// Says it in the condition, and in an event when it is new.
  void ReportKeptDaemon(Pass& pass);
  void AwaitCertificate(const Context& ctx,
                        Pass& pass,
                        std::vector<api::Json> objects,
                        const std::string& awaited);
  /// What of MissingMounts() only the new template needs, while pods with the old one run; "" when
  /// nothing.
  std::string AwaitedMounts(const Pass& pass, const std::vector<std::string>& missing) const;
  /// A volume of this node whose copy on another one is not UpToDate; "" when none.
  static std::string DegradedVolume(const Context& ctx,
                                    const Pass& pass,
                                    const std::set<std::string>& offline);
  std::string Fingerprint(const Pass& pass) const;

  // satellite_linstor.cc
  void LinstorHalf(const Context& ctx, Pass& pass);
  api::ObjectPtr FindPod(const Pass& pass) const;
  /// LINSTOR as known, read again when it shows something to do; null when it cannot be asked.
  LinstorSnapshotPtr Look(const Context& ctx, const Pass& pass, const WantedNode& wanted);
  void Register(const Context& ctx,
                Pass& pass,
                const WantedNode& wanted,
                const LinstorSnapshot& snapshot);
  /// Whether something was written.
  bool RegisterPools(const Context& ctx, Pass& pass, LinstorNodeFacts& facts);

  // satellite_deletion.cc
  /// True when nothing holds the satellite any more.
  bool Remove(const Context& ctx, Pass& pass);
  /// Whether the LinstorCluster that made the satellite is still there and stays: then its data has
  /// to be taken care of. Asks the API server, not only the store.
  Result<bool, Error> ClusterStays(const Context& ctx, const Pass& pass) const;
  bool RemoveLost(const Context& ctx, Pass& pass) const;
  /// False: a volume has its only good copy on the node, or nobody knows; the condition says so.
  bool MayForget(const Context& ctx, Pass& pass) const;
  bool Evacuate(const Context& ctx, Pass& pass);
  void WatchEvacuation(const Context& ctx, Pass& pass);
  bool MayEvacuate(const Context& ctx, Pass& pass, const linstor::Node& node);

  const SatelliteReconcilerDeps deps_;
  const SatelliteReconcilerOptions options_;
  RolloutGate gate_;             // own locking
  PoolBackoff backoff_;          // own locking
  std::mutex evacuation_mutex_;  // held from counting the running evacuations to starting one

  struct Evacuation {
    Departure left{};
    SteadyTime since{};  ///< it has looked like this, and nothing was asked for
    std::chrono::minutes patience{0};
    /// LINSTOR was asked to begin and did not answer.
    std::optional<SteadyTime> unanswered{};
  };

  std::map<std::string, Evacuation> evacuations_;  // by satellite; guarded by evacuation_mutex_
  std::mutex applied_mutex_;

  struct Applied {
    std::string fingerprint{};
    std::vector<std::string> warnings{};
  };

  /// By satellite: what its objects were made from and which versions they have, when the last pass
  /// found nothing to write. Equal: rendering again would find the same.
  std::map<std::string, Applied> applied_;  // guarded by applied_mutex_
  std::set<std::string> kept_;              // by satellite; guarded by applied_mutex_
};

}  // namespace breakwater::controllers
