#include "operator/controllers/satellite/satellite_reconciler.h"

#include <algorithm>

#include "operator/api/linstor_cluster.h"
#include "operator/api/resources.h"
#include "operator/base/log.h"
#include "operator/base/rfc3339.h"
#include "operator/controllers/common/own_status.h"
#include "operator/controllers/common/pass_end.h"
#include "operator/controllers/common/status_tools.h"
#include "operator/core/admission/validate.h"
#include "operator/core/render/render.h"
#include "operator/core/status/ownership.h"
#include "operator/runtime/finalizer.h"
#include "operator/runtime/subset.h"

namespace breakwater::controllers {
namespace {

const std::vector<api::ResourceInfo>& PruneKinds() {
  static const std::vector<api::ResourceInfo> kKinds{api::kDaemonSet, api::kConfigMap,
                                                     api::kCertificate};
  return kKinds;
}

const api::Json* FindDaemonSet(const std::vector<api::Json>& objects) {
  for (const api::Json& object : objects) {
    if (api::StringAt(object, "kind") == api::kDaemonSet.kind) {
      return &object;
    }
  }
  return nullptr;
}

/// Whether applying `desired` restarts the pod: the template as rendered is not what runs. The
/// template that was applied last is not kept, so a removed field alone is only seen by the hash of
/// the whole.
bool ChangesRunning(api::Json desired, const api::Object& owner, const api::ObjectPtr& live) {
  if (!live || !core::SetControllerOwner(&desired, owner)) {
    return false;  // nothing runs, or the apply will fail and say why
  }
  desired = runtime::NormalizeDesired(std::move(desired));
  return runtime::FirstDifference(desired, live->raw()).has_value() ||
         live->annotation(runtime::kAppliedHash) != runtime::DesiredHash(desired);
}

}  // namespace

Result<runtime::Requeue, Error> SatelliteReconciler::Reconcile(const Context& ctx,
                                                               const api::ObjectKey& key) {
  const api::ObjectPtr satellite = deps_.satellites.Get(key);
  if (!satellite) {
    gate_.End(key.name, 0);
    return runtime::Requeue{};
  }
  const api::Decoded<api::LinstorSatelliteSpec> decoded =
      api::DecodeLinstorSatellite(satellite->raw());
  Pass pass{.satellite = *satellite,
            .spec = decoded.value,
            .node = deps_.nodes.Get({"", satellite->name()})};
  if (satellite->deleting()) {
    if (!runtime::HasFinalizer(*satellite, std::string(api::kSatelliteFinalizer))) {
      return runtime::Requeue{};  // somebody else's finalizer holds it
    }
    if (Remove(ctx, pass)) {
      BREAKWATER_RETURN_IF_ERROR(runtime::RemoveFinalizer(ctx, deps_.writers.client,
                                                          api::kLinstorSatellite, *satellite,
                                                          std::string(api::kSatelliteFinalizer)));
      gate_.End(key.name, 0);
      return runtime::Requeue{};
    }
  } else {
    api::FieldErrors errors = decoded.errors;
    const api::FieldErrors invalid = core::ValidateSatellite(decoded.value);
    errors.insert(errors.end(), invalid.begin(), invalid.end());
    if (!errors.empty()) {
      pass.conditions.AddError(api::kConditionApplied, api::JoinErrors(errors));
    }
    // A part that could not be read would undo what it did before: pools would leave LINSTOR.
    if (Guard(ctx, pass) && decoded.errors.empty()) {
      Keep(ctx, pass);
    }
  }
  const Result<void, Error> written = WriteStatus(ctx, pass);
  return EndPass({.apply_error = pass.error,
                  .status_written = written,
                  .settled = pass.settled && !pass.waiting,
                  .requeue_interval = options_.requeue_interval,
                  .retry_interval = options_.retry_interval});
}

bool SatelliteReconciler::Guard(const Context& ctx, Pass& pass) const {
  const Result<void, Error> guarded =
      runtime::AddFinalizer(ctx, deps_.writers.client, api::kLinstorSatellite, pass.satellite,
                            std::string(api::kSatelliteFinalizer));
  if (!guarded) {
    pass.error = guarded.error().WithContext("add finalizer");
    pass.conditions.AddError(api::kConditionApplied, pass.error->message);
  }
  return guarded.has_value();
}

void SatelliteReconciler::Keep(const Context& ctx, Pass& pass) {
  if (!pass.node) {
    pass.conditions.AddError(api::kConditionApplied,
                             "Node " + pass.satellite.name() + " does not exist");
    return;
  }
  Result<std::shared_ptr<linstor::Client>, Error> client =
      deps_.linstor.ClientFor(pass.spec.cluster_ref.name);
  if (client) {
    pass.client = std::move(*client);
  }
  ApplyHalf(ctx, pass);
  LinstorHalf(ctx, pass);
}

void SatelliteReconciler::ApplyHalf(const Context& ctx, Pass& pass) {
  Result<core::ImageConfig, Error> images = deps_.images.Get();
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
                             .images = std::move(*images),
                             .external_controller_version = ExternalVersion(ctx, pass)});
  std::vector<std::string> problems;
  for (const core::RenderProblem& problem : rendering.problems) {
    problems.push_back(problem.ToString());
  }
  if (!problems.empty()) {
    // What runs stays as it is: half a satellite is worse than an old one.
    pass.conditions.AddError(api::kConditionApplied, JoinBounded(problems));
    return;
  }
  const std::string wait = AwaitTurn(ctx, pass, rendering.objects);
  if (!wait.empty()) {
    pass.conditions.AddPending(api::kConditionApplied, "Change prepared, " + wait,
                               "RolloutWaiting");
    pass.waiting = true;
    return;
  }
  ApplyReport report =
      ApplyObjects(ctx, deps_.writers, pass.satellite, std::move(rendering.objects));
  PruneObjects(ctx, deps_.writers, pass.satellite, PruneKinds(), report);
  const runtime::ObjectId id{"apps",
                             "DaemonSet",
                             {deps_.writers.operator_namespace,
                              core::SatelliteDaemonSetName(pass.satellite.name(), pass.spec)}};
  const auto made = report.generations.find(id);
  gate_.End(pass.satellite.name(), made == report.generations.end() ? 0 : made->second);
  if (report.written > 0) {
    deps_.log.Info("applied", {{"name", pass.satellite.name()}, {"changes", report.written}});
  }
  LogNewFailure(deps_.log, pass.satellite, report);
  pass.error = report.error;
  AddApplied(report, pass.conditions);
}

std::string SatelliteReconciler::AwaitTurn(const Context& ctx,
                                           Pass& pass,
                                           const std::vector<api::Json>& objects) {
  const api::Json* desired = FindDaemonSet(objects);
  const api::ObjectPtr live =
      deps_.daemon_sets.Get({deps_.writers.operator_namespace,
                             core::SatelliteDaemonSetName(pass.satellite.name(), pass.spec)});
  if (desired == nullptr || !ChangesRunning(*desired, pass.satellite, live) || !IsSettled(*live)) {
    return "";
  }
  if (std::string frozen = FrozenVolume(ctx, pass); !frozen.empty()) {
    return "waiting for volume " + frozen + ", whose I/O is suspended for a moment";
  }
  std::set<std::string> offline;
  if (pass.client) {
    // LINSTOR may be down: then the readiness of the pods alone decides.
    if (const auto nodes = pass.client->ListNodes(ctx)) {
      for (const linstor::Node& node : *nodes) {
        if (!node.online()) {
          offline.insert(node.name);
        }
      }
    }
  }
  std::vector<SatelliteState> others;
  for (const api::ObjectPtr& other : deps_.satellites.List()) {
    const auto sets = deps_.daemon_sets.ListByController(other->uid());
    others.push_back(
        {other->name(), sets.empty() ? nullptr : sets.front(), !offline.contains(other->name())});
  }
  return gate_.Begin(pass.satellite.name(), others);
}

// The watchdog that ends a suspension lives in the satellite's pod: it must not go meanwhile.
std::string SatelliteReconciler::FrozenVolume(const Context& ctx, const Pass& pass) const {
  const api::ObjectPtr cluster = deps_.clusters.Get({"", pass.spec.cluster_ref.name});
  const api::Json* runs =
      cluster ? api::FindPath(cluster->raw(), {"status", "replicationTLS", "inFlight"}) : nullptr;
  if (runs == nullptr || !runs->is_array()) {
    return "";
  }
  for (const api::Json& run : *runs) {
    const std::string step = api::StringAt(run, "step");
    const std::string resource = api::StringAt(run, "resource");
    if (!step.ends_with("Prepare") && !step.ends_with("Suspend") && !step.ends_with("Resume")) {
      continue;
    }
    if (!pass.client) {
      return resource;
    }
    const auto replicas = pass.client->ListResources(ctx, "", resource);
    if (!replicas || std::any_of(replicas->begin(), replicas->end(), [&](const auto& replica) {
          return replica.node == pass.satellite.name();
        })) {
      return resource;
    }
  }
  return "";
}

std::string SatelliteReconciler::ExternalVersion(const Context& ctx, Pass& pass) const {
  if (!pass.spec.cluster_ref.external_controller_url) {
    return "";
  }
  if (pass.client) {
    if (const auto version = pass.client->GetVersion(ctx)) {
      return version->version;
    }
  }
  // Without an answer the last known version: another image would restart every satellite.
  const api::ObjectPtr cluster = deps_.clusters.Get({"", pass.spec.cluster_ref.name});
  const api::Json* status = cluster ? api::FindPath(cluster->raw(), {"status"}) : nullptr;
  return status == nullptr ? "" : api::StringAt(*status, "version");
}

Result<void, Error> SatelliteReconciler::WriteStatus(const Context& ctx, Pass& pass) const {
  std::vector<std::string_view> types = StandardConditions();
  types.push_back(api::kConditionSatelliteEvacuated);
  types.push_back(api::kConditionSatelliteDeleted);
  // The last two are only kept while the satellite is on its way out.
  pass.status.conditions = pass.conditions.Build(
      ConditionsOf(pass.satellite, pass.satellite.deleting() ? types : StandardConditions()),
      pass.satellite.generation(), FormatRfc3339(ctx.clock().SystemNow()));
  return ApplyOwnStatus(ctx, deps_.writers.applier, deps_.satellites, pass.satellite,
                        api::ToJson(pass.status), {.conditions = types});
}

}  // namespace breakwater::controllers
