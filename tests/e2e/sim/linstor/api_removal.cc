// Deleting resources and volume definitions, and what becomes of the tiebreaker (CSI.md, rows 5, 6
// and 9). After LINSTOR's source; not recorded.

#include <algorithm>
#include <optional>

#include <fmt/format.h>

#include "tests/e2e/sim/linstor/api.h"
#include "tests/e2e/sim/linstor/placement.h"
#include "tests/e2e/sim/linstor/simulator.h"

namespace breakwater::sim {
namespace {

constexpr const char* kAutoTiebreaker = "DrbdOptions/auto-add-quorum-tiebreaker";
constexpr const char* kQuorum = "DrbdOptions/Resource/quorum";

Entry Info(std::uint64_t number, const std::string& message, const nlohmann::json& refs) {
  return {.code = rc::Make(rc::kInfo | rc::kDelete | rc::kResource | number),
          .message = message,
          .refs = refs};
}

/// Would a tiebreaker be missing without this resource?
bool TiebreakerWouldBeMissing(const State& state, Definition definition, const std::string& node) {
  definition.resources.erase(Key(node));
  const bool other =
      std::any_of(definition.resources.begin(), definition.resources.end(), [](const auto& item) {
        return HasFlag(item.second.flags, "TIE_BREAKER") && !HasFlag(item.second.flags, "DELETE");
      });
  return !other && WantsTiebreaker(state, definition);
}

/// A tiebreaker that somebody deletes by hand is not made again, and quorum without it would only
/// freeze the volume.
void GiveUpTiebreaker(Definition& definition, const nlohmann::json& refs, Entries& out) {
  definition.props[kAutoTiebreaker] = "False";
  out.push_back(Info(rc::kPropSet,
                     fmt::format("Disabling auto-tiebreaker on resource-definition '{}' as "
                                 "tiebreaker resource was manually deleted",
                                 definition.name),
                     refs));
  if (const auto quorum = definition.props.find(kQuorum);
      quorum != definition.props.end() && quorum->second == "majority") {
    definition.props.erase(quorum);
    out.push_back(Info(rc::kPropRemoved,
                       fmt::format("Resource-definition property '{}' was removed as there are not "
                                   "enough resources for quorum",
                                   kQuorum),
                       refs));
  }
}

/// True when the resource stays, as tiebreaker. Needs the database lock.
bool StaysAsTiebreaker(const State& state,
                       Definition& definition,
                       const std::string& node,
                       bool keep_tiebreaker,
                       const nlohmann::json& refs,
                       Entries& out) {
  if (!HasLayer(definition, "DRBD")) {
    return false;
  }
  if (keep_tiebreaker && !TiebreakersEnabled(state, definition)) {
    definition.props[kAutoTiebreaker] = "True";
    out.push_back(
        Info(rc::kPropSet, "Autotiebreaker automatically enabled due to --keep-tiebreaker", refs));
  }
  Resource& resource = definition.resources.at(Key(node));
  if (!IsDiskless(resource) || HasFlag(state.nodes.at(Key(node)).flags, "EVACUATE") ||
      !TiebreakerWouldBeMissing(state, definition, node)) {
    return false;
  }
  if (HasFlag(resource.flags, "TIE_BREAKER") && !keep_tiebreaker) {
    GiveUpTiebreaker(definition, refs, out);
    return false;
  }
  resource.flags = {"DISKLESS", "DRBD_DISKLESS", "TIE_BREAKER"};
  out.push_back(Info(rc::kTiebreakerTakeover,
                     "The given resource will not be deleted but will be taken over as a linstor "
                     "managed tiebreaker resource.",
                     refs));
  return true;
}

/// The definition as it is when the resource of `node` is gone.
Definition Without(Definition definition, const std::string& node) {
  definition.resources.erase(Key(node));
  return definition;
}

Entry InUse(std::uint64_t object,
            const std::string& name,
            const std::string& node,
            const std::string& details,
            const nlohmann::json& refs) {
  return {.code = rc::Make(rc::kError | rc::kDelete | object | rc::kInUse),
          .message = fmt::format("Resource '{}' is still in use.", name),
          .cause = fmt::format("Resource is mounted/in use on the node '{}'.", node),
          .details = details,
          .correction = fmt::format("Un-mount resource '{}' on the node '{}'.", name, node),
          .refs = refs};
}

HttpReply DeleteResource(Call& call) {
  const std::string name = call.args[0];
  const std::string node = call.args[1];
  const auto details = fmt::format("Node: {}, Resource: {}", node, name);
  const nlohmann::json refs{{"RscDfn", name}, {"Node", node}};
  const auto bits = rc::kDelete | rc::kResource;
  const Entry not_found{.code = rc::Make(rc::kWarning | bits | rc::kHadNoEffect),
                        .message = details + " not found.",
                        .details = details,
                        .refs = refs};
  const auto find = [&]() -> Definition* {
    auto& definitions = call.sim.database.state.definitions;
    const auto it = definitions.find(Key(name));
    return it == definitions.end() || !it->second.resources.contains(Key(node)) ? nullptr
                                                                                : &it->second;
  };
  {
    const std::lock_guard lock(call.sim.database.mutex);
    if (find() == nullptr) {
      return ListReply(200, {not_found});
    }
  }
  if (call.sim.satellites.status(node) == "ONLINE" && call.sim.status.InUseNow(node, name)) {
    return ListReply(200, {InUse(rc::kResource, name, node, details, refs)});
  }
  Entries out;
  std::vector<Satellites::Work> kept;
  std::vector<std::string> leaving{node};
  {
    const std::lock_guard lock(call.sim.database.mutex);
    Definition* definition = find();
    if (definition == nullptr) {
      return ListReply(200, {not_found});
    }
    const State& state = call.sim.database.state;
    if (StaysAsTiebreaker(state, *definition, node, call.QueryFlag("keep_tiebreaker"), refs, out)) {
      kept = WorkForDefinition(*definition);
    } else {
      for (const auto& needless : NeedlessTiebreakers(state, Without(*definition, node))) {
        leaving.push_back(needless);
        out.push_back(Info(rc::kTiebreakerDeleting, "Tie breaker marked for deletion", refs));
      }
    }
    call.sim.database.Save();
  }
  const ApplyStyle style{
      .op = rc::kDelete, .object = rc::kResource, .details = details, .refs = refs};
  if (!kept.empty()) {
    Apply(call.sim, kept, 1, style, out);
    return ListReply(200, out);
  }
  out.insert(out.begin(), {.code = rc::Make(bits | rc::kDeleted),
                           .message = fmt::format("{} preparing for deletion.", details),
                           .details = details,
                           .refs = refs});
  RemoveReplicas(call.sim, name, leaving, style, out);
  return ListReply(200, out);
}

/// What is left to say when all nodes have answered: the volume is gone, or waits for one of them.
void FinishVolume(Simulator& sim,
                  const std::string& name,
                  const std::string& number,
                  const Entry& deleted,
                  Entries& out) {
  const std::lock_guard lock(sim.database.mutex);
  const auto it = sim.database.state.definitions.find(Key(name));
  if (it != sim.database.state.definitions.end()) {
    ForgetDeletedVolumes(it->second, "");
    sim.database.Save();
  }
  if (FindVolumeDef(sim.database.state, name, number) == nullptr) {
    out.push_back(deleted);
  }
}

HttpReply DeleteVolumeDefinition(Call& call) {
  const std::string name = call.args[0];
  const std::string number = call.args[1];
  const nlohmann::json refs{{"RscDfn", name}, {"VlmNr", number}};
  const auto bits = rc::kDelete | rc::kVlmDfn;
  const auto details = fmt::format("Resource definition: {}, Volume number: {}", name, number);
  const auto what =
      fmt::format("Volume definition with number '{}' of resource definition '{}'", number, name);
  Definition definition;
  {
    const std::lock_guard lock(call.sim.database.mutex);
    auto& state = call.sim.database.state;
    if (FindVolumeDef(state, name, number) == nullptr) {
      return ListReply(200, {{.code = rc::Make(rc::kWarning | bits | rc::kHadNoEffect),
                              .message = fmt::format("Volume definition '{}' not found.", number),
                              .refs = refs}});
    }
    definition = state.definitions.at(Key(name));
  }
  if (const auto user = NodeThatUses(call.sim, definition); !user.empty()) {
    return ListReply(200, {InUse(rc::kRscDfn, name, user, details, refs)});
  }
  Entries out;
  std::vector<Satellites::Work> work;
  {
    const std::lock_guard lock(call.sim.database.mutex);
    auto& state = call.sim.database.state;
    VolumeDef* volume = FindVolumeDef(state, name, number);
    if (volume != nullptr) {
      volume->flags = {"DELETE"};
      work = WorkForDefinition(state.definitions.at(Key(name)));
    }
    call.sim.database.Save();
  }
  if (!work.empty()) {
    out.push_back({.code = rc::Make(bits | rc::kDeleted),
                   .message = what + " marked for deletion.",
                   .details = details,
                   .refs = refs});
  }
  Apply(call.sim, work, 1,
        {.op = rc::kDelete, .object = rc::kVlmDfn, .details = details, .refs = refs}, out);
  FinishVolume(call.sim, name, number,
               {.code = rc::Make(bits | rc::kDeleted), .message = what + " deleted.", .refs = refs},
               out);
  return ListReply(200, out);
}

}  // namespace

void RegisterRemoval(Router& router) {
  router.Add("DELETE", "/v1/resource-definitions/{}/resources/{}", DeleteResource);
  router.Add("DELETE", "/v1/resource-definitions/{}/volume-definitions/{}", DeleteVolumeDefinition);
}

}  // namespace breakwater::sim
