// The LINSTOR half of the cluster reconciler.

#include "operator/base/log.h"
#include "operator/controllers/cluster/cluster_reconciler.h"
#include "operator/controllers/common/status_tools.h"
#include "operator/controllers/linstor_connection/foreign_properties.h"
#include "operator/core/cluster/controller_properties.h"
#include "operator/linstor/props.h"

namespace breakwater::controllers {

void ClusterReconciler::LinstorHalf(const Context& ctx, Pass& pass) {
  const std::string name = pass.cluster.name();
  const Result<LinstorSnapshotPtr, Error> snapshot =
      deps_.snapshots.Get(ctx, name, options_.linstor_max_age);
  if (!snapshot) {
    ReportUnreachable(pass.conditions, snapshot.error().message);
    if (snapshot.error().error_class == ErrorClass::kInvalid) {
      // Waiting does not help: somebody must change the address or the Secret.
      pass.conditions.AddError(api::kConditionConfigured, snapshot.error().message,
                               "ConnectionRefused");
    }
    return;
  }
  const LinstorSnapshot& linstor = **snapshot;
  pass.linstor_settled = true;
  pass.status.version = linstor.version.version;
  pass.conditions.AddSuccess(
      api::kConditionAvailable,
      "Controller " + linstor.version.version + " (API: " + linstor.version.rest_api_version +
          ", Git: " + linstor.version.git_hash + ") reachable at '" + linstor.url + "'");
  const LinstorUsage usage = linstor.UsageOf("");
  pass.status.total_capacity_bytes = usage.total_bytes;
  pass.status.free_capacity_bytes = usage.free_bytes;
  pass.status.number_of_volumes = usage.volumes;
  pass.status.number_of_snapshots = usage.snapshots;
  if (!pass.readable) {
    pass.conditions.AddUnknown(api::kConditionConfigured,
                               "No property is changed while the spec cannot be read");
    return;
  }
  if (const auto client = deps_.linstor.ClientFor(name)) {
    SyncProperties(ctx, **client, pass);
    if (pass.spec.csi_node.enabled &&
        !csi_nodes_.Run(ctx, name, linstor, **client, pass.conditions)) {
      pass.linstor_settled = false;
    }
  }
}

void ClusterReconciler::SyncProperties(const Context& ctx,
                                       linstor::Client& client,
                                       Pass& pass) const {
  const linstor::LinstorResult<linstor::Props> current = client.GetControllerProps(ctx);
  if (!current) {
    pass.conditions.AddError(api::kConditionConfigured,
                             "Failed to read properties: " + current.error().message());
    pass.linstor_settled = false;
    return;
  }
  const linstor::PropsChange change = linstor::DiffProps(
      *current, core::DesiredControllerProperties(pass.spec.properties), ForeignProperties());
  if (const auto frozen = FrozenVolumes(pass.cluster); !change.empty() && !frozen.empty()) {
    pass.conditions.AddUnknown(
        api::kConditionConfigured,
        "Waiting for volume " + frozen.front() + ", whose I/O is suspended for a moment");
    pass.linstor_settled = false;
    return;
  }
  if (!change.empty()) {
    const linstor::PropsSent sent = linstor::SendProps(
        change, "the LINSTOR controller",
        [&](const linstor::PropsChange& part) { return client.ModifyControllerProps(ctx, part); });
    if (sent.changed) {
      deps_.log.Info("LINSTOR controller properties changed",
                     {{"name", pass.cluster.name()},
                      {"set", change.override_props.size()},
                      {"deleted", change.delete_props.size()},
                      {"refused", sent.errors.size()}});
    }
    if (!sent.errors.empty()) {
      pass.conditions.AddError(api::kConditionConfigured,
                               "Failed to set " + JoinBounded(sent.errors));
      pass.linstor_settled = false;
      return;
    }
  }
  pass.conditions.AddSuccess(api::kConditionConfigured, "Properties applied");
}

}  // namespace breakwater::controllers
