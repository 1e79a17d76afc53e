// The LINSTOR half of the satellite reconciler.

#include <algorithm>

#include "operator/api/resources.h"
#include "operator/controllers/common/status_tools.h"
#include "operator/controllers/satellite/node_registration.h"
#include "operator/controllers/satellite/satellite_reconciler.h"

namespace breakwater::controllers {
namespace {

/// A snapshot that shows something to do or something wrong is looked at again, when it is older
/// than this: it may be done since.
constexpr std::chrono::seconds kFresh{1};

std::vector<std::string> Sorted(std::vector<std::string> values) {
  std::sort(values.begin(), values.end());
  return values;
}

}  // namespace

void SatelliteReconciler::LinstorHalf(const Context& ctx, Pass& pass) {
  if (!pass.client) {
    ReportUnreachable(pass.conditions);  // details are on the LinstorCluster
    return;
  }
  const api::ObjectPtr pod = FindPod(pass);
  if (!pod) {
    pass.conditions.AddError(api::kConditionAvailable,
                             "Missing Pod: no ready Pod on node " + pass.satellite.name());
    pass.conditions.AddUnknown(api::kConditionConfigured, "Missing Pod");
    return;
  }
  Result<WantedNode, Error> wanted = DescribeNode(*pass.node, *pod, pass.spec);
  if (!wanted) {
    pass.conditions.AddError(api::kConditionConfigured, wanted.error().message);
    return;
  }
  wanted->leaving = pass.satellite.deleting();
  const LinstorSnapshotPtr snapshot = Look(ctx, pass, *wanted);
  if (!snapshot) {
    ReportUnreachable(pass.conditions);
    return;
  }
  Register(ctx, pass, *wanted, *snapshot);
}

api::ObjectPtr SatelliteReconciler::FindPod(const Pass& pass) const {
  for (const api::ObjectPtr& pod :
       deps_.pods.ListByLabel(std::string(api::kLabelSatellite), pass.satellite.uid())) {
    if (!pod->deleting() && IsSatelliteReady(*pod)) {
      return pod;
    }
  }
  return nullptr;
}

LinstorSnapshotPtr SatelliteReconciler::Look(const Context& ctx,
                                             const Pass& pass,
                                             const WantedNode& wanted) {
  const std::string& cluster = pass.spec.cluster_ref.name;
  auto snapshot = deps_.snapshots.Get(ctx, cluster, options_.linstor_max_age);
  if (!snapshot) {
    return nullptr;
  }
  const auto facts = (*snapshot)->Find(wanted.name);
  const SteadyTime now = ctx.clock().SteadyNow();
  if (facts && facts->node.online() && PlanNode(facts->node, wanted).empty()) {
    const PoolPlan pools =
        PlanPools(*pass.node, pass.spec.storage_pools, facts->pools, backoff_, now);
    if (pools.steps.empty() && pools.errors.empty()) {
      return *snapshot;
    }
  }
  snapshot = deps_.snapshots.Get(
      ctx, cluster, std::min<std::chrono::milliseconds>(kFresh, options_.linstor_max_age));
  return snapshot ? *snapshot : nullptr;
}

void SatelliteReconciler::Register(const Context& ctx,
                                   Pass& pass,
                                   const WantedNode& wanted,
                                   const LinstorSnapshot& snapshot) {
  const auto known = snapshot.Find(wanted.name);
  LinstorNodeFacts facts = known ? *known : LinstorNodeFacts();
  bool changed = false;
  std::vector<std::string> refused;
  if (!known || !PlanNode(known->node, wanted).empty()) {
    // LINSTOR adjusts all volumes of a node that changes, and resumes their I/O by that (L24).
    const std::string volume = known ? SwitchingVolume(ctx, pass) : "";
    if (!volume.empty()) {
      pass.conditions.AddUnknown(api::kConditionConfigured,
                                 "Waiting for volume " + volume + ", which is being switched");
      return;
    }
    Result<linstor::Node, Error> node = SyncNode(ctx, *pass.client, wanted, &refused);
    if (!node) {
      deps_.snapshots.Invalidate(pass.spec.cluster_ref.name);
      pass.conditions.AddError(api::kConditionConfigured, node.error().message);
      return;
    }
    facts.node = std::move(*node);
    changed = true;
  }
  if (!refused.empty()) {
    pass.conditions.AddError(api::kConditionConfigured, "Failed to set " + JoinBounded(refused));
  }
  pass.status.storage_providers = Sorted(facts.node.storage_providers);
  pass.status.device_layers = Sorted(facts.node.resource_layers);
  pass.status.number_of_volumes = facts.replicas;
  pass.status.number_of_snapshots = facts.snapshots;
  if (facts.node.online()) {
    pass.conditions.AddSuccess(api::kConditionAvailable, "satellite online");
    changed = RegisterPools(ctx, pass, facts) || changed;
  } else {
    pass.conditions.AddError(api::kConditionAvailable,
                             "satellite is " + facts.node.connection_status + ", not ONLINE");
    pass.conditions.AddUnknown(api::kConditionConfigured, "Satellite not online");
  }
  pass.settled = pass.settled && refused.empty();
  if (changed) {
    deps_.snapshots.Update(pass.spec.cluster_ref.name, facts);
  }
}

bool SatelliteReconciler::RegisterPools(const Context& ctx, Pass& pass, LinstorNodeFacts& facts) {
  PoolPlan plan = PlanPools(*pass.node, pass.spec.storage_pools, facts.pools, backoff_,
                            ctx.clock().SteadyNow());
  const bool changed = !plan.steps.empty();
  const std::vector<std::string> errors =
      changed
          ? SyncPools(ctx, *pass.client, *pass.node, pass.spec.storage_pools, backoff_, facts.pools)
          : std::move(plan.errors);
  const LinstorUsage capacity = CapacityOf(facts.pools);
  pass.status.total_capacity_bytes = capacity.total_bytes;
  pass.status.free_capacity_bytes = capacity.free_bytes;
  if (errors.empty()) {
    pass.conditions.AddSuccess(api::kConditionConfigured, "Pools configured");
    pass.settled = true;
  } else {
    pass.conditions.AddError(api::kConditionConfigured, JoinBounded(errors));
  }
  return changed;
}

}  // namespace breakwater::controllers
