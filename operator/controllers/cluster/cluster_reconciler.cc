#include "operator/controllers/cluster/cluster_reconciler.h"

#include <algorithm>

#include "operator/api/resources.h"
#include "operator/base/log.h"
#include "operator/base/rfc3339.h"
#include "operator/controllers/common/kept_template.h"
#include "operator/controllers/common/missing_mounts.h"
#include "operator/controllers/common/own_status.h"
#include "operator/controllers/common/pass_end.h"
#include "operator/controllers/common/status_tools.h"
#include "operator/controllers/linstor_connection/api_door.h"
#include "operator/core/admission/validate.h"
#include "operator/core/render/components.h"
#include "operator/core/render/patch_guard.h"
#include "operator/core/render/render.h"

namespace breakwater::controllers {
namespace {

/// What `uname -n` says in the pods of the LINSTOR controller.
std::vector<std::string> ControllerHosts(const ClusterReconcilerDeps& deps) {
  const auto text = [](const api::Object& pod, std::string_view member) {
    const api::Json* spec = api::FindPath(pod.raw(), {"spec"});
    return spec == nullptr ? std::string() : api::StringAt(*spec, member);
  };
  std::vector<std::string> hosts;
  for (const api::ObjectPtr& pod :
       deps.pods.ListByLabel(std::string(api::kLabelComponent), "linstor-controller")) {
    const api::Json* host_network = api::FindPath(pod->raw(), {"spec", "hostNetwork"});
    const bool on_host =
        host_network != nullptr && host_network->is_boolean() && host_network->get<bool>();
    const std::string named = text(*pod, on_host ? "nodeName" : "hostname");
    if (named.empty() && on_host) {
      continue;  // not scheduled yet
    }
    hosts.push_back(named.empty() ? pod->name() : named);
  }
  std::sort(hosts.begin(), hosts.end());
  return hosts;
}

core::ClusterInputs InputsFor(const ClusterReconcilerDeps& deps,
                              const api::Object& cluster,
                              const api::LinstorClusterSpec& spec,
                              const api::FieldErrors& errors,
                              core::ImageConfig images,
                              const ClusterReconcilerOptions& options) {
  core::ClusterInputs inputs{.name = cluster.name(),
                             .spec = spec,
                             .ns = deps.writers.operator_namespace,
                             .nodes = deps.nodes.List(),
                             .errors = errors,
                             .satellites = deps.satellites.List(),
                             .images = std::move(images),
                             .pull_secret = options.pull_secret,
                             .controller_hosts = ControllerHosts(deps),
                             .volume_group_snapshots = options.volume_group_snapshots};
  for (const api::ObjectPtr& object : deps.configurations.List()) {
    if (object->deleting()) {
      continue;
    }
    api::Decoded<api::LinstorSatelliteConfigurationSpec> decoded =
        api::DecodeLinstorSatelliteConfiguration(object->raw());
    decoded.errors = core::AllErrors(std::move(decoded.errors),
                                     core::ValidateSatelliteConfiguration(decoded.value));
    inputs.configurations.push_back(
        {object->name(), std::move(decoded.value), std::move(decoded.errors)});
  }
  return inputs;
}

/// The conditions of a LinstorCluster that this controller owns.
const std::vector<std::string_view>& OwnConditions() {
  static const std::vector<std::string_view> kTypes = [] {
    std::vector<std::string_view> types = StandardConditions();
    types.push_back(api::kConditionApiUnprotected);
    return types;
  }();
  return kTypes;
}

/// Numbers that the last pass knew, for a pass that cannot ask LINSTOR.
void KeepLastNumbers(const api::Object& cluster, api::LinstorClusterStatus& status) {
  const auto number = [&](std::string_view key) -> std::optional<std::int64_t> {
    const std::int64_t value = IntegerAt(cluster, {"status", key}, -1);
    return value < 0 ? std::nullopt : std::optional(value);
  };
  const api::Json* last = api::FindPath(cluster.raw(), {"status"});
  status.version = last == nullptr ? "" : api::StringAt(*last, "version");
  status.number_of_volumes = number("numberOfVolumes");
  status.number_of_snapshots = number("numberOfSnapshots");
  status.total_capacity_bytes = number("availableCapacityBytes");
  status.free_capacity_bytes = number("freeCapacityBytes");
}

/// What must stay although it was not rendered: objects of a component that could not be, and of
/// none that is known here (from another version of the operator, perhaps).
void KeepTheOthers(const std::vector<const runtime::Store*>& stores,
                   const api::Object& cluster,
                   const api::LinstorClusterSpec& spec,
                   const std::vector<core::RenderProblem>& problems,
                   std::set<runtime::ObjectId>& keep) {
  for (const runtime::Store* store : stores) {
    for (const api::ObjectPtr& object : store->ListByController(cluster.uid())) {
      // The Piraeus Operator leaves its CSIDriver behind, and another driver may need it.
      const bool left_behind =
          store->resource() == api::kCsiDriver && object->annotation(runtime::kAppliedHash).empty();
      if (left_behind || !core::MayPrune(store->resource().kind, *object, spec, problems)) {
        keep.insert({store->resource().group, store->resource().kind, object->key()});
      }
    }
  }
}

}  // namespace

const std::vector<api::ResourceInfo>& ClusterPruneKinds() {
  static const std::vector<api::ResourceInfo> kKinds{api::kLinstorSatellite,
                                                     api::kService,
                                                     api::kServiceAccount,
                                                     api::kConfigMap,
                                                     api::kDaemonSet,
                                                     api::kDeployment,
                                                     api::kRole,
                                                     api::kClusterRole,
                                                     api::kRoleBinding,
                                                     api::kClusterRoleBinding,
                                                     api::kCertificate,
                                                     api::kCsiDriver};
  return kKinds;
}

Result<runtime::Requeue, Error> ClusterReconciler::Reconcile(const Context& ctx,
                                                             const api::ObjectKey& key) {
  const api::ObjectPtr cluster = deps_.clusters.Get(key);
  if (!cluster || cluster->deleting()) {
    const std::lock_guard lock(applied_mutex_);
    applied_.erase(key.name);
    return runtime::Requeue{};  // what it owns goes with it
  }
  const api::Decoded<api::LinstorClusterSpec> decoded = api::DecodeLinstorCluster(cluster->raw());
  // A part that could not be read would undo what it did before.
  Pass pass{.cluster = *cluster,
            .spec = decoded.value,
            .errors = core::AllErrors(decoded.errors, core::ValidateCluster(decoded.value)),
            .readable = decoded.errors.empty()};
  if (!pass.errors.empty()) {
    pass.conditions.AddError(api::kConditionApplied, api::JoinErrors(pass.errors));
  }
  KeepLastNumbers(*cluster, pass.status);
  if (pass.readable) {
    ApplyHalf(ctx, pass);
  }
  LinstorHalf(LinstorContext(ctx), pass);
  CountSatellites(pass);
  CheckKeptDaemons(pass);
  CheckDefinitions(pass);
  CheckInternalTls(pass);
  CheckApiDoor(pass);
  const Result<void, Error> written = WriteStatus(ctx, pass);
  return EndPass({.apply_error = pass.error,
                  .status_written = written,
                  .settled = pass.linstor_settled,
                  .requeue_interval = options_.requeue_interval,
                  .retry_interval = options_.retry_interval});
}

std::string ClusterReconciler::Fingerprint(const Pass& pass) const {
  std::string text = pass.cluster.uid() + "/" + std::to_string(pass.cluster.generation()) + "|" +
                     deps_.images.Version();
  std::vector<const runtime::Store*> stores = deps_.writers.stores.Select(ClusterPruneKinds());
  stores.insert(stores.end(), {&deps_.nodes, &deps_.configurations, &deps_.satellites});
  for (const runtime::Store* store : stores) {
    text += "|" + std::to_string(store->changes());
  }
  for (const std::string& host : ControllerHosts(deps_)) {
    text += "|" + host;
  }
  return text;
}

void ClusterReconciler::ApplyHalf(const Context& ctx, Pass& pass) {
  const std::string fingerprint = Fingerprint(pass);  // before anything is read
  {
    const std::lock_guard lock(applied_mutex_);
    const auto last = applied_.find(pass.cluster.name());
    if (last != applied_.end() && last->second.fingerprint == fingerprint) {
      AddApplied({}, pass.conditions);
      AddWarnings(last->second.warnings, pass.conditions);
      return;
    }
  }
  AnnounceDangers(pass);
  const auto images = deps_.images.Get();
  if (!images) {
    pass.conditions.AddError(api::kConditionApplied, images.error().message);
    return;  // the ConfigMap's arrival triggers the next pass
  }
  core::ClusterRendering rendering = core::RenderCluster(
      InputsFor(deps_, pass.cluster, pass.spec, pass.errors, **images, options_));
  std::vector<std::string> problems;
  for (const core::RenderProblem& problem : rendering.problems) {
    problems.push_back(problem.ToString());
  }
  for (std::string& warning :
       KeptTemplateWarnings(KeepPodTemplates(deps_.writers, pass.cluster, &rendering.objects))) {
    rendering.warnings.push_back(std::move(warning));
  }
  const std::vector<std::string> missing = MissingMounts(ctx, deps_.writers, rendering.objects);
  ApplyReport report = ApplyObjects(ctx, deps_.writers, pass.cluster, std::move(rendering.objects));
  KeepTheOthers(deps_.writers.stores.Select(ClusterPruneKinds()), pass.cluster, pass.spec,
                rendering.problems, report.wanted);
  PruneObjects(ctx, deps_.writers, pass.cluster, ClusterPruneKinds(), report);
  if (report.written > 0) {
    deps_.log.Info(
        "applied",
        {{"name", pass.cluster.name()}, {"changes", report.written}, {"why", report.why}});
  } else if (report.ok() && report.pending.empty() && problems.empty() &&
             rendering.held_back.empty() && missing.empty()) {
    const std::lock_guard lock(applied_mutex_);
    applied_[pass.cluster.name()] = {fingerprint, rendering.warnings};
  }
  LogNewFailure(deps_.log, pass.cluster, report);
  pass.error = report.error;
  problems.insert(problems.end(), rendering.held_back.begin(), rendering.held_back.end());
  if (!problems.empty()) {
    pass.conditions.AddError(api::kConditionApplied, JoinBounded(problems));
  }
  AddApplied(report, pass.conditions, problems.empty());
  AddWarnings(rendering.warnings, pass.conditions);
  if (!missing.empty()) {
    ReportMissingMounts(missing, pass.conditions);
  }
}

void ClusterReconciler::AnnounceDangers(const Pass& pass) {
  std::vector<std::string> lines = core::DangerousPatches(pass.spec.patches, nullptr, "");
  for (const auto& [path, pod_template] : core::PodTemplates(pass.spec)) {
    for (std::string& line : core::DangerousPatches({}, *pod_template, path)) {
      lines.push_back(std::move(line));
    }
  }
  alarm_.Announce(pass.cluster, lines);
}

void ClusterReconciler::CountSatellites(Pass& pass) const {
  std::int64_t scheduled = 0;
  std::int64_t running = 0;
  for (const api::ObjectPtr& satellite : deps_.satellites.ListByController(pass.cluster.uid())) {
    ++scheduled;
    for (const api::ObjectPtr& pod :
         deps_.pods.ListByLabel(std::string(api::kLabelSatellite), satellite->uid())) {
      if (!pod->deleting() && IsSatelliteReady(*pod)) {
        ++running;
        break;
      }
    }
  }
  pass.status.scheduled_satellites = scheduled;
  pass.status.running_satellites = running;
}

void ClusterReconciler::CheckKeptDaemons(Pass& pass) const {
  const std::vector<std::string> names =
      WithReason(deps_.satellites.ListByController(pass.cluster.uid()), api::kConditionApplied,
                 api::kReasonHandshakeDaemonKept);
  if (!names.empty()) {
    pass.conditions.AddPending(
        api::kConditionApplied,
        "The handshake daemon stays on " + JoinBounded(names) +
            ", where the configuration does not have it any more, because volumes are replicated "
            "with TLS: see the condition Applied of these LinstorSatellites",
        api::kReasonHandshakeDaemonKept);
  }
}

void ClusterReconciler::CheckDefinitions(Pass& pass) const {
  const std::vector<std::string> gaps = deps_.writers.applier.Gaps();
  if (!gaps.empty()) {
    pass.conditions.AddPending(
        api::kConditionApplied,
        "The CustomResourceDefinitions of this cluster are of another version; everything else "
        "works, but what they do not have is left out (" +
            JoinBounded(gaps, 1000) +
            "): apply those of this version (kubectl apply --server-side --force-conflicts -k "
            "crds)",
        "DefinitionsDiffer");
  }
}

void ClusterReconciler::CheckInternalTls(Pass& pass) const {
  if (!pass.readable || pass.spec.internal_tls || pass.spec.external_controller_url) {
    return;
  }
  std::vector<std::string> names;
  for (const api::ObjectPtr& satellite : deps_.satellites.ListByController(pass.cluster.uid())) {
    const api::Json* tls = api::FindPath(satellite->raw(), {"spec", "internalTLS"});
    if (tls != nullptr && !tls->is_null()) {
      names.push_back(satellite->name());
    }
  }
  if (!names.empty()) {
    std::sort(names.begin(), names.end());
    pass.conditions.AddError(
        api::kConditionConfigured,
        "LINSTOR cannot connect to satellites with internalTLS (" + JoinBounded(names) +
            "): set spec.internalTLS of the LinstorCluster, {} is enough, and make the Secret "
            "linstor-controller-internal-tls");
  }
}

void ClusterReconciler::CheckApiDoor(Pass& pass) {
  if (!pass.readable) {
    pass.conditions.AddUnknown(api::kConditionApiUnprotected, "The spec cannot be read");
    return;
  }
  const ApiDoor door = DescribeApiDoor(pass.spec);
  if (door.open) {
    pass.conditions.AddSuccess(api::kConditionApiUnprotected, door.message, door.reason);
  } else {
    pass.conditions.AddPending(api::kConditionApiUnprotected, door.message, door.reason);
  }
}

Result<void, Error> ClusterReconciler::WriteStatus(const Context& ctx, Pass& pass) const {
  // Other controllers own further conditions and status.replicationTLS: never send those.
  pass.status.conditions =
      pass.conditions.Build(ConditionsOf(pass.cluster, OwnConditions()), pass.cluster.generation(),
                            FormatRfc3339(ctx.clock().SystemNow()));
  return ApplyOwnStatus(ctx, deps_.writers.applier, deps_.clusters, pass.cluster,
                        api::ToJson(pass.status),
                        {.conditions = OwnConditions(), .foreign_fields = {"replicationTLS"}});
}

}  // namespace breakwater::controllers
