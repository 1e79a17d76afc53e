// The handshake daemon stays while volumes of the node are replicated with TLS.
//
// Without it a connection that breaks does not come back, and after some of them quorum is gone:
// 28 s after a network cut, with phase Complete until then. A commit that is reverted, or a
// configuration that somebody adds, takes it away from all nodes at once.

#include "operator/api/linstor_cluster.h"
#include "operator/api/resources.h"
#include "operator/controllers/common/replication_secret.h"
#include "operator/controllers/satellite/satellite_reconciler.h"

namespace breakwater::controllers {
namespace {

bool AsksForDaemon(const api::LinstorSatelliteSpec& spec) {
  return spec.internal_tls && spec.internal_tls->tls_handshake_daemon;
}

/// Whether a DaemonSet starts the daemon: with an image, which a patch or an image configuration
/// without the component takes away as well.
bool StartsDaemon(const api::Json& daemon_set) {
  const api::Json* containers =
      api::FindPath(daemon_set, {"spec", "template", "spec", "containers"});
  if (containers == nullptr || !containers->is_array()) {
    return false;
  }
  for (const api::Json& container : *containers) {
    if (api::StringAt(container, "name") == kHandshakeContainer) {
      const std::string image = api::StringAt(container, "image");
      return !image.empty() && image != kHandshakeContainer;
    }
  }
  return false;
}

}  // namespace

std::string SatelliteReconciler::DaemonNeeded(const Pass& pass) const {
  const api::ObjectPtr cluster = deps_.clusters.Get({"", pass.spec.cluster_ref.name});
  if (cluster && api::DecodeLinstorCluster(cluster->raw())
                     .value.replication_tls.allow_handshake_daemon_removal) {
    return "";
  }
  const std::shared_ptr<const SatelliteUse> use = deps_.use.Get();
  if (!cluster || !use || use->cluster_uid != cluster->uid()) {
    return "whether its volumes are replicated with TLS is not known yet";
  }
  const auto known = use->daemon.find(pass.satellite.name());
  return known == use->daemon.end() ? "whether its volumes are replicated with TLS is not known"
                                    : known->second;
}

void SatelliteReconciler::KeepDaemon(Pass& pass) const {
  if (AsksForDaemon(pass.spec)) {
    return;
  }
  const api::ObjectPtr live = DaemonSetOf(pass.satellite.uid());
  if (!SpecHasContainer(live, kHandshakeContainer)) {
    return;
  }
  if (std::string why = DaemonNeeded(pass); !why.empty()) {
    pass.kept_daemon = MountedTls(live).value_or(api::TlsConfig());
    pass.kept_why = "no LinstorSatelliteConfiguration asks for it any more: " + why;
  }
}

bool SatelliteReconciler::PatchTakesDaemon(Pass& pass, const api::Json* desired) const {
  if ((desired != nullptr && StartsDaemon(*desired)) ||
      !SpecHasContainer(DaemonSetOf(pass.satellite.uid()), kHandshakeContainer)) {
    return false;
  }
  const std::string why = DaemonNeeded(pass);
  if (why.empty()) {
    return false;
  }
  pass.kept_why =
      "a patch, or an image configuration without ktls-utils, takes it away (all "
      "changes of the pod template wait): " +
      why;
  return true;
}

void SatelliteReconciler::ReportKeptDaemon(Pass& pass) {
  const std::string& name = pass.satellite.name();
  bool news = false;
  {
    const std::lock_guard lock(applied_mutex_);
    if (pass.kept_why.empty()) {
      kept_.erase(name);
      return;
    }
    news = kept_.insert(name).second;
  }
  const std::string message =
      "The handshake daemon (ktls-utils) stays, although " + pass.kept_why +
      ". A connection that breaks without it does not come back. Ask for it again, or go back to "
      "plaintext first (DrbdOptions/Net/tls: \"no\"); to take it away all the same set "
      "spec.replicationTLS.allowHandshakeDaemonRemoval of the LinstorCluster";
  pass.conditions.AddPending(api::kConditionApplied, message, api::kReasonHandshakeDaemonKept);
  if (news && deps_.events) {
    deps_.events({.regarding = kube::RefOf(pass.satellite),
                  .action = "Apply",
                  .reason = std::string(api::kReasonHandshakeDaemonKept),
                  .note = message,
                  .warning = true});
  }
}

}  // namespace breakwater::controllers
