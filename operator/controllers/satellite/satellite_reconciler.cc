#include "operator/controllers/satellite/satellite_reconciler.h"

#include "operator/api/linstor_cluster.h"
#include "operator/api/resources.h"
#include "operator/base/rfc3339.h"
#include "operator/controllers/common/own_status.h"
#include "operator/controllers/common/pass_end.h"
#include "operator/controllers/common/status_tools.h"
#include "operator/runtime/finalizer.h"

namespace breakwater::controllers {

Result<runtime::Requeue, Error> SatelliteReconciler::Reconcile(const Context& ctx,
                                                               const api::ObjectKey& key) {
  const api::ObjectPtr satellite = deps_.satellites.Get(key);
  if (!satellite) {
    Forget(key.name);
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
    if (Remove(LinstorContext(ctx), pass)) {
      BREAKWATER_RETURN_IF_ERROR(ReportRemoved(ctx, pass));
      BREAKWATER_RETURN_IF_ERROR(runtime::RemoveFinalizer(ctx, deps_.writers.client,
                                                          api::kLinstorSatellite, *satellite,
                                                          std::string(api::kSatelliteFinalizer)));
      Forget(key.name);
      return runtime::Requeue{};
    }
    // An evacuation takes hours: meanwhile the pod must come back after a restart of the node, and
    // LINSTOR must learn its new address. Not against somebody who deletes the objects first.
    if ((pass.stays || pass.spec.deletion_policy != api::DeletionPolicy::kDelete) &&
        decoded.errors.empty() && pass.node &&
        !runtime::HasFinalizer(*satellite, "foregroundDeletion")) {
      Keep(ctx, pass);
      pass.settled = false;  // come back soon
    }
  } else if (Guard(ctx, pass)) {
    if (decoded.errors.empty()) {
      Keep(ctx, pass);
    } else {
      // A part that could not be read would undo what it did before: pools would leave LINSTOR.
      pass.conditions.AddError(api::kConditionApplied, api::JoinErrors(decoded.errors));
    }
  }
  const Result<void, Error> written = WriteStatus(ctx, pass);
  return EndPass({.apply_error = pass.error,
                  .status_written = written,
                  .settled = pass.settled && !pass.waiting && pass.kept_why.empty(),
                  .requeue_interval = options_.requeue_interval,
                  .retry_interval = pass.waiting && gate_.Next() == key.name
                                        ? options_.next_in_line_interval
                                        : options_.retry_interval});
}

std::vector<api::ObjectKey> SatelliteReconciler::NextInLine() const {
  const std::string next = gate_.Next();
  return next.empty() ? std::vector<api::ObjectKey>() : std::vector<api::ObjectKey>{{"", next}};
}

// Who has a finalizer of his own waits for this: after ours is gone nobody writes it any more.
Result<void, Error> SatelliteReconciler::ReportRemoved(const Context& ctx, Pass& pass) const {
  const api::Json* finalizers = api::FindPath(pass.satellite.raw(), {"metadata", "finalizers"});
  if (finalizers == nullptr || finalizers->size() < 2) {
    return {};
  }
  if (pass.spec.deletion_policy == api::DeletionPolicy::kEvacuate) {
    pass.conditions.AddSuccess(api::kConditionSatelliteEvacuated, "The node holds no volume",
                               "Completed");
  }
  pass.conditions.AddSuccess(api::kConditionSatelliteDeleted,
                             pass.spec.deletion_policy == api::DeletionPolicy::kRetain
                                 ? "Nothing is left to do, LINSTOR keeps the node"
                                 : "Nothing is left to do, LINSTOR has forgotten the node",
                             "Completed");
  return WriteStatus(ctx, pass);
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
  ReportKeptDaemon(pass);
  LinstorHalf(LinstorContext(ctx), pass);
}

void SatelliteReconciler::Forget(const std::string& name) {
  gate_.Forget(name);
  backoff_.ForgetNode(name);
  const std::lock_guard lock(applied_mutex_);
  applied_.erase(name);
  kept_.erase(name);
  const std::lock_guard evacuation_lock(evacuation_mutex_);
  evacuations_.erase(name);
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
