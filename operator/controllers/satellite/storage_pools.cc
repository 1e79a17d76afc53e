// Storage pools of one node.

#include <algorithm>

#include "operator/api/resources.h"
#include "operator/controllers/satellite/node_registration.h"
#include "operator/core/satellite/properties.h"
#include "operator/linstor/props.h"

namespace breakwater::controllers {
namespace {

constexpr const char* kStorPoolName = "StorDriver/StorPoolName";

Result<linstor::Props, Error> WantedProps(const api::Object& node, const api::StoragePool& pool) {
  BREAKWATER_ASSIGN_OR_RETURN(linstor::Props props, core::ResolveProperties(node, pool.properties));
  props[std::string(api::kPropertyManagedBy)] = api::kPropertyManagedByValue;
  props[kStorPoolName] = pool.BackingName();
  return props;
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
          .zpool_create_arguments = pool.zpool_create_arguments};
}

Result<void, std::string> Create(const Context& ctx,
                                 linstor::Client& client,
                                 const std::string& node,
                                 const api::StoragePool& pool,
                                 linstor::Props props) {
  props = linstor::WithBookkeeping(std::move(props));
  std::string first_error;
  if (pool.host_devices && !pool.is_file()) {
    const auto made = client.CreatePhysicalStorage(ctx, node, AsPhysical(pool, props));
    if (made) {
      return {};
    }
    if (made.error().IsTransport()) {
      return Unexpected{made.error().message()};  // it may have worked: look again first
    }
    first_error = made.error().message();
  }
  // Also after a refusal: the volume group or zpool may be there from an earlier life of the node.
  const auto registered =
      client.CreateStoragePool(ctx, {.name = pool.name,
                                     .node = node,
                                     .provider_kind = std::string(pool.ProviderKind()),
                                     .props = std::move(props)});
  if (registered) {
    return {};
  }
  return Unexpected{(first_error.empty() ? "" : first_error + "; then ") +
                    registered.error().message()};
}

Result<void, std::string> SyncOne(const Context& ctx,
                                  linstor::Client& client,
                                  const api::Object& node,
                                  const api::StoragePool& pool,
                                  const std::vector<linstor::StoragePool>& pools,
                                  bool& changed) {
  Result<linstor::Props, Error> props = WantedProps(node, pool);
  if (!props) {
    return Unexpected{props.error().message};
  }
  const auto found = std::find_if(pools.begin(), pools.end(), [&](const linstor::StoragePool& p) {
    return p.name == pool.name;
  });
  if (found == pools.end()) {
    changed = true;
    return Create(ctx, client, node.name(), pool, std::move(*props));
  }
  // LINSTOR never moves a pool to another volume group: what it was created on stays.
  if (const auto backing = found->props.find(kStorPoolName); backing != found->props.end()) {
    (*props)[kStorPoolName] = backing->second;
  }
  const linstor::PropsChange change = linstor::DiffProps(found->props, *props);
  if (!change.empty()) {
    changed = true;
    const auto modified = client.ModifyStoragePool(ctx, node.name(), pool.name, change);
    if (!modified) {
      return Unexpected{modified.error().message()};
    }
  }
  for (const linstor::ApiCallRc& report : found->reports) {
    if (report.IsError()) {
      return Unexpected{report.ToString()};
    }
  }
  return {};
}

bool IsManaged(const linstor::StoragePool& pool) {
  const auto found = pool.props.find(std::string(api::kPropertyManagedBy));
  return found != pool.props.end() && found->second == api::kPropertyManagedByValue;
}

}  // namespace

std::vector<std::string> SyncPools(const Context& ctx,
                                   linstor::Client& client,
                                   const api::Object& node,
                                   const std::vector<api::StoragePool>& wanted,
                                   std::vector<linstor::StoragePool>& pools) {
  std::vector<std::string> errors;
  bool changed = false;
  for (const api::StoragePool& pool : wanted) {
    const Result<void, std::string> synced = SyncOne(ctx, client, node, pool, pools, changed);
    if (!synced) {
      errors.push_back("storage pool " + pool.name + ": " + synced.error());
    }
  }
  for (const linstor::StoragePool& pool : pools) {
    const bool keep = std::any_of(wanted.begin(), wanted.end(), [&](const api::StoragePool& item) {
      return item.name == pool.name;
    });
    if (keep || !IsManaged(pool)) {
      continue;
    }
    changed = true;
    const auto deleted = client.DeleteStoragePool(ctx, node.name(), pool.name);
    if (!deleted) {
      errors.push_back("delete storage pool " + pool.name + ": " + deleted.error().message());
    }
  }
  if (changed) {
    auto again = client.ListStoragePools(ctx, node.name());
    if (again) {
      pools = std::move(*again);
    } else {
      errors.push_back("read storage pools: " + again.error().message());
    }
  }
  return errors;
}

}  // namespace breakwater::controllers
