// Clones (CSI.md, row 4): the request makes the definition and answers; the nodes copy afterwards.
// The refusal is recorded (05-resource-definitions), the rest is after the OpenAPI file.

#include <algorithm>
#include <optional>
#include <set>

#include <fmt/format.h>

#include "tests/e2e/sim/linstor/api.h"
#include "tests/e2e/sim/linstor/simulator.h"
#include "tests/e2e/sim/linstor/snapshot_steps.h"

namespace breakwater::sim {
namespace {

constexpr std::uint64_t kBits = rc::kCreate | rc::kRscDfn;

struct Clone {
  std::string source, name;
  std::vector<Placement> placements;
};

/// The name of the copies that the nodes keep while they clone. No snapshot of a user has a dot.
std::string CopyName(const Clone& clone) {
  return "clone." + clone.name;
}

/// The same nodes and pools as the source. Needs the database lock.
std::vector<Placement> PlacementsLike(const Definition& source, const std::string& copy_name) {
  std::vector<Placement> out;
  for (const auto& [key, resource] : source.resources) {
    if (HasFlag(resource.flags, "DELETE") || HasFlag(resource.flags, "TIE_BREAKER")) {
      continue;  // a tiebreaker comes by itself
    }
    if (IsDiskless(resource)) {
      out.push_back(Diskless(resource.node));
    } else if (!resource.volumes.empty()) {
      auto placement = Diskful(resource.node, resource.volumes.begin()->second.pool);
      placement.copy_of = source.name;
      placement.copy_name = copy_name;
      out.push_back(std::move(placement));
    }
  }
  return out;
}

/// Group, layers, properties and volumes of the source, changed as the request says. Needs the
/// database lock.
Entries MakeDefinition(Call& call, const Definition& source, Definition& made) {
  nlohmann::json wanted{{"resource_group_name", call.body.value("resource_group", source.group)},
                        {"layer_data", nlohmann::json::array()}};
  for (const char* key : {"name", "external_name"}) {
    if (const auto name = call.body.value(key, ""); !name.empty()) {
      wanted[key] = name;
    }
  }
  for (const auto& layer : call.body.value("layer_list", source.layers)) {
    wanted["layer_data"].push_back({{"type", layer}});
  }
  // NOLINTNEXTLINE(performance-unnecessary-copy-initialization): the map may move
  const Definition from = source;
  Entries out = CreateDefinition(call.sim, call.request, wanted, made);
  if (HasError(out)) {
    return out;
  }
  State& state = call.sim.database.state;
  Definition& stored = state.definitions.at(Key(made.name));
  stored.props = from.props;
  const auto changed =
      ChangeProps(call.sim.rules,
                  {"RSC_DFN", rc::kRscDfn, rc::kCreate, "Resource definition: " + made.name, {}},
                  ParsePropsChange(call.body), stored.props);
  out.insert(out.end(), changed.entries.begin(), changed.entries.end());
  if (HasError(out)) {
    state.definitions.erase(Key(made.name));
    return out;
  }
  for (const auto& [number, volume] : from.volumes) {
    AddVolume(state, stored, number, volume.size_kib);
    auto props = volume.props;
    props.erase("DrbdCurrentGi");  // of the source's own disks
    stored.volumes.at(number).props.insert(props.begin(), props.end());
  }
  stored.flags = {"CLONING"};
  return out;
}

/// What runs after the reply.
void Copy(Simulator& sim, const Clone& clone) {
  Entries said;
  const std::vector<SnapshotWish> wishes{SnapshotWish{clone.source, CopyName(clone), {}, {}}};
  const SnapshotOutcome taken = TakeSnapshots(sim, wishes, said);
  bool there = false;
  {
    const std::lock_guard lock(sim.database.mutex);
    there = sim.database.state.definitions.contains(Key(clone.name));
  }
  if (!taken.failed && there) {
    const ApplyStyle style{.op = rc::kCreate,
                           .object = rc::kResource,
                           .details = "Resource definition: " + clone.name,
                           .refs = {{"RscDfn", clone.name}}};
    const auto deployed = Deploy(sim, clone.name, clone.placements, style);
    said.insert(said.end(), deployed.begin(), deployed.end());
  }
  for (const Placement& placement : clone.placements) {
    sim.port.DropCopy(placement.node, clone.source, CopyName(clone));
  }
  const std::lock_guard lock(sim.database.mutex);
  const auto it = sim.database.state.definitions.find(Key(clone.name));
  if (it != sim.database.state.definitions.end() && HasFlag(it->second.flags, "CLONING")) {
    const bool failed = taken.failed || HasError(said);
    it->second.flags = failed ? std::vector<std::string>{"FAILED"} : std::vector<std::string>();
    sim.database.Save();
  }
}

HttpReply Started(const std::string& source, const std::string& name, const Entries& messages) {
  const auto list = ListReply(201, messages);
  return JsonReply(list.status,
                   {{"location", fmt::format("/v1/resource-definitions/{}/clone/{}", source, name)},
                    {"source_name", source},
                    {"clone_name", name},
                    {"messages", nlohmann::json::parse(list.body)}});
}

/// Why the source cannot be cloned. Needs the database lock.
std::optional<Entry> Refusal(Call& call, const Definition& source, const std::string& name) {
  const bool deployed = std::any_of(source.resources.begin(), source.resources.end(),
                                    [](const auto& item) { return !IsDiskless(item.second); });
  if (!deployed) {
    return Entry{.code = rc::Make(rc::kError | kBits | rc::kNotEnoughNodes),
                 .message = "No suitable storage pools found for cloning.",
                 .details = "Resource definition: " + name,
                 .report_ids = {""},
                 .refs = {{"RscDfn", name}}};
  }
  return RefuseCopy(call.sim, source, {source.name, name, {}, {}}, kBits);
}

HttpReply Start(Call& call) {
  Clone clone{call.args[0], call.body.value("name", ""), {}};
  Entries out;
  {
    const std::lock_guard lock(call.sim.database.mutex);
    auto& definitions = call.sim.database.state.definitions;
    const auto it = definitions.find(Key(call.args[0]));
    if (it == definitions.end()) {
      return ListReply(
          201, {DefinitionNotFound(kBits, call.args[0], "Resource definition: " + call.args[0],
                                   {{"RscDfn", call.args[0]}})});
    }
    clone.source = it->second.name;
    if (const auto refused = Refusal(call, it->second, clone.name)) {
      out = {*refused};
      FileReports(call.sim, call.request, out);
      return Started(clone.source, clone.name, out);
    }
    Definition made;
    out = MakeDefinition(call, it->second, made);
    clone.name = made.name;
    if (HasError(out)) {
      return Started(clone.source, clone.name, out);
    }
    clone.placements = PlacementsLike(definitions.at(Key(clone.source)), CopyName(clone));
    call.sim.database.Save();
  }
  call.sim.InBackground([&sim = call.sim, clone] { Copy(sim, clone); });
  return Started(clone.source, clone.name, out);
}

HttpReply Status(Call& call) {
  const std::lock_guard lock(call.sim.database.mutex);
  const auto& definitions = call.sim.database.state.definitions;
  if (!definitions.contains(Key(call.args[0]))) {
    return NotFound(rc::kNotFoundRscDfn, "Source resource not found.");
  }
  const auto it = definitions.find(Key(call.args[1]));
  if (it == definitions.end()) {
    return NotFound(rc::kNotFoundRscDfn, "Cloned resource not found.");
  }
  const auto& flags = it->second.flags;
  return JsonReply(200, {{"status", HasFlag(flags, "CLONING")  ? "CLONING"
                                    : HasFlag(flags, "FAILED") ? "FAILED"
                                                               : "COMPLETE"}});
}

}  // namespace

void RegisterClone(Router& router) {
  const std::string base = "/v1/resource-definitions/{}/clone";
  router.Add("POST", base, Start, {"ResourceDefinitionCloneRequest"});
  router.Add("GET", base + "/{}", Status);
}

}  // namespace breakwater::sim
