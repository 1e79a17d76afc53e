// The Kubernetes half of the satellite reconciler.

#include <algorithm>

#include "operator/api/duration.h"
#include "operator/api/linstor_cluster.h"
#include "operator/api/resources.h"
#include "operator/base/log.h"
#include "operator/controllers/common/missing_mounts.h"
#include "operator/controllers/common/pass_end.h"
#include "operator/controllers/common/replication_secret.h"
#include "operator/controllers/common/status_tools.h"
#include "operator/controllers/satellite/satellite_reconciler.h"
#include "operator/core/admission/validate.h"
#include "operator/core/render/render.h"
#include "operator/runtime/apply.h"
#include "operator/runtime/subset.h"

namespace breakwater::controllers {
namespace {

/// On the DaemonSet: hash of its pod template as it was applied last. The live template has the
/// defaults of the API server, so only a hash shows that a field is no longer wanted.
constexpr const char* kTemplateHash = "breakwater.io/template-hash";

/// A controller that restarts answers again after about a minute (image there, database small).
constexpr std::chrono::minutes kLinstorRestart{3};

const std::vector<api::ResourceInfo>& PruneKinds() {
  static const std::vector<api::ResourceInfo> kKinds{api::kDaemonSet, api::kConfigMap,
                                                     api::kCertificate};
  return kKinds;
}

/// A daemon that is kept may present a certificate that nothing asks for any more.
std::vector<api::ResourceInfo> KindsToPrune(bool daemon_kept) {
  std::vector<api::ResourceInfo> kinds = PruneKinds();
  if (daemon_kept) {
    std::erase_if(
        kinds, [](const api::ResourceInfo& kind) { return kind.kind == api::kCertificate.kind; });
  }
  return kinds;
}

/// The DaemonSet with the hash of its template on it; null when there is none.
const api::Json* MarkDaemonSet(std::vector<api::Json>& objects) {
  for (api::Json& object : objects) {
    if (api::StringAt(object, "kind") == api::kDaemonSet.kind) {
      const api::Json* pods = api::FindPath(object, {"spec", "template"});
      object["metadata"]["annotations"][kTemplateHash] =
          runtime::DesiredHash(runtime::NormalizeDesired(pods == nullptr ? api::Json() : *pods));
      return &object;
    }
  }
  return nullptr;
}

/// Whether applying `desired` restarts the pod: only a change of the pod template does.
bool ChangesPods(const api::Json& desired, const api::Object& live) {
  const std::string known = live.annotation(kTemplateHash);
  if (known != api::Object(desired).annotation(kTemplateHash)) {
    return true;  // also when it was made by another operator: what it had is not known
  }
  const api::Json* pods = api::FindPath(desired, {"spec", "template"});
  const api::Json wanted{{"spec", {{"template", pods == nullptr ? api::Json() : *pods}}}};
  return runtime::FirstDifference(runtime::NormalizeDesired(wanted),
                                  runtime::UnpackSpec(live.raw()))
      .has_value();
}

std::vector<std::string> NamesOf(const std::vector<api::ObjectPtr>& objects) {
  std::vector<std::string> names;
  names.reserve(objects.size());
  for (const api::ObjectPtr& object : objects) {
    names.push_back(object->name());
  }
  return names;
}

/// Whether Kubernetes says that the node does not work.
bool IsDown(const api::ObjectPtr& node) {
  if (!node) {
    return true;
  }
  const std::vector<api::Condition> conditions = api::ConditionsFromJson(node->raw());
  const api::Condition* ready = api::FindCondition(conditions, "Ready");
  return ready != nullptr && ready->status != "True";
}

}  // namespace

void SatelliteReconciler::ApplyHalf(const Context& ctx, Pass& pass) {
  const api::ObjectPtr live =
      deps_.daemon_sets.Get({deps_.writers.operator_namespace,
                             core::SatelliteDaemonSetName(pass.satellite.name(), pass.spec)});
  if (live) {
    gate_.Settled(pass.satellite.name(), *live);
  }
  gate_.Leave(pass.satellite.name());
  pass.external_version = ExternalVersion(LinstorContext(ctx), pass);
  LookAtReplication(pass);
  KeepDaemon(pass);
  const std::string fingerprint = Fingerprint(pass);
  {
    const std::lock_guard lock(applied_mutex_);
    const auto last = applied_.find(pass.satellite.name());
    if (last != applied_.end() && last->second.fingerprint == fingerprint) {
      pass.conditions.AddSuccess(api::kConditionApplied, "Resources applied");
      AddWarnings(last->second.warnings, pass.conditions);
      return;
    }
  }
  const api::FieldErrors invalid = core::ValidateSatellite(pass.spec);
  if (!invalid.empty()) {
    pass.conditions.AddError(api::kConditionApplied, api::JoinErrors(invalid));
  }
  Apply(ctx, pass, invalid.empty() ? fingerprint : "");
}

void SatelliteReconciler::LookAtReplication(Pass& pass) const {
  const api::ObjectPtr cluster = deps_.clusters.Get({"", pass.spec.cluster_ref.name});
  const api::Decoded<api::LinstorClusterSpec> spec =
      cluster == nullptr ? api::Decoded<api::LinstorClusterSpec>{}
                         : api::DecodeLinstorCluster(cluster->raw());
  const bool known =
      cluster != nullptr && !api::AnyErrorAt(spec.errors, {"spec.replicationTLS.certificates"});
  const api::CertificateSettings* settings =
      known ? &spec.value.replication_tls.certificates : nullptr;
  const std::string& ns = deps_.writers.operator_namespace;
  const std::string& node = pass.satellite.name();
  const runtime::Store* secrets = deps_.writers.stores.Find(api::kSecret.group, api::kSecret.kind);
  const api::ObjectPtr live =
      deps_.daemon_sets.Get({ns, core::SatelliteDaemonSetName(node, pass.spec)});
  pass.replication = MountFor(
      settings,
      secrets == nullptr ? nullptr : secrets->Get({ns, core::ReplicationTlsSecretName(node)}),
      live);
  pass.awaits_certificate = pass.spec.internal_tls &&
                            pass.spec.internal_tls->tls_handshake_daemon &&
                            AwaitsCertificate(settings, pass.replication, live);
}

// Of what was rendered only the request for the certificate: the rest comes with it.
void SatelliteReconciler::AwaitCertificate(const Context& ctx,
                                           Pass& pass,
                                           std::vector<api::Json> objects,
                                           const std::string& awaited) {
  std::erase_if(objects, [](const api::Json& object) {
    return api::StringAt(object, "kind") != api::kCertificate.kind;
  });
  const ApplyReport report = ApplyObjects(ctx, deps_.writers, pass.satellite, std::move(objects));
  LogNewFailure(deps_.log, pass.satellite, report);
  pass.error = report.error;
  pass.waiting = true;
  if (!report.ok()) {
    AddApplied(report, pass.conditions);
    return;
  }
  pass.conditions.AddPending(api::kConditionApplied, "Change prepared, waiting for " + awaited,
                             "CertificateWaiting");
}

std::string SatelliteReconciler::AwaitedMounts(const Pass& pass,
                                               const std::vector<std::string>& missing) const {
  const api::ObjectPtr live = DaemonSetOf(pass.satellite.uid());
  if (!live || missing.empty()) {
    return "";  // nothing runs that could be lost
  }
  const std::set<std::string> had = NeededByPods(runtime::UnpackSpec(live->raw()));
  std::vector<std::string> news;
  for (const std::string& item : missing) {
    if (!had.contains(item.substr(0, item.find(" (")))) {
      news.push_back(item);
    }
  }
  return JoinBounded(news);
}

std::string SatelliteReconciler::Fingerprint(const Pass& pass) const {
  const api::Json* system = api::FindPath(pass.node->raw(), {"status", "nodeInfo", "osImage"});
  std::string text = pass.satellite.uid() + "/" + std::to_string(pass.satellite.generation()) +
                     "|" + (system == nullptr ? "" : system->dump()) + "|" +
                     deps_.images.Version() + "|" + pass.external_version;
  const core::ReplicationCertificate& replication = pass.replication;
  text += std::string("|") + (replication.mounted ? "m" : "") + (replication.separate ? "s" : "") +
          (pass.awaits_certificate ? "w" : "");
  if (pass.kept_daemon) {
    text += "k" + api::ToJson(*pass.kept_daemon).dump();
  }
  if (replication.issuer) {
    text += api::ToJson(*replication.issuer).dump() + api::FormatDuration(replication.duration);
  }
  for (const runtime::Store* store : deps_.writers.stores.Select(PruneKinds())) {
    for (const api::ObjectPtr& object : store->ListByController(pass.satellite.uid())) {
      text +=
          "|" + store->resource().kind + "/" + object->name() + "/" + object->resource_version();
    }
  }
  return text;
}

void SatelliteReconciler::Apply(const Context& ctx, Pass& pass, const std::string& fingerprint) {
  const auto images = deps_.images.Get();
  if (!images) {
    pass.conditions.AddError(api::kConditionApplied, images.error().message);
    return;
  }
  core::SatelliteRendering rendering =
      core::RenderSatellite({.name = pass.satellite.name(),
                             .uid = pass.satellite.uid(),
                             .spec = pass.spec,
                             .node = pass.node,
                             .ns = deps_.writers.operator_namespace,
                             .images = **images,
                             .external_controller_version = pass.external_version,
                             .node_names = NamesOf(deps_.nodes.List()),
                             .replication = pass.replication,
                             .kept_daemon = pass.kept_daemon});
  std::vector<std::string> problems;
  for (const core::RenderProblem& problem : rendering.problems) {
    problems.push_back(problem.ToString());
  }
  if (!problems.empty()) {
    // What runs stays as it is: half a satellite is worse than an old one.
    pass.conditions.AddError(api::kConditionApplied, JoinBounded(problems));
    return;
  }
  if (pass.awaits_certificate) {
    AwaitCertificate(
        ctx, pass, std::move(rendering.objects),
        "the certificate in the Secret " + core::ReplicationTlsSecretName(pass.satellite.name()));
    return;
  }
  const api::Json* desired = MarkDaemonSet(rendering.objects);
  if (PatchTakesDaemon(pass, desired)) {
    return;  // what runs stays as it is
  }
  const std::vector<std::string> missing = MissingMounts(ctx, deps_.writers, rendering.objects);
  if (const std::string awaited = AwaitedMounts(pass, missing); !awaited.empty()) {
    AwaitCertificate(ctx, pass, std::move(rendering.objects), awaited);
    return;
  }
  const std::string wait = AwaitTurn(ctx, pass, desired);
  if (!wait.empty()) {
    pass.conditions.AddPending(api::kConditionApplied, "Change prepared, " + wait,
                               "RolloutWaiting");
    pass.waiting = true;
    return;
  }
  ApplyReport report =
      ApplyObjects(ctx, deps_.writers, pass.satellite, std::move(rendering.objects));
  PruneObjects(ctx, deps_.writers, pass.satellite, KindsToPrune(pass.kept_daemon.has_value()),
               report);
  const runtime::ObjectId id{"apps",
                             "DaemonSet",
                             {deps_.writers.operator_namespace,
                              core::SatelliteDaemonSetName(pass.satellite.name(), pass.spec)}};
  const auto made = report.generations.find(id);
  gate_.End(pass.satellite.name(), made == report.generations.end() ? 0 : made->second);
  if (report.written > 0) {
    deps_.log.Info(
        "applied",
        {{"name", pass.satellite.name()}, {"changes", report.written}, {"why", report.why}});
  } else if (report.ok() && !fingerprint.empty() && missing.empty()) {
    const std::lock_guard lock(applied_mutex_);
    applied_[pass.satellite.name()] = {fingerprint, rendering.warnings};
  }
  LogNewFailure(deps_.log, pass.satellite, report);
  pass.error = report.error;
  AddApplied(report, pass.conditions);
  AddWarnings(rendering.warnings, pass.conditions);
  if (!missing.empty()) {
    ReportMissingMounts(missing, pass.conditions);
    pass.waiting = true;
  }
}

std::string SatelliteReconciler::AwaitTurn(const Context& ctx,
                                           Pass& pass,
                                           const api::Json* desired) {
  // Also one of another name, which goes when the new one is there: the pod restarts all the same.
  const api::ObjectPtr live = DaemonSetOf(pass.satellite.uid());
  if (desired == nullptr || !live || !IsSettled(*live) ||
      (live->name() == api::Object(*desired).name() && !ChangesPods(*desired, *live))) {
    return "";
  }
  if (const std::string volume = SwitchingVolume(ctx, pass); !volume.empty()) {
    return "waiting for volume " + volume + ", which is being switched";
  }
  std::vector<SatelliteState> others;
  for (const api::ObjectPtr& other : deps_.satellites.List()) {
    others.push_back({.node = other->name(),
                      .daemon_set = DaemonSetOf(other->uid()),
                      .node_up = !IsDown(deps_.nodes.Get({"", other->name()}))});
  }
  if (std::string wait = gate_.Blocked(pass.satellite.name(), others); !wait.empty()) {
    return wait;  // without LINSTOR: in a large rollout many wait
  }
  const std::optional<std::set<std::string>> offline = OfflineNodes(ctx, pass);
  if (!offline && LinstorComesBack(ctx, pass)) {
    return "waiting for LINSTOR, which does not answer: it alone knows whether the satellites that "
           "changed before are back";
  }
  if (offline && !offline->contains(pass.satellite.name())) {
    // One that LINSTOR cannot use cannot get worse. After an upgrade of LINSTOR none of the old
    // satellites is online until it has changed, and they must not wait for each other.
    if (const std::string volume = DegradedVolume(ctx, pass, *offline); !volume.empty()) {
      return "waiting for " + volume;
    }
    for (SatelliteState& other : others) {
      other.linstor_online = !offline->contains(other.node);
    }
  }
  return gate_.Begin(pass.satellite.name(), others);
}

api::ObjectPtr SatelliteReconciler::DaemonSetOf(const std::string& satellite_uid) const {
  const auto sets = deps_.daemon_sets.ListByController(satellite_uid);
  const auto unsettled = std::find_if(sets.begin(), sets.end(),
                                      [](const api::ObjectPtr& set) { return !IsSettled(*set); });
  return unsettled != sets.end() ? *unsettled : sets.empty() ? nullptr : sets.front();
}

// The agent that brings a volume back lives in the satellite's pod: it must not go meanwhile.
std::string SatelliteReconciler::SwitchingVolume(const Context& ctx, const Pass& pass) const {
  if (const auto use = deps_.use.Get()) {
    const auto busy = use->transaction.find(pass.satellite.name());
    if (busy != use->transaction.end()) {
      return busy->second;
    }
  }
  const api::ObjectPtr cluster = deps_.clusters.Get({"", pass.spec.cluster_ref.name});
  if (cluster == nullptr) {
    return "";
  }
  for (const std::string& resource : SwitchingVolumes(*cluster)) {
    if (!pass.client) {
      return resource;
    }
    const auto replicas = pass.client->ListResources(LinstorContext(ctx), "", resource);
    if (!replicas || std::any_of(replicas->begin(), replicas->end(), [&](const auto& replica) {
          return replica.node == pass.satellite.name();
        })) {
      return resource;
    }
  }
  return "";
}

// The tools of this satellite are what brings a copy up to date, and its node may have the only
// good one (PO#953). Copies on nodes that are down are not known; those of a dead node hold up
// nobody.
std::string SatelliteReconciler::DegradedVolume(const Context& ctx,
                                                const Pass& pass,
                                                const std::set<std::string>& offline) {
  const auto replicas = pass.client->ListResources(LinstorContext(ctx), "", "");
  if (!replicas) {
    return "LINSTOR, which does not say which volumes are up to date";
  }
  std::set<std::string> here;
  for (const linstor::Resource& replica : *replicas) {
    if (replica.node == pass.satellite.name()) {
      here.insert(replica.name);
    }
  }
  for (const linstor::Resource& replica : *replicas) {
    if (replica.node == pass.satellite.name() || !here.contains(replica.name) ||
        !replica.has_drbd || replica.diskless() || replica.HasFlag("DELETE") ||
        replica.HasFlag("INACTIVE") || offline.contains(replica.node)) {
      continue;
    }
    for (const linstor::Volume& volume : replica.volumes) {
      if (!volume.disk_state.empty() && volume.disk_state != "UpToDate") {
        return "volume " + replica.name + ", whose copy on " + replica.node + " is " +
               volume.disk_state;
      }
    }
  }
  return "";
}

std::optional<std::set<std::string>> SatelliteReconciler::OfflineNodes(const Context& ctx,
                                                                       Pass& pass) const {
  // Not from the snapshot: it may be from before the last change.
  if (!pass.client || !deps_.snapshots.Reachable(pass.spec.cluster_ref.name)) {
    return std::nullopt;
  }
  const auto nodes = pass.client->ListNodes(LinstorContext(ctx));
  if (!nodes) {
    return std::nullopt;
  }
  std::set<std::string> offline;
  for (const linstor::Node& node : *nodes) {
    if (!node.online()) {
      offline.insert(node.name);
    }
  }
  return offline;
}

// What changes all satellites mostly restarts LINSTOR too. One that has answered before is waited
// for; one that stays away holds up no repair: then the readiness of the pods alone decides.
bool SatelliteReconciler::LinstorComesBack(const Context& ctx, const Pass& pass) const {
  const api::ObjectPtr cluster = deps_.clusters.Get({"", pass.spec.cluster_ref.name});
  const api::Json* status = cluster ? api::FindPath(cluster->raw(), {"status"}) : nullptr;
  if (status == nullptr || api::StringAt(*status, "version").empty()) {
    return false;
  }
  const auto since = deps_.snapshots.SilentSince(pass.spec.cluster_ref.name);
  return !since || ctx.clock().SteadyNow() - *since < kLinstorRestart;
}

std::string SatelliteReconciler::ExternalVersion(const Context& ctx, const Pass& pass) const {
  const api::ClusterReference& reference = pass.spec.cluster_ref;
  if (!reference.external_controller_url) {
    return "";
  }
  if (const LinstorSnapshotPtr last = deps_.snapshots.Last(reference.name)) {
    return last->version.version;
  }
  // Without an answer the last known version: another image would restart every satellite.
  const api::ObjectPtr cluster = deps_.clusters.Get({"", reference.name});
  const api::Json* status = cluster ? api::FindPath(cluster->raw(), {"status"}) : nullptr;
  std::string shown = status == nullptr ? "" : api::StringAt(*status, "version");
  if (!shown.empty()) {
    return shown;
  }
  const auto snapshot = deps_.snapshots.Get(ctx, reference.name, options_.linstor_max_age);
  return snapshot ? (*snapshot)->version.version : "";
}

}  // namespace breakwater::controllers
