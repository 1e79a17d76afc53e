#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "tests/e2e/sim/linstor/api.h"
#include "tests/e2e/sim/linstor/node_facts.h"
#include "tests/e2e/sim/linstor/simulator.h"

namespace breakwater::sim {
namespace {

/// Size of every simulated pool: 100 GiB.
constexpr std::int64_t kPoolKib = 104857600;

bool IsThin(const std::string& kind) {
  return kind.size() > 5 && kind.compare(kind.size() - 5, 5, "_THIN") == 0;
}

nlohmann::json PoolJson(Simulator& sim, const StorPool& pool) {
  const bool diskless = pool.kind == "DISKLESS";
  const bool snapshots = IsThin(pool.kind) || pool.kind == "ZFS";
  nlohmann::json out{{"storage_pool_name", pool.name},
                     {"node_name", pool.node},
                     {"provider_kind", pool.kind},
                     {"static_traits", {{"SupportsSnapshots", snapshots ? "true" : "false"}}},
                     {"free_space_mgr_name",
                      pool.shared_space.empty() ? pool.node + ";" + pool.name : pool.shared_space},
                     {"uuid", pool.uuid},
                     {"supports_snapshots", snapshots},
                     {"external_locking", pool.external_locking}};
  if (!pool.shared_space.empty()) {
    out["shared_space"] = pool.shared_space;
  }
  if (!pool.props.empty()) {
    out["props"] = pool.props;
  }
  if (!diskless) {
    out["static_traits"]["Provisioning"] = IsThin(pool.kind) ? "Thin" : "Fat";
  }
  if (sim.satellites.status(pool.node) == "ONLINE") {
    constexpr std::int64_t kUnlimited = 9223372036854775807;
    out["free_capacity"] = diskless ? kUnlimited : pool.free_kib;
    out["total_capacity"] = diskless ? kUnlimited : pool.total_kib;
  } else {
    auto report = ToJson(NotConnected(pool.node, {.op = 0, .object = 0}));
    report.erase("created_at");
    out["reports"] = nlohmann::json::array({report});
  }
  return out;
}

HttpReply View(Call& call) {
  const std::lock_guard lock(call.sim.database.mutex);
  auto list = nlohmann::json::array();
  for (const auto& [key, pool] : call.sim.database.state.pools) {
    if (Selected(call, "nodes", pool.node) && Selected(call, "storage_pools", pool.name) &&
        MatchesProps(call, pool.props)) {
      list.push_back(PoolJson(call.sim, pool));
    }
  }
  return JsonReply(200, Page(call, list));
}

HttpReply ListOfNode(Call& call) {
  const std::lock_guard lock(call.sim.database.mutex);
  auto list = nlohmann::json::array();
  for (const auto& [key, pool] : call.sim.database.state.pools) {
    if (Key(pool.node) == Key(call.args[0])) {
      list.push_back(PoolJson(call.sim, pool));
    }
  }
  return JsonReply(200, Page(call, list));
}

HttpReply GetOne(Call& call) {
  const std::lock_guard lock(call.sim.database.mutex);
  const auto& pools = call.sim.database.state.pools;
  const auto it = pools.find(PoolKey(call.args[0], call.args[1]));
  if (it == pools.end()) {
    return NotFound(rc::kNotFoundStorPool, fmt::format("Storage pool '{}' on node '{}' not found.",
                                                       call.args[1], call.args[0]));
  }
  return JsonReply(200, PoolJson(call.sim, it->second));
}

HttpReply ListDefinitions(Call& call) {
  const std::lock_guard lock(call.sim.database.mutex);
  std::set<std::string> names = {"DfltStorPool"};
  for (const auto& [key, pool] : call.sim.database.state.pools) {
    if (pool.name != kDisklessPool) {
      names.insert(pool.name);
    }
  }
  auto list = nlohmann::json::array();
  for (const auto& name : names) {
    list.push_back({{"storage_pool_name", name}});
  }
  return JsonReply(200, list);
}

std::string Details(const std::string& node, const std::string& pool) {
  return fmt::format("Node: {}, Storage pool name: {}", node, pool);
}

struct NewPool {
  std::string node, name, kind;
  nlohmann::json props;
  std::string shared_space;
  bool external_locking = false;
};

/// Checks that need no online satellite. Needs the database lock.
std::optional<HttpReply> Refuse(Simulator& sim, const NewPool& wanted, const nlohmann::json& refs) {
  static const std::set<std::string> kKinds = {
      "DISKLESS",           "LVM",  "LVM_THIN",    "ZFS",      "ZFS_THIN",   "FILE",
      "FILE_THIN",          "SPDK", "REMOTE_SPDK", "EBS_INIT", "EBS_TARGET", "STORAGE_SPACES",
      "STORAGE_SPACES_THIN"};
  if (!kKinds.contains(wanted.kind)) {
    return JsonReply(
        400, nlohmann::json::array({ToJson(
                 {.code = rc::Make(rc::kError | rc::kInvalidProviderKind),
                  .message = fmt::format("Given provider kind '{}' is invalid", wanted.kind)})}));
  }
  const auto bits = rc::kCreate | rc::kStorPool;
  if (!sim.database.state.nodes.contains(Key(wanted.node))) {
    return ListReply(201, {NodeNotFound(bits, wanted.node, "", refs)});
  }
  if (sim.database.state.pools.contains(PoolKey(wanted.node, wanted.name))) {
    return ListReply(201, {{.code = rc::Make(rc::kError | bits | rc::kExistsStorPool),
                            .message = fmt::format("Storage pool '{}' on node '{}' already exists.",
                                                   wanted.name, wanted.node),
                            .cause = "The StorPool already exists",
                            .details = Details(wanted.node, wanted.name),
                            .refs = refs}});
  }
  const bool online = sim.satellites.status(wanted.node) == "ONLINE";
  const auto& kinds = (online ? OnlineFacts() : OfflineFacts()).at("storage_providers");
  if (std::find(kinds.begin(), kinds.end(), wanted.kind) == kinds.end()) {
    return ListReply(
        201, {{.code = rc::Make(rc::kError | bits | rc::kStltDoesNotSupportProvider),
               .message = "The satellite does not support the device provider " + wanted.kind,
               .refs = refs}});
  }
  return std::nullopt;
}

Entry OfflinePool(const NewPool& wanted, const nlohmann::json& refs) {
  return {
      .code = rc::Make(rc::kError | rc::kCreate | rc::kStorPool | rc::kUnknownError),
      .message = fmt::format(
          "Registration of storage pool '{}' on node '{}' failed due to an unhandled exception of "
          "type DelayedApiRcException. Exceptions have been converted to responses",
          wanted.name, wanted.node),
      .details = Details(wanted.node, wanted.name),
      .report_ids = {""},
      .refs = refs};
}

HttpReply CreatePool(Call& call, const NewPool& wanted) {
  const nlohmann::json refs{{"StorPoolDfn", wanted.name}, {"Node", wanted.node}};
  const auto bits = rc::kCreate | rc::kStorPool;
  const std::lock_guard lock(call.sim.database.mutex);
  if (auto refusal = Refuse(call.sim, wanted, refs)) {
    return *refusal;
  }
  StorPool pool{wanted.name, wanted.node, wanted.kind, NewUuid()};
  pool.node = call.sim.database.state.nodes.at(Key(wanted.node)).name;
  pool.total_kib = wanted.kind == "DISKLESS" ? 0 : kPoolKib;
  pool.free_kib = pool.total_kib;
  pool.shared_space = wanted.shared_space;
  pool.external_locking = wanted.external_locking;
  Entries out;
  if (wanted.props.is_object() && !wanted.props.empty()) {
    auto outcome = ChangeProps(
        call.sim.rules,
        {"STOR_POOL", rc::kStorPool, rc::kCreate, Details(wanted.node, wanted.name), refs},
        ParsePropsChange({{"override_props", wanted.props}}), pool.props);
    out = outcome.entries;
    FileReports(call.sim, call.request, out);
    if (HasError(out)) {
      return ListReply(201, out);
    }
  }
  if (pool.kind != "DISKLESS") {
    pool.props["StorDriver/internal/AllocationGranularity"] = "1";
  }
  call.sim.database.state.pools[PoolKey(pool.node, pool.name)] = pool;
  out.push_back({.code = rc::Make(bits | rc::kCreated),
                 .message = fmt::format("New storage pool '{}' on node '{}' registered.", pool.name,
                                        pool.node),
                 .details = fmt::format("Storage pool '{}' on node '{}' UUID is: {}", pool.name,
                                        pool.node, pool.uuid),
                 .refs = {{"UUID", pool.uuid}, {"StorPoolDfn", pool.name}, {"Node", pool.node}}});
  if (call.sim.satellites.status(pool.node) == "ONLINE") {
    out.push_back(
        {.code = rc::Make(bits | rc::kModified),
         .message = fmt::format("({0}) Changes applied to storage pool '{1}' of node '{0}'",
                                pool.node, pool.name),
         .refs = refs});
    out.push_back({.code = rc::Make(bits | rc::kModified),
                   .message = fmt::format("Storage pool updated on '{}'", pool.node),
                   .refs = refs});
  } else {
    out.push_back(
        NotConnected(pool.node, {.op = rc::kCreate, .object = rc::kStorPool, .refs = refs}));
    out.push_back(OfflinePool(wanted, refs));
    FileReports(call.sim, call.request, out);
  }
  call.sim.database.Save();
  return ListReply(201, out);
}

HttpReply Create(Call& call) {
  return CreatePool(
      call,
      {call.args[0], call.body.value("storage_pool_name", ""), call.body.value("provider_kind", ""),
       call.body.value("props", nlohmann::json::object()), call.body.value("shared_space", ""),
       call.body.value("external_locking", false)});
}

/// Makes the devices (nothing to do here) and, when asked, the pool on top of them.
HttpReply CreatePhysical(Call& call) {
  const std::string node = call.args[0];
  const auto kind = call.body.value("provider_kind", "");
  const auto vg = call.body.value("pool_name", "");
  {
    const std::lock_guard lock(call.sim.database.mutex);
    if (!call.sim.database.state.nodes.contains(Key(node))) {
      return ListReply(201,
                       {NodeNotFound(rc::kCreate | rc::kStorPool, node, "", {{"Node", node}})});
    }
    if (call.sim.satellites.status(node) != "ONLINE") {
      return ListReply(201,
                       {{.code = rc::Make(rc::kError | rc::kNotConnected),
                         .message = fmt::format("No active connection to satellite '{}'", node)}});
    }
  }
  if (!call.body.contains("with_storage_pool")) {
    return ListReply(
        201, {{.code = rc::Make(rc::kCreate | rc::kCreated),
               .message = fmt::format("({}) {} pool '{}' successfully created", node, kind, vg),
               .refs = {{"Node", node}}}});
  }
  const auto& with = call.body.at("with_storage_pool");
  auto props = with.value("props", nlohmann::json::object());
  if (!props.contains("StorDriver/StorPoolName")) {
    props["StorDriver/StorPoolName"] = kind == "LVM_THIN" ? "linstor_" + vg + "/" + vg : vg;
  }
  return CreatePool(call, {node, with.value("name", ""), kind, props,
                           with.value("shared_space", ""), with.value("external_locking", false)});
}

HttpReply Modify(Call& call) {
  const std::lock_guard lock(call.sim.database.mutex);
  auto& state = call.sim.database.state;
  const nlohmann::json refs{{"StorPoolDfn", call.args[1]}, {"Node", call.args[0]}};
  const auto bits = rc::kModify | rc::kStorPool;
  const auto it = state.pools.find(PoolKey(call.args[0], call.args[1]));
  if (it == state.pools.end()) {
    const auto quoted = fmt::format("torage pool definition '{}'", call.args[1]);
    return ListReply(200,
                     {NotFoundEntry(bits | rc::kNotFoundStorPoolDfn, "S" + quoted, "s" + quoted,
                                    "s" + quoted, Details(call.args[0], call.args[1]), refs)});
  }
  auto outcome = ChangeProps(
      call.sim.rules,
      {"STOR_POOL", rc::kStorPool, rc::kModify, Details(call.args[0], call.args[1]), refs},
      ParsePropsChange(call.body), it->second.props);
  FileReports(call.sim, call.request, outcome.entries);
  if (!HasError(outcome.entries)) {
    outcome.entries.push_back({.code = rc::Make(bits | rc::kModified),
                               .message = fmt::format("Storage pool '{}' on node '{}' modified.",
                                                      it->second.name, it->second.node),
                               .refs = refs});
    call.sim.database.Save();
  }
  return ListReply(200, outcome.entries);
}

HttpReply Delete(Call& call) {
  const std::lock_guard lock(call.sim.database.mutex);
  auto& state = call.sim.database.state;
  const nlohmann::json refs{{"StorPoolDfn", call.args[1]}, {"Node", call.args[0]}};
  const auto name = fmt::format("torage pool '{}' on node '{}'", call.args[1], call.args[0]);
  const auto it = state.pools.find(PoolKey(call.args[0], call.args[1]));
  Entry out{.details = Details(call.args[0], call.args[1]), .refs = refs};
  if (it == state.pools.end()) {
    out.code = rc::Make(rc::kWarning | rc::kDelete | rc::kStorPool | rc::kHadNoEffect);
    out.message = "Deletion of s" + name + " had no effect.";
    out.cause = "S" + name + " does not exist.";
    return ListReply(200, {out});
  }
  for (const auto& [key, definition] : state.definitions) {
    const auto resource = definition.resources.find(Key(call.args[0]));
    for (const auto& [number, volume] : resource == definition.resources.end()
                                            ? std::map<int, Volume>()
                                            : resource->second.volumes) {
      if (Key(volume.pool) == Key(call.args[1])) {
        out.code = rc::Make(rc::kError | rc::kDelete | rc::kStorPool | rc::kInUse);
        out.message = "S" + name + " is still in use.";
        return ListReply(200, {out});
      }
    }
  }
  out.code = rc::Make(rc::kDelete | rc::kStorPool | rc::kDeleted);
  out.message = "S" + name + " deleted.";
  out.details = fmt::format("S{} UUID was: {}", name, it->second.uuid);
  state.pools.erase(it);
  call.sim.database.Save();
  return ListReply(200, {out});
}

}  // namespace

void RegisterStoragePools(Router& router) {
  router.Add("GET", "/v1/view/storage-pools", View);
  router.Add("GET", "/v1/nodes/{}/storage-pools", ListOfNode);
  router.Add("POST", "/v1/nodes/{}/storage-pools", Create, {"StoragePool"});
  router.Add("GET", "/v1/nodes/{}/storage-pools/{}", GetOne);
  router.Add("PUT", "/v1/nodes/{}/storage-pools/{}", Modify, {"StoragePoolModify"});
  router.Add("DELETE", "/v1/nodes/{}/storage-pools/{}", Delete);
  router.Add("GET", "/v1/storage-pool-definitions", ListDefinitions);
  router.Add("POST", "/v1/physical-storage/{}", CreatePhysical, {"PhysicalStorageCreate"});
  router.Add("GET", "/v1/physical-storage",
             [](Call&) { return JsonReply(200, nlohmann::json::array()); });
}

}  // namespace breakwater::sim
