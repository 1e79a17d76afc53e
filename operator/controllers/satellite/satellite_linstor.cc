// The LINSTOR half of the satellite reconciler.

#include <algorithm>

#include "operator/api/resources.h"
#include "operator/base/log.h"
#include "operator/controllers/common/status_tools.h"
#include "operator/controllers/satellite/node_registration.h"
#include "operator/controllers/satellite/satellite_reconciler.h"

namespace breakwater::controllers {
namespace {

constexpr std::int64_t kKib = 1024;

std::vector<std::string> Sorted(std::vector<std::string> values) {
  std::sort(values.begin(), values.end());
  return values;
}

}  // namespace

void SatelliteReconciler::LinstorHalf(const Context& ctx, Pass& pass) const {
  if (!pass.client) {
    // Details are on the LinstorCluster: repeating them here would write every satellite's status
    // whenever the text changes.
    pass.conditions.AddError(api::kConditionAvailable, "Controller unreachable");
    pass.conditions.AddUnknown(api::kConditionConfigured, "Controller unreachable");
    return;
  }
  const api::ObjectPtr pod = FindPod(pass);
  if (!pod) {
    pass.conditions.AddError(api::kConditionAvailable,
                             "Missing Pod: no ready Pod on node " + pass.satellite.name());
    pass.conditions.AddUnknown(api::kConditionConfigured, "Missing Pod");
    return;
  }
  RegisterNode(ctx, pass, *pod);
}

api::ObjectPtr SatelliteReconciler::FindPod(const Pass& pass) const {
  for (const api::ObjectPtr& pod :
       deps_.pods.ListByLabel(std::string(api::kLabelSatellite), pass.satellite.uid())) {
    if (!pod->deleting() && IsReady(*pod)) {
      return pod;
    }
  }
  return nullptr;
}

void SatelliteReconciler::RegisterNode(const Context& ctx,
                                       Pass& pass,
                                       const api::Object& pod) const {
  const Result<WantedNode, Error> wanted = DescribeNode(*pass.node, pod, pass.spec);
  if (!wanted) {
    pass.conditions.AddError(api::kConditionConfigured, wanted.error().message);
    return;
  }
  // A missing answer must read the same in every pass and on every satellite: see LinstorHalf.
  if (const auto version = pass.client->GetVersion(ctx); !version) {
    pass.client.reset();
    LinstorHalf(ctx, pass);
    return;
  }
  const Result<linstor::Node, Error> node = SyncNode(ctx, *pass.client, *wanted);
  if (!node) {
    pass.conditions.AddError(api::kConditionConfigured, node.error().message);
    return;
  }
  pass.status.storage_providers = Sorted(node->storage_providers);
  pass.status.device_layers = Sorted(node->resource_layers);
  if (!node->online()) {
    pass.conditions.AddError(api::kConditionAvailable,
                             "satellite is " + node->connection_status + ", not ONLINE");
    pass.conditions.AddUnknown(api::kConditionConfigured, "Satellite not online");
    return;
  }
  pass.conditions.AddSuccess(api::kConditionAvailable, "satellite online");
  RegisterPools(ctx, pass);
}

void SatelliteReconciler::RegisterPools(const Context& ctx, Pass& pass) const {
  auto pools = pass.client->ListStoragePools(ctx, pass.satellite.name());
  if (!pools) {
    pass.conditions.AddError(api::kConditionConfigured, pools.error().message());
    return;
  }
  const std::vector<std::string> errors =
      SyncPools(ctx, *pass.client, *pass.node, pass.spec.storage_pools, *pools);
  std::int64_t total = 0;
  std::int64_t free = 0;
  for (const linstor::StoragePool& pool : *pools) {
    if (pool.provider_kind != "DISKLESS") {
      total += pool.total_kib.value_or(0) * kKib;
      free += pool.free_kib.value_or(0) * kKib;
    }
  }
  pass.status.total_capacity_bytes = total;
  pass.status.free_capacity_bytes = free;
  if (!errors.empty()) {
    pass.conditions.AddError(api::kConditionConfigured, JoinBounded(errors));
    return;
  }
  pass.conditions.AddSuccess(api::kConditionConfigured, "Pools configured");
  ReadUsage(ctx, pass);
}

void SatelliteReconciler::ReadUsage(const Context& ctx, Pass& pass) const {
  const std::string& node = pass.satellite.name();
  const auto resources = pass.client->ListResources(ctx, node, "");
  const auto snapshots = pass.client->ListSnapshots(ctx);
  if (!resources || !snapshots) {
    return;  // numbers only; the next pass tries again
  }
  pass.status.number_of_volumes = static_cast<std::int64_t>(resources->size());
  pass.status.number_of_snapshots =
      std::count_if(snapshots->begin(), snapshots->end(), [&](const linstor::Snapshot& snapshot) {
        return std::find(snapshot.nodes.begin(), snapshot.nodes.end(), node) !=
               snapshot.nodes.end();
      });
  pass.settled = true;
}

}  // namespace breakwater::controllers
