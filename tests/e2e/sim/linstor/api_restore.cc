// Volumes from snapshots: first the volume definitions, then the resources (CSI.md, row 3). Not
// recorded; shapes after the OpenAPI file.

#include <algorithm>
#include <optional>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "tests/e2e/sim/linstor/api.h"
#include "tests/e2e/sim/linstor/simulator.h"
#include "tests/e2e/sim/linstor/snapshot_steps.h"

namespace breakwater::sim {
namespace {

struct Source {
  const Definition* definition = nullptr;
  const Snapshot* snapshot = nullptr;
  Definition* target = nullptr;
};

/// The snapshot of the path and the definition of the body, or what is missing. Needs the database
/// lock; the pointers hold as long.
std::optional<Entry> FindSource(Call& call, std::uint64_t bits, Source& out) {
  auto& definitions = call.sim.database.state.definitions;
  const auto from = definitions.find(Key(call.args[0]));
  if (from == definitions.end()) {
    return DefinitionNotFound(bits, call.args[0], SnapshotDetails(call.args[0], call.args[1]),
                              SnapshotRefs(call.args[0], call.args[1]));
  }
  const auto snapshot = from->second.snapshots.find(Key(call.args[1]));
  if (snapshot == from->second.snapshots.end()) {
    return SnapshotNotFound(bits, call.args[0], call.args[1]);
  }
  const auto to = call.body.value("to_resource", "");
  const auto target = definitions.find(Key(to));
  if (target == definitions.end()) {
    return DefinitionNotFound(bits, to, "Resource definition: " + to, {{"RscDfn", to}});
  }
  out = {&from->second, &snapshot->second, &target->second};
  return std::nullopt;
}

HttpReply RestoreVolumeDefinitions(Call& call) {
  const auto bits = rc::kCreate | rc::kVlmDfn;
  const std::lock_guard lock(call.sim.database.mutex);
  Source source;
  if (auto missing = FindSource(call, bits, source)) {
    return ListReply(200, {*missing});
  }
  Definition& target = *source.target;
  const nlohmann::json refs{{"RscDfn", target.name}};
  for (const auto& [number, size] : source.snapshot->sizes_kib) {
    if (target.volumes.contains(number)) {
      return ListReply(200, {{.code = rc::Make(rc::kError | bits | rc::kExistsVlmDfn),
                              .message = fmt::format("A volume definition with the number {} "
                                                     "already exists in resource definition '{}'.",
                                                     number, target.name),
                              .refs = refs}});
    }
  }
  for (const auto& [number, size] : source.snapshot->sizes_kib) {
    AddVolume(call.sim.database.state, target, number, size);
  }
  call.sim.database.Save();
  return ListReply(
      200, {{.code = rc::Make(bits | rc::kCreated),
             .message = fmt::format("Volume definitions of resource definition '{}' restored from "
                                    "resource '{}', snapshot '{}'.",
                                    target.name, source.definition->name, source.snapshot->name),
             .refs = refs}});
}

/// A volume may have grown in the definition only after it was restored.
std::optional<Entry> CompareSizes(const Source& source, std::uint64_t bits) {
  for (const auto& [number, volume] : source.target->volumes) {
    const auto size = source.snapshot->sizes_kib.find(number);
    if (size == source.snapshot->sizes_kib.end() || size->second != volume.size_kib) {
      return Entry{
          .code = rc::Make(rc::kError | bits | rc::kInvalidVolumeSize),
          .message = fmt::format("The size of volume {} of '{}' is not that of the snapshot.",
                                 number, source.target->name),
          .refs = {{"RscDfn", source.target->name}}};
    }
  }
  return std::nullopt;
}

/// Replicas on the wanted nodes, all that have the snapshot when none is named.
std::optional<Entry> PlanReplicas(const Call& call,
                                  const Source& source,
                                  std::uint64_t bits,
                                  std::vector<Placement>& out) {
  const nlohmann::json refs{{"RscDfn", source.target->name}};
  const auto rename = call.body.value("stor_pool_rename", std::map<std::string, std::string>());
  auto nodes = call.body.value("nodes", std::vector<std::string>());
  nodes = nodes.empty() ? source.snapshot->nodes : nodes;
  for (const auto& node : nodes) {
    const auto pools = source.snapshot->pools.find(Key(node));
    if (pools == source.snapshot->pools.end() || pools->second.empty()) {
      return Entry{.code = rc::Make(rc::kError | bits | rc::kNotFoundSnapshotOnNode),
                   .message = fmt::format("Snapshot '{}' of resource '{}' on node '{}' not found.",
                                          source.snapshot->name, source.definition->name, node),
                   .refs = refs};
    }
    const auto renamed = rename.find(pools->second.begin()->second);
    auto placement =
        Diskful(node, renamed == rename.end() ? pools->second.begin()->second : renamed->second);
    if (!call.sim.database.state.pools.contains(PoolKey(node, placement.pool))) {
      return Entry{
          .code = rc::Make(rc::kError | bits | rc::kNotFoundStorPool),
          .message = fmt::format("Storage pool '{}' on node '{}' not found.", placement.pool, node),
          .refs = refs};
    }
    placement.copy_of = source.definition->name;
    placement.copy_name = source.snapshot->name;
    out.push_back(std::move(placement));
  }
  return std::nullopt;
}

HttpReply RestoreResource(Call& call) {
  const auto bits = rc::kCreate | rc::kResource;
  std::vector<Placement> placements;
  ApplyStyle style{.op = rc::kCreate, .object = rc::kResource};
  {
    const std::lock_guard lock(call.sim.database.mutex);
    Source source;
    auto bad = FindSource(call, bits, source);
    if (bad) {
      return ListReply(200, {*bad});
    }
    style.refs = {{"RscDfn", source.target->name}};
    style.details = fmt::format("Resource: {}", source.target->name);
    if (!source.target->resources.empty()) {
      bad = Entry{.code = rc::Make(rc::kError | bits | rc::kExistsRsc),
                  .message = fmt::format("Cannot restore to resource definition '{}' which already "
                                         "has resources.",
                                         source.target->name),
                  .refs = style.refs};
    }
    bad = bad ? bad : CompareSizes(source, bits);
    bad = bad ? bad : PlanReplicas(call, source, bits, placements);
    if (bad) {
      return ListReply(200, {*bad});
    }
  }
  auto out = Deploy(call.sim, call.body.value("to_resource", ""), placements, style);
  return ListReply(200, out);
}

}  // namespace

void RegisterRestore(Router& router) {
  const std::string base = "/v1/resource-definitions/{}/snapshot-restore-";
  router.Add("POST", base + "volume-definition/{}", RestoreVolumeDefinitions, {"SnapshotRestore"});
  router.Add("POST", base + "resource/{}", RestoreResource, {"SnapshotRestore"});
}

}  // namespace breakwater::sim
