// Snapshots. Refusals are recorded (satellite-07-suspend-io); the words of a success are after
// LINSTOR's documentation.

#include <algorithm>
#include <chrono>
#include <optional>
#include <set>

#include <fmt/format.h>

#include "tests/e2e/sim/linstor/api.h"
#include "tests/e2e/sim/linstor/simulator.h"
#include "tests/e2e/sim/linstor/snapshot_steps.h"

namespace breakwater::sim {
namespace {

constexpr std::uint64_t kBits = rc::kCreate | rc::kSnapshot;

SnapshotWish Parse(const nlohmann::json& body, const std::string& resource) {
  SnapshotWish out{resource, body.value("name", ""), {}, body.value("props", Props())};
  for (const auto& node : body.value("nodes", std::vector<std::string>())) {
    out.nodes.insert(Key(node));
  }
  return out;
}

/// Why a snapshot cannot be made. Needs the database lock.
std::optional<Entry> Refusal(Simulator& sim, const SnapshotWish& wanted) {
  const State& state = sim.database.state;
  const auto details = SnapshotDetails(wanted.resource, wanted.name);
  const auto refs = SnapshotRefs(wanted.resource, wanted.name);
  const auto it = state.definitions.find(Key(wanted.resource));
  if (it == state.definitions.end()) {
    return DefinitionNotFound(kBits, wanted.resource, details, refs);
  }
  if (it->second.snapshots.contains(Key(wanted.name))) {
    return Entry{.code = rc::Make(rc::kError | kBits | rc::kExistsSnapshotDfn),
                 .message = fmt::format("A snapshot definition with the name '{}' already exists "
                                        "in resource definition '{}'.",
                                        wanted.name, it->second.name),
                 .details = details,
                 .refs = refs};
  }
  for (const auto& [key, resource] : it->second.resources) {
    for (const auto& [number, volume] : resource.volumes) {
      if (!IsDiskless(resource) && !CanSnapshot(sim, volume.kind)) {
        return Entry{
            .code = rc::Make(rc::kError | kBits | rc::kSnapshotsNotSupported),
            .message = fmt::format("Storage driver '{}' does not support snapshots.", volume.kind),
            .details = fmt::format("Used for storage pool '{}' on '{}'.\n{}", volume.pool,
                                   resource.node, details),
            .report_ids = {""},
            .refs = refs};
      }
    }
  }
  return RefuseCopy(sim, it->second, wanted, kBits);
}

/// Registers the snapshot. Needs the database lock.
Entry Register(State& state, const SnapshotWish& wanted) {
  Definition& definition = state.definitions.at(Key(wanted.resource));
  Snapshot made{.name = wanted.name, .uuid = NewUuid(), .props = wanted.props};
  made.created_ms = std::chrono::duration_cast<std::chrono::milliseconds>(
                        std::chrono::system_clock::now().time_since_epoch())
                        .count();
  for (const auto& [key, resource] : definition.resources) {
    if (IsDiskless(resource) || (!wanted.nodes.empty() && !wanted.nodes.contains(key))) {
      continue;
    }
    made.nodes.push_back(resource.node);
    for (const auto& [number, volume] : resource.volumes) {
      made.pools[key][number] = volume.pool;
    }
  }
  for (const auto& [number, volume] : definition.volumes) {
    made.sizes_kib[number] = volume.size_kib;
  }
  auto refs = SnapshotRefs(definition.name, made.name);
  refs["UUID"] = made.uuid;
  Entry entry{.code = rc::Make(kBits | rc::kCreated),
              .message = fmt::format("New snapshot '{}' of resource '{}' registered.", made.name,
                                     definition.name),
              .details = fmt::format("Snapshot '{}' of resource '{}' UUID is: {}", made.name,
                                     definition.name, made.uuid),
              .refs = refs};
  definition.snapshots[Key(made.name)] = std::move(made);
  return entry;
}

HttpReply CreateAll(Call& call, const std::vector<SnapshotWish>& all) {
  Entries out;
  {
    const std::lock_guard lock(call.sim.database.mutex);
    for (const SnapshotWish& wanted : all) {
      if (auto refused = Refusal(call.sim, wanted)) {
        out = {*refused};
        FileReports(call.sim, call.request, out);
        return ListReply(201, out);
      }
    }
    for (const SnapshotWish& wanted : all) {
      out.push_back(Register(call.sim.database.state, wanted));
    }
    call.sim.database.Save();
  }
  const SnapshotOutcome outcome = TakeSnapshots(call.sim, all, out);
  const std::lock_guard lock(call.sim.database.mutex);
  for (const SnapshotWish& wanted : all) {
    const auto it = call.sim.database.state.definitions.find(Key(wanted.resource));
    if (it != call.sim.database.state.definitions.end()) {
      Snapshot& made = it->second.snapshots[Key(wanted.name)];
      made.flags = {outcome.failed ? "FAILED_DEPLOYMENT" : "SUCCESSFUL"};
      made.torn = outcome.torn;
    }
  }
  call.sim.database.Save();
  return ListReply(201, out);
}

HttpReply Create(Call& call) {
  return CreateAll(call, {Parse(call.body, call.args[0])});
}

HttpReply CreateMulti(Call& call) {
  std::vector<SnapshotWish> all;
  for (const auto& one : call.body.value("snapshots", nlohmann::json::array())) {
    all.push_back(Parse(one, one.value("resource_name", "")));
  }
  return all.empty() ? ListReply(201, {}) : CreateAll(call, all);
}

nlohmann::json SnapshotJson(const Definition& definition, const Snapshot& snapshot) {
  nlohmann::json out{{"name", snapshot.name},
                     {"resource_name", definition.name},
                     {"nodes", snapshot.nodes},
                     {"props", snapshot.props},
                     {"flags", snapshot.flags},
                     {"uuid", snapshot.uuid},
                     {"volume_definitions", nlohmann::json::array()},
                     {"snapshots", nlohmann::json::array()}};
  for (const auto& [number, size] : snapshot.sizes_kib) {
    out["volume_definitions"].push_back({{"volume_number", number}, {"size_kib", size}});
  }
  for (const auto& node : snapshot.nodes) {
    auto volumes = nlohmann::json::array();
    for (const auto& [number, size] : snapshot.sizes_kib) {
      volumes.push_back({{"vlm_nr", number}});
    }
    out["snapshots"].push_back({{"snapshot_name", snapshot.name},
                                {"node_name", node},
                                {"create_timestamp", snapshot.created_ms},
                                {"flags", snapshot.flags},
                                {"snapshot_volumes", volumes}});
  }
  return out;
}

/// Every snapshot of the resources that `fits` says yes to.
template <typename Fits>
nlohmann::json Collect(const State& state, const Fits& fits) {
  auto list = nlohmann::json::array();
  for (const auto& [key, definition] : state.definitions) {
    for (const auto& [name, snapshot] : definition.snapshots) {
      if (fits(definition, snapshot)) {
        list.push_back(SnapshotJson(definition, snapshot));
      }
    }
  }
  return list;
}

HttpReply View(Call& call) {
  const std::lock_guard lock(call.sim.database.mutex);
  const auto fits = [&](const Definition& definition, const Snapshot& snapshot) {
    return Selected(call, "resources", definition.name) &&
           std::any_of(snapshot.nodes.begin(), snapshot.nodes.end(),
                       [&](const std::string& node) { return Selected(call, "nodes", node); });
  };
  return JsonReply(200, Page(call, Collect(call.sim.database.state, fits)));
}

HttpReply List(Call& call) {
  const std::lock_guard lock(call.sim.database.mutex);
  const auto fits = [&](const Definition& definition, const Snapshot&) {
    return Key(definition.name) == Key(call.args[0]);
  };
  return JsonReply(200, Page(call, Collect(call.sim.database.state, fits)));
}

HttpReply GetOne(Call& call) {
  const std::lock_guard lock(call.sim.database.mutex);
  const auto fits = [&](const Definition& definition, const Snapshot& snapshot) {
    return Key(definition.name) == Key(call.args[0]) && Key(snapshot.name) == Key(call.args[1]);
  };
  const auto found = Collect(call.sim.database.state, fits);
  return found.empty() ? NotFound(rc::kNotFoundSnapshot,
                                  fmt::format("Snapshot '{}' of resource '{}' not found.",
                                              call.args[1], call.args[0]))
                       : JsonReply(200, found.front());
}

/// Takes the snapshot, or its part on the nodes of the query, out of the database. Returns the
/// nodes that still hold the data. Needs the database lock.
std::optional<std::vector<std::string>> Forget(const Call& call, State& state) {
  const auto it = state.definitions.find(Key(call.args[0]));
  if (it == state.definitions.end()) {
    return std::nullopt;
  }
  const auto snapshot = it->second.snapshots.find(Key(call.args[1]));
  if (snapshot == it->second.snapshots.end()) {
    return std::nullopt;
  }
  std::vector<std::string> dropped;
  for (const auto& node : snapshot->second.nodes) {
    if (Selected(call, "nodes", node)) {
      dropped.push_back(node);
      snapshot->second.pools.erase(Key(node));
    }
  }
  for (const auto& node : dropped) {
    std::erase(snapshot->second.nodes, node);
  }
  if (snapshot->second.nodes.empty()) {
    it->second.snapshots.erase(snapshot);
  }
  return dropped;
}

HttpReply Delete(Call& call) {
  const auto details = SnapshotDetails(call.args[0], call.args[1]);
  const auto refs = SnapshotRefs(call.args[0], call.args[1]);
  std::optional<std::vector<std::string>> dropped;
  {
    const std::lock_guard lock(call.sim.database.mutex);
    dropped = Forget(call, call.sim.database.state);
    call.sim.database.Save();
  }
  if (!dropped) {
    return ListReply(
        200, {{.code = rc::Make(rc::kWarning | rc::kDelete | rc::kSnapshot | rc::kHadNoEffect),
               .message = fmt::format("Snapshot definition {} of resource {} not found.",
                                      call.args[1], call.args[0]),
               .details = details,
               .refs = refs}});
  }
  for (const auto& node : *dropped) {
    call.sim.port.DropCopy(node, call.args[0], call.args[1]);
  }
  return ListReply(200, {{.code = rc::Make(rc::kDelete | rc::kSnapshot | rc::kDeleted),
                          .message = fmt::format("Snapshot '{}' of resource '{}' deleted.",
                                                 call.args[1], call.args[0]),
                          .details = details,
                          .refs = refs}});
}

}  // namespace

HttpReply ListTornSnapshots(Simulator& sim) {
  const std::lock_guard lock(sim.database.mutex);
  auto list = nlohmann::json::array();
  for (const auto& [key, definition] : sim.database.state.definitions) {
    for (const auto& [name, snapshot] : definition.snapshots) {
      list.push_back({{"resource", definition.name},
                      {"name", snapshot.name},
                      {"flags", snapshot.flags},
                      {"torn", snapshot.torn}});
    }
  }
  return JsonReply(200, list);
}

void RegisterSnapshots(Router& router) {
  const std::string base = "/v1/resource-definitions/{}/snapshots";
  router.Add("GET", base, List);
  router.Add("POST", base, Create, {"Snapshot"});
  router.Add("GET", base + "/{}", GetOne);
  router.Add("DELETE", base + "/{}", Delete);
  router.Add("GET", "/v1/view/snapshots", View);
  router.Add("POST", "/v1/actions/snapshot/multi", CreateMulti, {"CreateMultiSnapshotRequest"});
}

}  // namespace breakwater::sim
