// Snapshots: LINSTOR suspends I/O of the resources on all their nodes, makes the snapshots,
// resumes. Refusals are recorded (satellite-07-suspend-io); the words of a success are after
// LINSTOR's documentation.

#include <algorithm>
#include <chrono>
#include <optional>
#include <set>

#include <fmt/format.h>

#include "tests/e2e/sim/linstor/api.h"
#include "tests/e2e/sim/linstor/simulator.h"

namespace breakwater::sim {
namespace {

constexpr std::uint64_t kBits = rc::kCreate | rc::kSnapshot;

struct Wanted {
  std::string resource, name;
  std::set<std::string> nodes;  // keys; empty: every node that has data
  Props props;
};

Wanted Parse(const nlohmann::json& body, const std::string& resource) {
  Wanted out{resource, body.value("name", ""), {}, body.value("props", Props())};
  for (const auto& node : body.value("nodes", std::vector<std::string>())) {
    out.nodes.insert(Key(node));
  }
  return out;
}

std::string Details(const std::string& resource, const std::string& snapshot) {
  return fmt::format("Resource: {}, Snapshot: {}", resource, snapshot);
}

nlohmann::json Refs(const std::string& resource, const std::string& snapshot) {
  return {{"RscDfn", resource}, {"Snapshot", snapshot}};
}

/// A file system without reflinks, as the one of the record, makes FILE_THIN refuse.
bool CanSnapshot(const std::string& kind) {
  return kind == "LVM_THIN" || kind == "ZFS" || kind == "ZFS_THIN";
}

/// Why a snapshot cannot be made. Needs the database lock.
std::optional<Entry> Refusal(const State& state, const Wanted& wanted) {
  const auto details = Details(wanted.resource, wanted.name);
  const auto refs = Refs(wanted.resource, wanted.name);
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
      if (!IsDiskless(resource) && !CanSnapshot(volume.kind)) {
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
  return std::nullopt;
}

/// Registers the snapshot. Needs the database lock.
Entry Register(State& state, const Wanted& wanted) {
  Definition& definition = state.definitions.at(Key(wanted.resource));
  Snapshot made{.name = wanted.name, .uuid = NewUuid(), .props = wanted.props};
  made.created_ms = std::chrono::duration_cast<std::chrono::milliseconds>(
                        std::chrono::system_clock::now().time_since_epoch())
                        .count();
  for (const auto& [key, resource] : definition.resources) {
    if (!IsDiskless(resource) && (wanted.nodes.empty() || wanted.nodes.contains(key))) {
      made.nodes.push_back(resource.node);
    }
  }
  for (const auto& [number, volume] : definition.volumes) {
    made.sizes_kib[number] = volume.size_kib;
  }
  auto refs = Refs(definition.name, made.name);
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

/// The same request for all resources of a list, one per node. Needs the database lock.
std::vector<Satellites::Work> WorkFor(const State& state,
                                      const std::vector<Wanted>& all,
                                      CycleKind kind) {
  std::vector<Satellites::Work> work;
  for (const Wanted& wanted : all) {
    const auto it = state.definitions.find(Key(wanted.resource));
    if (it == state.definitions.end()) {
      continue;
    }
    // A diskless node has nothing to copy, but its I/O must stand still too.
    for (const auto& [key, resource] : it->second.resources) {
      if (kind != CycleKind::kSnapshot || !IsDiskless(resource)) {
        work.push_back({resource.node,
                        {.resources = {Key(it->second.name)},
                         .later_round = kind != CycleKind::kSuspend,
                         .kind = kind}});
      }
    }
  }
  return work;
}

struct StepResult {
  bool failed = false, torn = false;
};

StepResult Step(Simulator& sim,
                const std::vector<Wanted>& all,
                CycleKind kind,
                const std::string& names,
                Entries& out) {
  std::vector<Satellites::Work> work;
  {
    const std::lock_guard lock(sim.database.mutex);
    work = WorkFor(sim.database.state, all, kind);
  }
  const ApplyStyle style{.op = rc::kCreate,
                         .object = rc::kSnapshot,
                         .details = Details(all.front().resource, all.front().name),
                         .refs = Refs(all.front().resource, all.front().name)};
  StepResult step;
  sim.satellites.RunRound(work, [&](const CycleResult& result) {
    step.failed = step.failed || result.offline || !result.error.empty();
    step.torn = step.torn || result.torn;
    if (result.offline || !result.error.empty()) {
      AddResult(result, style, out);
      return;
    }
    std::string message = fmt::format("Took snapshot of '[{}]' on '{}'", names, result.node);
    if (kind == CycleKind::kSuspend) {
      message = fmt::format("Suspended IO of '[{}]' on '{}' for snapshot", names, result.node);
    } else if (kind == CycleKind::kResume) {
      message = fmt::format("Resumed IO of '[{}]' on '{}' after snapshot", names, result.node);
    }
    out.push_back(
        {.code = rc::Make(kBits | rc::kModified), .message = message, .refs = style.refs});
  });
  return step;
}

HttpReply CreateAll(Call& call, const std::vector<Wanted>& all) {
  Entries out;
  std::string names;
  {
    const std::lock_guard lock(call.sim.database.mutex);
    for (const Wanted& wanted : all) {
      if (auto refused = Refusal(call.sim.database.state, wanted)) {
        out = {*refused};
        FileReports(call.sim, call.request, out);
        return ListReply(201, out);
      }
    }
    for (const Wanted& wanted : all) {
      out.push_back(Register(call.sim.database.state, wanted));
      names += (names.empty() ? "" : ", ") + wanted.resource;
    }
    call.sim.database.Save();
  }
  StepResult step = Step(call.sim, all, CycleKind::kSuspend, names, out);
  if (!step.failed) {
    step = Step(call.sim, all, CycleKind::kSnapshot, names, out);
  }
  Step(call.sim, all, CycleKind::kResume, names, out);  // whatever went wrong before
  const std::lock_guard lock(call.sim.database.mutex);
  for (const Wanted& wanted : all) {
    const auto it = call.sim.database.state.definitions.find(Key(wanted.resource));
    if (it != call.sim.database.state.definitions.end()) {
      Snapshot& made = it->second.snapshots[Key(wanted.name)];
      made.flags = {step.failed ? "FAILED_DEPLOYMENT" : "SUCCESSFUL"};
      made.torn = step.torn;
    }
  }
  call.sim.database.Save();
  return ListReply(201, out);
}

HttpReply Create(Call& call) {
  return CreateAll(call, {Parse(call.body, call.args[0])});
}

HttpReply CreateMulti(Call& call) {
  std::vector<Wanted> all;
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
    out["snapshots"].push_back({{"snapshot_name", snapshot.name},
                                {"node_name", node},
                                {"create_timestamp", snapshot.created_ms},
                                {"flags", snapshot.flags}});
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
  return JsonReply(200, Collect(call.sim.database.state, fits));
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

HttpReply Delete(Call& call) {
  const std::lock_guard lock(call.sim.database.mutex);
  auto& definitions = call.sim.database.state.definitions;
  const auto it = definitions.find(Key(call.args[0]));
  const auto details = Details(call.args[0], call.args[1]);
  const auto refs = Refs(call.args[0], call.args[1]);
  if (it == definitions.end() || it->second.snapshots.erase(Key(call.args[1])) == 0) {
    return ListReply(
        200, {{.code = rc::Make(rc::kWarning | rc::kDelete | rc::kSnapshot | rc::kHadNoEffect),
               .message = fmt::format("Snapshot definition {} of resource {} not found.",
                                      call.args[1], call.args[0]),
               .details = details,
               .refs = refs}});
  }
  call.sim.database.Save();
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
