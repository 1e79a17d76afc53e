// Registers replicas, deploys them through the satellites, removes them again.

#include <algorithm>
#include <chrono>
#include <set>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "tests/e2e/sim/linstor/api.h"
#include "tests/e2e/sim/linstor/placement.h"
#include "tests/e2e/sim/linstor/simulator.h"

namespace breakwater::sim {

std::vector<std::string> OnlineNodes(Simulator& sim) {
  std::vector<std::string> out;
  for (const auto& [key, node] : sim.database.state.nodes) {
    if (sim.satellites.status(node.name) == "ONLINE") {
      out.push_back(node.name);
    }
  }
  return out;
}

std::string NodeThatUses(Simulator& sim, const Definition& definition) {
  for (const auto& [key, resource] : definition.resources) {
    if (sim.satellites.status(resource.node) == "ONLINE" &&
        sim.status.InUseNow(resource.node, definition.name)) {
      return resource.node;
    }
  }
  return "";
}

Placement Diskful(const std::string& node, const std::string& pool) {
  return {.node = node, .pool = pool, .props = {{"StorPoolName", pool}}, .flags = {}};
}

Placement Diskless(const std::string& node) {
  return {.node = node,
          .pool = "",
          .props = {{"StorPoolName", kDisklessPool}},
          .flags = {"DISKLESS", "DRBD_DISKLESS"}};
}

namespace {

int FreePort(const State& state) {
  std::set<int> used;
  for (const auto& [key, definition] : state.definitions) {
    used.insert(definition.port);
  }
  int port = 7000;
  while (used.contains(port)) {
    ++port;
  }
  return port;
}

int FreeNodeId(const Definition& definition) {
  std::set<int> used;
  for (const auto& [key, resource] : definition.resources) {
    used.insert(resource.node_id);
  }
  int id = 0;
  while (used.contains(id)) {
    ++id;
  }
  return id;
}

/// Path of the disk below DRBD.
std::string Backing(Node& node, const StorPool& pool, const std::string& resource, int volume) {
  if (pool.kind == "FILE_THIN" || pool.kind == "FILE") {
    return fmt::format("/dev/loop{}", node.next_loop++);
  }
  const auto it = pool.props.find("StorDriver/StorPoolName");
  const std::string place = it == pool.props.end() ? pool.name : it->second;
  if (pool.kind == "ZFS" || pool.kind == "ZFS_THIN") {
    return fmt::format("/dev/zvol/{}/{}_{:05}", place, resource, volume);
  }
  return fmt::format("/dev/{}/{}_{:05}", place.substr(0, place.find('/')), resource, volume);
}

void Register(State& state, Definition& definition, const Placement& placement) {
  Node& node = state.nodes.at(Key(placement.node));
  Resource resource;
  const auto old = definition.resources.find(Key(node.name));
  if (old != definition.resources.end()) {
    resource.node_id = old->second.node_id;  // a tiebreaker becomes a replica in its place
  } else {
    resource.node_id = FreeNodeId(definition);
  }
  resource.node = node.name;
  resource.uuid = NewUuid();
  resource.props = placement.props;
  resource.flags = placement.flags;
  resource.copy_of = placement.copy_of;
  resource.copy_name = placement.copy_name;
  resource.created_ms = std::chrono::duration_cast<std::chrono::milliseconds>(
                            std::chrono::system_clock::now().time_since_epoch())
                            .count();
  for (const auto& [number, dfn] : definition.volumes) {
    if (HasFlag(dfn.flags, "DELETE")) {
      continue;
    }
    Volume volume;
    volume.number = number;
    volume.uuid = NewUuid();
    volume.pool = placement.pool.empty() ? kDisklessPool : placement.pool;
    auto& pool = state.pools[PoolKey(node.name, volume.pool)];
    volume.kind = placement.pool.empty() ? "DISKLESS" : pool.kind;
    if (!placement.pool.empty()) {
      volume.backing = Backing(node, pool, definition.name, number);
      pool.free_kib -= pool.kind == "LVM" ? dfn.size_kib : 0;  // thin pools fill up by writing
    }
    resource.volumes[number] = volume;
  }
  definition.resources[Key(node.name)] = resource;
}

Entry Info(std::uint64_t number, const std::string& message, const nlohmann::json& refs) {
  return {.code = rc::Make(rc::kInfo | rc::kCreate | rc::kResource | number),
          .message = message,
          .refs = refs};
}

/// Port, secret, verify algorithm, tiebreaker and quorum: what comes with the first replicas.
/// Returns the tiebreaker's node, empty when none was made.
std::string Complete(Simulator& sim,
                     Definition& definition,
                     const nlohmann::json& refs,
                     Entries& out) {
  State& state = sim.database.state;
  if (!HasLayer(definition, "DRBD")) {
    return "";
  }
  definition.port = definition.port == 0 ? FreePort(state) : definition.port;
  definition.secret = definition.secret.empty() ? NewSecret() : definition.secret;
  if (!definition.props.contains("DrbdOptions/auto-verify-alg")) {
    definition.props["DrbdOptions/auto-verify-alg"] = "sha512";
    out.push_back(
        Info(0, fmt::format("Updated {} DRBD auto verify algorithm to 'sha512'", definition.name),
             refs));
  }
  const auto tiebreaker = TiebreakerNode(state, definition, OnlineNodes(sim));
  if (!tiebreaker.empty()) {
    out.push_back({.code = rc::Make(rc::kCreate | rc::kResource | rc::kCreated),
                   .message = "Successfully set property key(s): StorPoolName",
                   .refs = refs});
    auto placement = Diskless(tiebreaker);
    placement.flags.emplace_back("TIE_BREAKER");
    Register(state, definition, placement);
    out.push_back(Info(
        rc::kTiebreakerCreated,
        fmt::format("Tie breaker resource '{}' created on {}", definition.name, tiebreaker), refs));
  }
  const char* quorum = "DrbdOptions/Resource/quorum";
  if (definition.resources.size() >= 3 && !definition.props.contains(quorum)) {
    definition.props[quorum] = "majority";
    out.push_back(
        Info(rc::kPropSet,
             "Resource-definition property 'DrbdOptions/Resource/quorum' updated from undefined "
             "to 'majority' by AutoQuorum",
             refs));
  }
  return tiebreaker;
}

void Announce(const Definition& definition,
              const Placement& placement,
              const nlohmann::json& refs,
              Entries& out) {
  const Resource& resource = definition.resources.at(Key(placement.node));
  auto with_uuid = refs;
  with_uuid["UUID"] = resource.uuid;
  out.push_back({.code = rc::Make(rc::kCreate | rc::kResource | rc::kCreated),
                 .message = fmt::format("New resource '{}' on node '{}' registered.",
                                        definition.name, resource.node),
                 .details = fmt::format("Resource '{}' on node '{}' UUID is: {}", definition.name,
                                        resource.node, resource.uuid),
                 .refs = with_uuid});
  for (const auto& [number, volume] : resource.volumes) {
    auto volume_refs = refs;
    volume_refs.update({{"VlmNr", std::to_string(number)}, {"Node", resource.node}});
    out.push_back({.code = rc::Make(rc::kCreate | rc::kVolume | rc::kCreated),
                   .message = fmt::format("Volume with number '{}' on resource '{}' on node '{}' "
                                          "successfully registered",
                                          number, definition.name, resource.node),
                   .details = "Volume UUID is: " + volume.uuid,
                   .refs = volume_refs});
  }
}

/// Who was added by this request, for the words about each node.
struct Added {
  std::string resource;
  std::vector<std::string> placed;
  std::string tiebreaker;  // empty: none
};

/// The tiebreaker is made after the replicas: first it learns of them, then they learn of it.
void AnnounceResult(const std::string& node,
                    int round,
                    const Added& added,
                    const nlohmann::json& refs,
                    Entries& out) {
  const bool is_placed =
      std::find(added.placed.begin(), added.placed.end(), node) != added.placed.end();
  if (round > 0 && added.tiebreaker.empty()) {
    return;
  }
  std::string message = fmt::format(
      "Added peer(s) '{}' to resource '{}' on '{}'",
      round == 0 ? fmt::format("{}", fmt::join(added.placed, "', '")) : added.tiebreaker,
      added.resource, node);
  if (round == 0 ? is_placed : node == added.tiebreaker) {
    message = fmt::format("Created resource '{}' on '{}'", added.resource, node);
  }
  out.push_back({.code = rc::Make(rc::kCreate | rc::kResource | rc::kModified),
                 .message = message,
                 .refs = refs});
}

/// Two rounds on all nodes of the resource. False when a node failed.
bool DeployRounds(Simulator& sim,
                  std::vector<Satellites::Work> work,
                  const Added& added,
                  const ApplyStyle& style,
                  Entries& out) {
  bool failed = false;
  for (int round = 0; round < 2 && !failed; ++round) {
    for (auto& item : work) {
      item.request.later_round = round > 0;
    }
    sim.satellites.RunRound(work, [&](const CycleResult& result) {
      failed = failed || !result.error.empty();
      AddResult(result, style, out);
      if (result.error.empty() && !result.offline) {
        AnnounceResult(result.node, round, added, style.refs, out);
      }
    });
    std::erase_if(work,
                  [&](const auto& item) { return sim.satellites.status(item.node) != "ONLINE"; });
  }
  return !failed;
}

void AnnounceReady(const Added& added, const ApplyStyle& style, Entries& out) {
  std::vector<std::string> nodes = added.placed;
  if (!added.tiebreaker.empty()) {
    nodes.push_back(added.tiebreaker);
  }
  for (const auto& node : nodes) {
    out.push_back({.code = rc::Make(rc::kCreate | rc::kResource | rc::kCreated),
                   .message = fmt::format("Resource '{}' on '{}' ready", added.resource, node),
                   .details = style.details,
                   .refs = style.refs});
  }
}

}  // namespace

Entries Deploy(Simulator& sim,
               const std::string& definition_name,
               const std::vector<Placement>& placements,
               const ApplyStyle& style) {
  Entries out;
  std::map<int, std::int64_t> sizes;
  Added added;
  std::vector<Satellites::Work> work;
  {
    const std::lock_guard lock(sim.database.mutex);
    Definition& definition = sim.database.state.definitions.at(Key(definition_name));
    added.resource = definition.name;
    for (const auto& placement : placements) {
      if (!placement.props.empty()) {
        out.push_back({.code = rc::Make(rc::kCreate | rc::kResource | rc::kCreated),
                       .message = "Successfully set property key(s): StorPoolName",
                       .refs = style.refs});
      }
      Register(sim.database.state, definition, placement);
      added.placed.push_back(definition.resources.at(Key(placement.node)).node);
    }
    added.tiebreaker = Complete(sim, definition, style.refs, out);
    for (const auto& placement : placements) {
      Announce(definition, placement, style.refs, out);
    }
    for (const auto& [number, volume] : definition.volumes) {
      sizes[number] = volume.size_kib;
    }
    work = WorkForDefinition(definition);
    sim.database.Save();
  }
  for (const auto& [number, size_kib] : sizes) {
    sim.port.SetVolumeSize(added.resource, number, size_kib);
  }
  if (!DeployRounds(sim, work, added, style, out)) {
    return out;
  }
  AnnounceReady(added, style, out);
  const std::lock_guard lock(sim.database.mutex);
  const auto it = sim.database.state.definitions.find(Key(definition_name));
  if (it != sim.database.state.definitions.end()) {
    it->second.synced = true;
    sim.database.Save();
  }
  return out;
}

PlaceResult ChoosePlaces(Simulator& sim,
                         const Definition& definition,
                         const nlohmann::json& filter,
                         const std::string& closing) {
  PlaceResult result;
  const auto& state = sim.database.state;
  const auto group = state.groups.find(Key(definition.group));
  auto question = ReadFilter(
      group == state.groups.end() ? nlohmann::json::object() : group->second.select_filter, filter);
  question.online = OnlineNodes(sim);
  for (const auto& [number, volume] : definition.volumes) {
    question.size_kib += volume.size_kib;
  }
  result.missing = MissingReplicas(definition, question);
  const auto chosen = Choose(state, definition, question, result.missing);
  if (static_cast<int>(chosen.size()) < result.missing) {
    std::string pools;
    std::string pool_lines;
    if (!question.pools.empty()) {
      pools = fmt::format(
          " * has a deployed storage pool named [{}]\n * the storage pools have to have at "
          "least '{}' free space\n",
          fmt::join(question.pools, ", "), question.size_kib);
      pool_lines =
          fmt::format("   Storage pool name:\n      {}\n", fmt::join(question.pools, "\n      "));
    }
    result.error = fmt::format(
        "Not enough nodes fulfilling the following auto-place criteria:\n{}"
        " * the current access context has enough privileges to use the node and the storage pool\n"
        " * the node is online\n\nAuto-place configuration details:\n   Replica count: {}\n"
        "   Additional replica count: {}\n{}   Do not place with resource:\n      {}\n{}",
        pools, question.place_count, result.missing, pool_lines, definition.name, closing);
    return result;
  }
  for (const auto& [node, pool] : chosen) {
    result.placements.push_back(Diskful(node, pool));
  }
  for (const auto& node :
       question.diskless_on_remaining ? question.online : std::vector<std::string>()) {
    const bool taken = definition.resources.contains(Key(node)) ||
                       std::any_of(chosen.begin(), chosen.end(),
                                   [&](const auto& one) { return one.first == node; });
    if (!taken && HasLayer(definition, "DRBD")) {
      result.placements.push_back(Diskless(node));
    }
  }
  return result;
}

void RemoveReplicas(Simulator& sim,
                    const std::string& definition_name,
                    const std::vector<std::string>& nodes,
                    const ApplyStyle& style,
                    Entries& out) {
  std::vector<Satellites::Work> leaving;
  std::vector<Satellites::Work> staying;
  {
    const std::lock_guard lock(sim.database.mutex);
    auto& definitions = sim.database.state.definitions;
    const auto it = definitions.find(Key(definition_name));
    if (it == definitions.end()) {
      return;
    }
    for (auto& [key, resource] : it->second.resources) {
      const bool goes =
          std::any_of(nodes.begin(), nodes.end(),
                      [&key = key](const std::string& node) { return Key(node) == key; });
      if (goes && !HasFlag(resource.flags, "DELETE")) {
        resource.flags.emplace_back("DELETE");
      }
      (goes ? leaving : staying).push_back({resource.node, {.resources = {Key(definition_name)}}});
    }
    sim.database.Save();
  }
  // The peers let go of the connection first, then the node stops DRBD.
  Apply(sim, staying, 1, style, out);
  Apply(sim, leaving, 1, style, out);
}

}  // namespace breakwater::sim
