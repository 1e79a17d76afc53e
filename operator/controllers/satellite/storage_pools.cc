// Storage pools of one node.

#include <algorithm>
#include <chrono>
#include <optional>
#include <set>

#include "operator/api/resources.h"
#include "operator/controllers/satellite/node_registration.h"
#include "operator/core/satellite/properties.h"
#include "operator/linstor/props.h"

namespace breakwater::controllers {
namespace {

constexpr const char* kStorPoolName = "StorDriver/StorPoolName";

/// LINSTOR prepares devices longer than a call may take. Asked again meanwhile it would refuse,
/// because they are not empty any more, and what comes then would race with what it is at.
constexpr std::chrono::minutes kPreparing{5};

Result<linstor::Props, Error> WantedProps(const api::Object& node, const api::StoragePool& pool) {
  BREAKWATER_ASSIGN_OR_RETURN(linstor::Props props, core::ResolveProperties(node, pool.properties));
  props[std::string(api::kPropertyManagedBy)] = api::kPropertyManagedByValue;
  props[kStorPoolName] = pool.BackingName();
  return props;
}

/// Of `zpool create`, unless the pool has its own. A zpool whose disk fails then returns errors, on
/// which DRBD detaches; the default of ZFS blocks every write for ever. Source: Piraeus Operator
/// v2.
std::vector<std::string> ZpoolArguments(const api::StoragePool& pool) {
  const bool zfs =
      pool.type == api::StoragePoolType::kZfs || pool.type == api::StoragePoolType::kZfsThin;
  return zfs && pool.zpool_create_arguments.empty()
             ? std::vector<std::string>{"-o", "failmode=continue"}
             : pool.zpool_create_arguments;
}

linstor::PhysicalStorage AsPhysical(const api::StoragePool& pool, linstor::Props props) {
  return {.provider_kind = std::string(pool.ProviderKind()),
          .device_paths = pool.host_devices.value_or(std::vector<std::string>()),
          .pool_name = pool.BackingName(),
          .storage_pool = pool.name,
          .storage_pool_props = std::move(props),
          .pv_create_arguments = pool.physical_volume_create_arguments,
          .vg_create_arguments = pool.volume_group_create_arguments,
          .lv_create_arguments = pool.logical_volume_create_arguments,
          .zpool_create_arguments = ZpoolArguments(pool)};
}

Result<void, std::string> Create(const Context& ctx,
                                 linstor::Client& client,
                                 const std::string& node,
                                 const api::StoragePool& pool,
                                 linstor::Props props,
                                 bool* preparing) {
  props = linstor::WithBookkeeping(std::move(props));
  std::string first_error;
  if (pool.host_devices && !pool.is_file()) {
    const auto made = client.CreatePhysicalStorage(ctx, node, AsPhysical(pool, props));
    if (made) {
      return {};
    }
    if (const net::TransportError* lost = made.error().transport()) {
      *preparing = !lost->not_sent;
      return Unexpected{made.error().message()};  // it may have worked: look again first
    }
    first_error = made.error().message();
  }
  // Also after a refusal: the volume group or zpool may be there from an earlier life of the node.
  linstor::StoragePool wanted{.name = pool.name,
                              .node = node,
                              .provider_kind = std::string(pool.ProviderKind()),
                              .props = std::move(props)};
  const auto registered = client.CreateStoragePool(ctx, wanted);
  if (registered) {
    return {};
  }
  // One of the properties may be the reason: without them, they come one by one.
  if (registered.error().api() != nullptr && !pool.properties.empty()) {
    std::erase_if(wanted.props, [](const auto& property) {
      return property.first != kStorPoolName && property.first != api::kPropertyManagedBy;
    });
    wanted.props = linstor::WithBookkeeping(std::move(wanted.props));
    if (client.CreateStoragePool(ctx, wanted)) {
      return Unexpected{registered.error().message()};
    }
  }
  if (!first_error.empty() && !registered.error().IsTransport()) {
    // LINSTOR may keep a pool that it refused (L8); it would hide that its devices are not prepared
    // yet. It was not there a moment ago, and LINSTOR does not delete one that is in use.
    (void)client.DeleteStoragePool(ctx, node, pool.name);
  }
  return Unexpected{(first_error.empty() ? "" : first_error + "; then ") +
                    registered.error().message()};
}

std::string About(const std::string& pool, const std::string& what) {
  return "storage pool " + pool + ": " + what;
}

bool IsManaged(const linstor::StoragePool& pool) {
  const auto found = pool.props.find(std::string(api::kPropertyManagedBy));
  return found != pool.props.end() && found->second == api::kPropertyManagedByValue;
}

/// The step that brings one wanted pool nearer, if there is one; errors are added to the plan.
void PlanOne(const api::Object& node,
             const api::StoragePool& wanted,
             const linstor::StoragePool* found,
             PoolPlan& plan) {
  Result<linstor::Props, Error> props = WantedProps(node, wanted);
  if (!props) {
    plan.errors.push_back(About(wanted.name, props.error().message));
    return;
  }
  if (found == nullptr) {
    plan.steps.push_back({.kind = PoolStep::Kind::kCreate,
                          .name = wanted.name,
                          .wanted = &wanted,
                          .props = std::move(*props)});
    return;
  }
  if (!found->provider_kind.empty() && found->provider_kind != wanted.ProviderKind()) {
    plan.errors.push_back(About(wanted.name, "is " + found->provider_kind + " in LINSTOR, wanted " +
                                                 std::string(wanted.ProviderKind()) +
                                                 "; give the new pool another name"));
    return;
  }
  // LINSTOR never moves a pool to another volume group: what it was created on stays.
  if (const auto backing = found->props.find(kStorPoolName); backing != found->props.end()) {
    (*props)[kStorPoolName] = backing->second;
  }
  linstor::PropsChange change = linstor::DiffProps(found->props, *props);
  if (!change.empty()) {
    plan.steps.push_back({.kind = PoolStep::Kind::kModify,
                          .name = wanted.name,
                          .wanted = &wanted,
                          .change = std::move(change)});
  }
  for (const linstor::ApiCallRc& report : found->reports) {
    if (report.IsError()) {
      plan.errors.push_back(About(wanted.name, report.ToString()));
      return;
    }
  }
}

Result<void, std::string> Run(const Context& ctx,
                              linstor::Client& client,
                              const std::string& node,
                              const PoolStep& step,
                              bool* preparing) {
  switch (step.kind) {
    case PoolStep::Kind::kCreate:
      return Create(ctx, client, node, *step.wanted, step.props, preparing);
    case PoolStep::Kind::kModify: {
      std::string errors;
      for (const std::string& error :
           linstor::SendProps(step.change, "the pool", [&](const linstor::PropsChange& part) {
             return client.ModifyStoragePool(ctx, node, step.name, part);
           }).errors) {
        errors += (errors.empty() ? "" : "; ") + error;
      }
      if (!errors.empty()) {
        return Unexpected{std::move(errors)};
      }
      return {};
    }
    case PoolStep::Kind::kDelete:
      if (const auto done = client.DeleteStoragePool(ctx, node, step.name); !done) {
        return Unexpected{"delete: " + done.error().message()};
      }
      return {};
  }
  return {};
}

}  // namespace

PoolPlan PlanPools(const api::Object& node,
                   const std::vector<api::StoragePool>& wanted,
                   const std::vector<linstor::StoragePool>& pools,
                   const PoolBackoff& backoff,
                   SteadyTime now) {
  PoolPlan plan;
  std::set<std::string> names;
  for (const api::StoragePool& pool : wanted) {
    names.insert(pool.name);
    const auto found = std::find_if(pools.begin(), pools.end(),
                                    [&](const auto& item) { return item.name == pool.name; });
    const std::optional<std::string> refusal =
        found == pools.end() ? backoff.Refusal(node.name(), pool, now) : std::nullopt;
    if (refusal) {
      plan.errors.push_back(About(pool.name, *refusal));
    } else {
      PlanOne(node, pool, found == pools.end() ? nullptr : &*found, plan);
    }
  }
  for (const linstor::StoragePool& pool : pools) {
    if (!names.contains(pool.name) && IsManaged(pool)) {
      plan.steps.push_back({.kind = PoolStep::Kind::kDelete, .name = pool.name});
    }
  }
  return plan;
}

std::vector<std::string> SyncPools(const Context& ctx,
                                   linstor::Client& client,
                                   const api::Object& node,
                                   const std::vector<api::StoragePool>& wanted,
                                   PoolBackoff& backoff,
                                   std::vector<linstor::StoragePool>& pools) {
  const auto read = [&](std::vector<std::string>& errors) {
    auto listed = client.ListStoragePools(ctx, node.name());
    if (!listed) {
      errors.push_back("read storage pools: " + listed.error().message());
      return false;
    }
    pools = std::move(*listed);
    return true;
  };
  std::vector<std::string> errors;
  if (!read(errors)) {
    return errors;
  }
  PoolPlan plan = PlanPools(node, wanted, pools, backoff, ctx.clock().SteadyNow());
  errors = std::move(plan.errors);
  for (const PoolStep& step : plan.steps) {
    bool preparing = false;
    const Result<void, std::string> done = Run(ctx, client, node.name(), step, &preparing);
    if (!done) {
      errors.push_back(About(step.name, done.error()));
    }
    if (step.kind != PoolStep::Kind::kCreate) {
      continue;
    }
    if (done) {
      backoff.Made(node.name(), step.name);
    } else if (preparing) {
      backoff.Unanswered(node.name(), *step.wanted, done.error(),
                         ctx.clock().SteadyNow() + kPreparing);
    } else {
      backoff.Refused(node.name(), *step.wanted, done.error(), ctx.clock().SteadyNow());
    }
  }
  if (!plan.steps.empty()) {
    read(errors);
  }
  return errors;
}

}  // namespace breakwater::controllers
