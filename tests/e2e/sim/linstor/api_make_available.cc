// make-available: a resource is usable on a node afterwards, without a disk when that is possible
// (CSI.md, row 1). After LINSTOR's source; not recorded.

#include <algorithm>
#include <optional>

#include <fmt/format.h>

#include "tests/e2e/sim/linstor/api.h"
#include "tests/e2e/sim/linstor/placement.h"
#include "tests/e2e/sim/linstor/simulator.h"

namespace breakwater::sim {
namespace {

constexpr std::uint64_t kBits = rc::kCreate | rc::kResource;

/// What has to happen.
struct Plan {
  std::optional<Entry> answer;               // nothing more to do
  std::optional<Placement> placement;        // to be deployed
  std::vector<Satellites::Work> flags_only;  // only flags have changed
};

Entry NotEnough(const Definition& definition, const std::string& node, const ApplyStyle& style) {
  return {.code = rc::Make(rc::kError | kBits | rc::kNotEnoughNodes),
          .message = "Not enough available nodes",
          .details = fmt::format("Resource '{}' cannot be placed on node '{}'.\n{}",
                                 definition.name, node, style.details),
          .refs = style.refs};
}

/// A disk on that node, in the pool that the autoplacer takes there.
std::optional<Placement> ChooseDisk(Simulator& sim,
                                    const Definition& definition,
                                    const std::string& node) {
  const State& state = sim.database.state;
  const auto group = state.groups.find(Key(definition.group));
  auto question = ReadFilter(
      group == state.groups.end() ? nlohmann::json() : group->second.select_filter, nullptr);
  question.nodes = {node};
  question.online = OnlineNodes(sim);
  question.replaces = node;
  for (const auto& [number, volume] : definition.volumes) {
    question.size_kib += volume.size_kib;
  }
  const auto chosen = Choose(state, definition, question, 1);
  return chosen.empty() ? std::nullopt
                        : std::optional(Diskful(chosen.front().first, chosen.front().second));
}

/// The resource is there already. Needs the database lock.
Plan PlanExisting(Simulator& sim,
                  Definition& definition,
                  Resource& resource,
                  bool diskful,
                  const ApplyStyle& style) {
  Plan plan;
  const auto before = resource.flags;
  std::erase(resource.flags, "DELETE");
  if (IsDiskless(resource) && diskful) {
    plan.placement = ChooseDisk(sim, definition, resource.node);
    if (!plan.placement) {
      resource.flags = before;
      plan.answer = NotEnough(definition, resource.node, style);
    }
    return plan;
  }
  std::erase(resource.flags, "TIE_BREAKER");  // from now on it is wanted
  if (resource.flags != before) {
    plan.flags_only = WorkForDefinition(definition);
  }
  plan.answer = Entry{.code = rc::Make(kBits),
                      .message = "Resource already deployed as requested",
                      .refs = style.refs};
  return plan;
}

/// Needs the database lock.
Plan PlanNew(Simulator& sim,
             const Definition& definition,
             const std::string& node,
             bool diskful,
             const ApplyStyle& style) {
  Plan plan;
  const bool diskless = HasLayer(definition, "DRBD") && !diskful && CountReplicas(definition) > 0;
  if (!diskless) {
    plan.placement = ChooseDisk(sim, definition, node);
  } else if (sim.satellites.status(node) == "ONLINE") {
    plan.placement = Diskless(node);
  }
  if (!plan.placement) {
    plan.answer = NotEnough(definition, node, style);
  }
  return plan;
}

/// Another node without a disk does what the tiebreaker was made for.
void DropNeedlessTiebreakers(Simulator& sim,
                             const std::string& name,
                             const ApplyStyle& style,
                             Entries& out) {
  std::vector<std::string> needless;
  {
    const std::lock_guard lock(sim.database.mutex);
    const auto it = sim.database.state.definitions.find(Key(name));
    if (HasError(out) || it == sim.database.state.definitions.end()) {
      return;
    }
    needless = NeedlessTiebreakers(sim.database.state, it->second);
  }
  if (!needless.empty()) {
    out.push_back({.code = rc::Make(rc::kInfo | kBits | rc::kTiebreakerDeleting),
                   .message = "Tie breaker marked for deletion",
                   .refs = style.refs});
    RemoveReplicas(sim, name, needless, style, out);
  }
}

HttpReply MakeAvailable(Call& call) {
  const std::string name = call.args[0];
  const std::string node = call.args[1];
  const bool diskful = call.body.value("diskful", false);
  const ApplyStyle style{.op = rc::kCreate,
                         .object = rc::kResource,
                         .details = fmt::format("Node: {}, Resource: {}", node, name),
                         .refs = {{"RscDfn", name}, {"Node", node}}};
  Plan plan;
  {
    const std::lock_guard lock(call.sim.database.mutex);
    auto& state = call.sim.database.state;
    const auto it = state.definitions.find(Key(name));
    if (it == state.definitions.end()) {
      return ListReply(200, {DefinitionNotFound(kBits, name, style.details, style.refs)});
    }
    if (!state.nodes.contains(Key(node))) {
      return ListReply(200, {NodeNotFound(kBits, node, style.details, style.refs)});
    }
    const auto existing = it->second.resources.find(Key(node));
    plan = existing == it->second.resources.end()
               ? PlanNew(call.sim, it->second, node, diskful, style)
               : PlanExisting(call.sim, it->second, existing->second, diskful, style);
    call.sim.database.Save();
  }
  if (plan.placement) {
    auto out = Deploy(call.sim, name, {*plan.placement}, style);
    DropNeedlessTiebreakers(call.sim, name, style, out);
    return ListReply(200, out);
  }
  Entries out{*plan.answer};
  Apply(call.sim, plan.flags_only, 1, style, out);
  return ListReply(200, out);
}

}  // namespace

void RegisterMakeAvailable(Router& router) {
  router.Add("POST", "/v1/resource-definitions/{}/resources/{}/make-available", MakeAvailable,
             {.java_class = "ResourceMakeAvailable", .optional = true});
}

}  // namespace breakwater::sim
