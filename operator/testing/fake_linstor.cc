#include "operator/testing/fake_linstor.h"

#include <algorithm>
#include <type_traits>

namespace breakwater::testing {

using linstor::ApiCallRc;
using linstor::ApiError;
using linstor::Connection;
using linstor::LinstorResult;
using linstor::NetInterface;
using linstor::Node;
using linstor::PropsChange;
using linstor::Reply;
using linstor::StoragePool;

namespace {

// Severity bits only; nothing may depend on the rest.
constexpr std::int64_t kError = static_cast<std::int64_t>(0xC000000000000001U);
constexpr std::int64_t kWarning = static_cast<std::int64_t>(0x8000000000000001U);

Unexpected<ApiError> Refuse(int status, std::string message) {
  return Unexpected{
      ApiError{status, {ApiCallRc{.ret_code = kError, .message = std::move(message)}}}};
}

Reply Done() {
  return {{ApiCallRc{.ret_code = 1, .message = "Done"}}};
}

Reply Warn(std::string message) {
  return {{ApiCallRc{.ret_code = kWarning, .message = std::move(message)}}};
}

void Change(linstor::Props& props, const PropsChange& change) {
  for (const auto& [key, value] : change.override_props) {
    props[key] = value;
  }
  for (const std::string& key : change.delete_props) {
    props.erase(key);
  }
}

/// The first property that LINSTOR would not take; "" when it takes all.
std::string Bad(const std::set<std::string>& bad, const linstor::Props& props) {
  for (const auto& [key, value] : props) {
    if (bad.contains(key)) {
      return "The key '" + key + "' is not whitelisted.";
    }
  }
  return "";
}

void ChangeConnection(std::vector<Connection>& connections,
                      const std::string& a,
                      const std::string& b,
                      const PropsChange& change) {
  auto found = std::find_if(connections.begin(), connections.end(),
                            [&](const Connection& c) { return c.IsBetween(a, b); });
  if (found == connections.end()) {
    found = connections.insert(connections.end(), Connection{a, b, {}});
  }
  Change(found->props, change);
}

NetInterface* FindInterface(Node& node, const std::string& name) {
  for (NetInterface& netif : node.net_interfaces) {
    if (netif.name == name) {
      return &netif;
    }
  }
  return nullptr;
}

/// Says that there was nothing to change.
bool FoundNothing(const Reply& reply) {
  return std::any_of(reply.messages.begin(), reply.messages.end(), [](const ApiCallRc& message) {
    return message.message.ends_with("not found.");
  });
}

template <typename Map>
auto Values(const Map& map) {
  std::vector<typename Map::mapped_type> values;
  for (const auto& [key, value] : map) {
    values.push_back(value);
  }
  return values;
}

}  // namespace

void FakeLinstor::SetDown(bool down) {
  const std::lock_guard lock(mutex_);
  down_ = down;
}

void FakeLinstor::OnCall(std::function<void(const Context&)> hook) {
  const std::lock_guard lock(mutex_);
  hook_ = std::move(hook);
}

void FakeLinstor::FailCall(std::size_t index, LinstorFault fault) {
  const std::lock_guard lock(mutex_);
  fail_ = calls_.size() + index;
  fault_ = fault;
}

bool FakeLinstor::ForgetFault() {
  const std::lock_guard lock(mutex_);
  const bool waiting = fail_.has_value();
  fail_.reset();
  return waiting;
}

void FakeLinstor::OnLateAnswer(std::function<void()> hook) {
  const std::lock_guard lock(mutex_);
  late_answer_ = std::move(hook);
}

std::size_t FakeLinstor::calls() const {
  const std::lock_guard lock(mutex_);
  return calls_.size();
}

std::vector<std::string> FakeLinstor::CallsSince(std::size_t first) const {
  const std::lock_guard lock(mutex_);
  return {calls_.begin() + static_cast<std::ptrdiff_t>(std::min(first, calls_.size())),
          calls_.end()};
}

std::vector<std::string> FakeLinstor::effects() const {
  const std::lock_guard lock(mutex_);
  return effects_;
}

void FakeLinstor::ClearEffects() {
  const std::lock_guard lock(mutex_);
  effects_.clear();
}

std::vector<std::string> FakeLinstor::writes() const {
  const std::lock_guard lock(mutex_);
  return writes_;
}

void FakeLinstor::ClearWrites() {
  const std::lock_guard lock(mutex_);
  writes_.clear();
}

template <typename T, typename F>
LinstorResult<T> FakeLinstor::RunLocked(const std::string& what, F& f) {
  LinstorResult<T> result = f(state_);
  if constexpr (std::is_same_v<T, Reply>) {
    if (result && !FoundNothing(*result)) {
      effects_.push_back(what);
    }
  }
  return result;
}

void FakeLinstor::LandLate(const Context& ctx, const std::string& what) {
  if (late_ && (ctx.clock().SteadyNow() >= late_->due || what == late_->what)) {
    const std::function<void()> effect = std::move(late_->effect);
    late_.reset();
    effect();
  }
}

std::optional<LinstorFault> FakeLinstor::NextFault(std::size_t index) {
  if (!fail_ || *fail_ != index) {
    return std::nullopt;
  }
  fail_.reset();
  return fault_;
}

template <typename T, typename F>
LinstorResult<T> FakeLinstor::Call(const Context& ctx, const std::string& what, F f) {
  using Kind = net::TransportError::Kind;
  std::unique_lock lock(mutex_);
  if (const auto hook = hook_) {
    lock.unlock();
    hook(ctx);
    lock.lock();
  }
  const std::size_t index = calls_.size();
  calls_.push_back(what);
  if (ctx.canceled()) {
    return Unexpected{net::TransportError{Kind::kCanceled, "cancelled", true}};
  }
  if (ctx.expired()) {
    return Unexpected{net::TransportError{Kind::kTimeout, "no time left", true}};
  }
  if (down_) {
    return Unexpected{net::TransportError{Kind::kConnect, url() + ": connection refused", true}};
  }
  LandLate(ctx, what);
  const std::optional<LinstorFault> fault = NextFault(index);
  if (fault == LinstorFault::kRefused) {
    return Refuse(500, "injected failure");
  }
  if (!what.empty()) {
    writes_.push_back(what);
  }
  if (fault && *fault != LinstorFault::kLateAnswer) {
    if (*fault == LinstorFault::kLostAnswer) {
      (void)RunLocked<T>(what, f);
    } else if (*fault == LinstorFault::kLateEffect) {
      late_ = Late{what, ctx.clock().SteadyNow() + kLateTime,
                   [this, what, f]() mutable { (void)RunLocked<T>(what, f); }};
    }
    return Unexpected{net::TransportError{Kind::kTimeout, "no answer (injected)", false}};
  }
  LinstorResult<T> result = RunLocked<T>(what, f);
  if (const auto pass_time = fault ? late_answer_ : nullptr) {
    lock.unlock();
    pass_time();
  }
  return result;
}

LinstorResult<linstor::ControllerVersion> FakeLinstor::GetVersion(const Context& ctx) {
  return Call<linstor::ControllerVersion>(ctx, "", [](State& s) { return s.version; });
}

LinstorResult<linstor::Props> FakeLinstor::GetControllerProps(const Context& ctx) {
  return Call<linstor::Props>(ctx, "", [](State& s) { return s.controller_props; });
}

LinstorResult<Reply> FakeLinstor::ModifyControllerProps(const Context& ctx,
                                                        const PropsChange& change) {
  return Call<Reply>(ctx, "modify-controller", [=](State& s) -> LinstorResult<Reply> {
    if (const std::string why = Bad(s.bad_properties, change.override_props); !why.empty()) {
      return Refuse(400, why);
    }
    Change(s.controller_props, change);
    return Done();
  });
}

LinstorResult<std::vector<Node>> FakeLinstor::ListNodes(const Context& ctx) {
  return Call<std::vector<Node>>(ctx, "", [](State& s) { return Values(s.nodes); });
}

LinstorResult<Node> FakeLinstor::GetNode(const Context& ctx, const std::string& name) {
  return Call<Node>(ctx, "", [=](State& s) -> LinstorResult<Node> {
    const auto found = s.nodes.find(name);
    if (found == s.nodes.end()) {
      return Refuse(404, "Node '" + name + "' not found.");
    }
    return found->second;
  });
}

LinstorResult<Reply> FakeLinstor::CreateNode(const Context& ctx, const Node& node) {
  return Call<Reply>(ctx, "create-node " + node.name, [=](State& s) -> LinstorResult<Reply> {
    if (s.nodes.contains(node.name)) {
      return Refuse(500, "A node with the specified name already exists.");
    }
    if (const std::string why = Bad(s.bad_properties, node.props); !why.empty()) {
      return Refuse(400, why);
    }
    Node& created = s.nodes[node.name] = node;
    created.type = "SATELLITE";
    created.storage_providers = {"DISKLESS", "LVM", "LVM_THIN", "FILE", "FILE_THIN"};
    created.resource_layers = {"DRBD", "STORAGE"};
    const bool reachable = !s.unreachable.contains(node.name);
    created.connection_status = reachable ? "ONLINE" : "OFFLINE";
    return reachable ? Done() : Warn("No active connection to satellite '" + node.name + "'");
  });
}

LinstorResult<Reply> FakeLinstor::ModifyNode(const Context& ctx,
                                             const std::string& name,
                                             const PropsChange& change) {
  return Call<Reply>(ctx, "modify-node " + name, [=](State& s) -> LinstorResult<Reply> {
    if (!s.nodes.contains(name)) {
      return Refuse(404, "Node not found.");
    }
    if (const std::string why = Bad(s.bad_properties, change.override_props); !why.empty()) {
      return Refuse(400, why);
    }
    Change(s.nodes[name].props, change);
    return Done();
  });
}

LinstorResult<Reply> FakeLinstor::DeleteNode(const Context& ctx, const std::string& name) {
  return Call<Reply>(ctx, "delete-node " + name, [=](State& s) -> LinstorResult<Reply> {
    const bool used = std::any_of(s.resources.begin(), s.resources.end(),
                                  [&](const linstor::Resource& r) { return r.node == name; });
    if (used) {
      return Refuse(500, "Node '" + name + "' still has resources.");
    }
    std::erase_if(s.pools, [&](const auto& item) { return item.first.first == name; });
    std::erase_if(s.node_connections,
                  [&](const Connection& c) { return c.node_a == name || c.node_b == name; });
    return s.nodes.erase(name) != 0 ? Done() : Warn("Node not found.");
  });
}

LinstorResult<Reply> FakeLinstor::LostNode(const Context& ctx, const std::string& name) {
  return Call<Reply>(ctx, "lost-node " + name, [=](State& s) {
    std::erase_if(s.resources, [&](const linstor::Resource& r) { return r.node == name; });
    std::erase_if(s.pools, [&](const auto& item) { return item.first.first == name; });
    std::erase_if(s.node_connections,
                  [&](const Connection& c) { return c.node_a == name || c.node_b == name; });
    return s.nodes.erase(name) != 0 ? Done() : Warn("Node not found.");
  });
}

LinstorResult<Reply> FakeLinstor::EvacuateNode(const Context& ctx, const std::string& name) {
  return Call<Reply>(ctx, "evacuate-node " + name, [=](State& s) -> LinstorResult<Reply> {
    if (!s.nodes.contains(name)) {
      return Refuse(404, "Node not found.");
    }
    if (!s.nodes[name].HasFlag("EVACUATE")) {
      s.nodes[name].flags.emplace_back("EVACUATE");
    }
    return Done();
  });
}

LinstorResult<Reply> FakeLinstor::RestoreNode(const Context& ctx, const std::string& name) {
  return Call<Reply>(ctx, "restore-node " + name, [=](State& s) -> LinstorResult<Reply> {
    if (!s.nodes.contains(name)) {
      return Refuse(404, "Node not found.");
    }
    std::erase(s.nodes[name].flags, "EVACUATE");
    std::erase(s.nodes[name].flags, "EVICTED");
    return Done();
  });
}

LinstorResult<Reply> FakeLinstor::CreateNetInterface(const Context& ctx,
                                                     const std::string& node,
                                                     const NetInterface& netif) {
  return Call<Reply>(ctx, "create-netif " + node + "/" + netif.name,
                     [=](State& s) -> LinstorResult<Reply> {
                       if (!s.nodes.contains(node)) {
                         return Refuse(404, "Node not found.");
                       }
                       if (FindInterface(s.nodes[node], netif.name) != nullptr) {
                         return Refuse(500, "NetInterface already exists.");
                       }
                       s.nodes[node].net_interfaces.push_back(netif);
                       return Done();
                     });
}

LinstorResult<Reply> FakeLinstor::ModifyNetInterface(const Context& ctx,
                                                     const std::string& node,
                                                     const NetInterface& netif) {
  return Call<Reply>(
      ctx, "modify-netif " + node + "/" + netif.name, [=](State& s) -> LinstorResult<Reply> {
        NetInterface* found =
            s.nodes.contains(node) ? FindInterface(s.nodes[node], netif.name) : nullptr;
        if (found == nullptr) {
          return Refuse(404, "NetInterface not found.");
        }
        *found = netif;
        return Done();
      });
}

LinstorResult<Reply> FakeLinstor::DeleteNetInterface(const Context& ctx,
                                                     const std::string& node,
                                                     const std::string& netif) {
  return Call<Reply>(ctx, "delete-netif " + node + "/" + netif, [=](State& s) {
    std::erase_if(s.nodes[node].net_interfaces,
                  [&](const NetInterface& item) { return item.name == netif; });
    return Done();
  });
}

LinstorResult<std::vector<StoragePool>> FakeLinstor::ListStoragePools(const Context& ctx,
                                                                      const std::string& node) {
  return Call<std::vector<StoragePool>>(ctx, "", [=](State& s) {
    std::vector<StoragePool> pools = Values(s.pools);
    std::erase_if(pools, [&](const StoragePool& p) { return !node.empty() && p.node != node; });
    return pools;
  });
}

LinstorResult<Reply> FakeLinstor::CreateStoragePool(const Context& ctx, const StoragePool& pool) {
  return Call<Reply>(
      ctx, "create-pool " + pool.node + "/" + pool.name, [=](State& s) -> LinstorResult<Reply> {
        if (!s.nodes.contains(pool.node)) {
          return Refuse(404, "Node not found.");
        }
        if (s.pools.contains({pool.node, pool.name})) {
          return Refuse(500, "Storage pool already exists.");
        }
        const auto name = pool.props.find("StorDriver/StorPoolName");
        if (!s.backing.empty() &&
            (name == pool.props.end() || !s.backing.contains({pool.node, name->second}))) {
          if (s.keeps_refused_pools) {
            s.pools[{pool.node, pool.name}] = pool;
          }
          return Refuse(500, "Volume group not found.");
        }
        if (const std::string why = Bad(s.bad_properties, pool.props); !why.empty()) {
          return Refuse(400, why);
        }
        StoragePool& created = s.pools[{pool.node, pool.name}] = pool;
        created.free_kib = s.pool_kib;
        created.total_kib = s.pool_kib;
        return Done();
      });
}

LinstorResult<Reply> FakeLinstor::ModifyStoragePool(const Context& ctx,
                                                    const std::string& node,
                                                    const std::string& pool,
                                                    const PropsChange& change) {
  return Call<Reply>(
      ctx, "modify-pool " + node + "/" + pool, [=](State& s) -> LinstorResult<Reply> {
        const auto found = s.pools.find({node, pool});
        if (found == s.pools.end()) {
          return Refuse(404, "Storage pool not found.");
        }
        if (const std::string why = Bad(s.bad_properties, change.override_props); !why.empty()) {
          return Refuse(400, why);
        }
        Change(found->second.props, change);
        return Done();
      });
}

LinstorResult<Reply> FakeLinstor::DeleteStoragePool(const Context& ctx,
                                                    const std::string& node,
                                                    const std::string& pool) {
  return Call<Reply>(
      ctx, "delete-pool " + node + "/" + pool, [=](State& s) -> LinstorResult<Reply> {
        for (const linstor::Resource& resource : s.resources) {
          for (const linstor::Volume& volume : resource.volumes) {
            if (resource.node == node && volume.storage_pool == pool) {
              return Refuse(500, "The storage pool is still in use.");
            }
          }
        }
        return s.pools.erase({node, pool}) != 0 ? Done() : Warn("Storage pool not found.");
      });
}

LinstorResult<Reply> FakeLinstor::CreatePhysicalStorage(const Context& ctx,
                                                        const std::string& node,
                                                        const linstor::PhysicalStorage& storage) {
  const std::string what = "create-physical " + node + "/" + storage.storage_pool;
  return Call<Reply>(ctx, what, [=](State& s) -> LinstorResult<Reply> {
    s.physical.push_back(storage);
    for (const std::string& device : storage.device_paths) {
      if (s.bad_devices.contains(device)) {
        return Refuse(500, "Failed to vgcreate on device: " + device);
      }
      if (s.used_devices.contains({node, device})) {
        return Refuse(500, "Device '" + device + "' is not empty.");
      }
    }
    for (const std::string& device : storage.device_paths) {
      s.used_devices.insert({node, device});
    }
    if (!s.backing.empty()) {
      s.backing.insert({node, storage.pool_name});
    }
    StoragePool pool{.name = storage.storage_pool,
                     .node = node,
                     .provider_kind = storage.provider_kind,
                     .props = storage.storage_pool_props,
                     .free_kib = s.pool_kib,
                     .total_kib = s.pool_kib};
    pool.props["StorDriver/StorPoolName"] = storage.pool_name;
    s.pools[{node, storage.storage_pool}] = std::move(pool);
    return Done();
  });
}

LinstorResult<std::vector<linstor::ResourceGroup>> FakeLinstor::ListResourceGroups(
    const Context& ctx) {
  return Call<std::vector<linstor::ResourceGroup>>(ctx, "", [](State& s) { return s.groups; });
}

LinstorResult<std::vector<linstor::ResourceDefinition>> FakeLinstor::ListResourceDefinitions(
    const Context& ctx) {
  return Call<std::vector<linstor::ResourceDefinition>>(
      ctx, "", [](State& s) { return Values(s.definitions); });
}

LinstorResult<Reply> FakeLinstor::ModifyResourceDefinition(const Context& ctx,
                                                           const std::string& resource,
                                                           const PropsChange& change) {
  return Call<Reply>(ctx, "modify-definition " + resource, [=](State& s) -> LinstorResult<Reply> {
    const auto found = s.definitions.find(resource);
    if (found == s.definitions.end()) {
      return Refuse(404, "Resource definition not found.");
    }
    Change(found->second.props, change);
    return Done();
  });
}

LinstorResult<std::vector<linstor::Resource>> FakeLinstor::ListResources(
    const Context& ctx, const std::string& node, const std::string& resource) {
  return Call<std::vector<linstor::Resource>>(
      ctx, "", [=](State& s) -> LinstorResult<std::vector<linstor::Resource>> {
        if (!node.empty() && !s.nodes.contains(node)) {
          return Refuse(404, "Node not found.");
        }
        std::vector<linstor::Resource> resources = s.resources;
        std::erase_if(resources, [&](const linstor::Resource& r) {
          return (!node.empty() && r.node != node) || (!resource.empty() && r.name != resource);
        });
        return resources;
      });
}

LinstorResult<std::vector<Connection>> FakeLinstor::ListResourceConnections(
    const Context& ctx, const std::string& resource) {
  return Call<std::vector<Connection>>(ctx, "",
                                       [=](State& s) { return s.resource_connections[resource]; });
}

LinstorResult<Reply> FakeLinstor::ModifyResourceConnection(const Context& ctx,
                                                           const std::string& resource,
                                                           const std::string& node_a,
                                                           const std::string& node_b,
                                                           const PropsChange& change) {
  return Call<Reply>(ctx, "modify-resource-connection " + resource + " " + node_a + " " + node_b,
                     [=](State& s) {
                       ChangeConnection(s.resource_connections[resource], node_a, node_b, change);
                       return Done();
                     });
}

LinstorResult<std::vector<Connection>> FakeLinstor::ListNodeConnections(const Context& ctx) {
  return Call<std::vector<Connection>>(ctx, "", [](State& s) { return s.node_connections; });
}

LinstorResult<Reply> FakeLinstor::ModifyNodeConnection(const Context& ctx,
                                                       const std::string& node_a,
                                                       const std::string& node_b,
                                                       const PropsChange& change) {
  return Call<Reply>(ctx, "modify-node-connection " + node_a + " " + node_b,
                     [=](State& s) -> LinstorResult<Reply> {
                       if (!s.nodes.contains(node_a) || !s.nodes.contains(node_b)) {
                         return Refuse(404, "Node not found.");
                       }
                       if (const std::string why = Bad(s.bad_properties, change.override_props);
                           !why.empty()) {
                         return Refuse(400, why);
                       }
                       ChangeConnection(s.node_connections, node_a, node_b, change);
                       return Done();
                     });
}

LinstorResult<std::vector<linstor::Snapshot>> FakeLinstor::ListSnapshots(const Context& ctx) {
  return Call<std::vector<linstor::Snapshot>>(ctx, "", [](State& s) { return s.snapshots; });
}

}  // namespace breakwater::testing
