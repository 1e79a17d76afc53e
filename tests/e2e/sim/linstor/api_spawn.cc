// Spawn: a definition with volumes from a resource group, placed as the group says.

#include <fmt/format.h>

#include "tests/e2e/sim/linstor/api.h"
#include "tests/e2e/sim/linstor/simulator.h"

namespace breakwater::sim {

namespace {

/// What spawning makes of the request: {"name", "external_name", "props", "resource_group_name"}.
nlohmann::json WantedDefinition(const Call& call, const std::string& group) {
  nlohmann::json wanted{{"resource_group_name", group}};
  if (const auto name = call.body.value("resource_definition_name", ""); !name.empty()) {
    wanted["name"] = name;
  }
  if (const auto name = call.body.value("resource_definition_external_name", ""); !name.empty()) {
    wanted["external_name"] = name;
  }
  if (call.body.contains("resource_definition_props")) {
    wanted["props"] = call.body.at("resource_definition_props");
  }
  return wanted;
}

/// The volumes of the request; returns how many.
int AddVolumes(const Call& call,
               State& state,
               Definition& definition,
               const nlohmann::json& refs,
               Entries& out) {
  int number = 0;
  for (const auto& size : call.body.value("volume_sizes", nlohmann::json::array())) {
    AddVolume(state, definition, number, size.get<std::int64_t>());
    auto volume_refs = refs;
    volume_refs["VlmNr"] = std::to_string(number);
    out.push_back(
        {.code = rc::Make(rc::kCreate | rc::kVlmDfn | rc::kCreated),
         .message = fmt::format("Volume definition with number '{}' successfully  created in "
                                "resource definition '{}'.",
                                number, definition.name),
         .refs = volume_refs});
    ++number;
  }
  return number;
}

void AddRefs(Entries& entries, const nlohmann::json& refs) {
  for (Entry& entry : entries) {
    entry.refs.update(refs);
  }
}

}  // namespace

HttpReply Spawn(Call& call) {
  Entries out;
  PlaceResult chosen;
  Definition made;
  nlohmann::json refs;
  const std::string details = "Resource group: " + call.args[0];
  {
    const std::lock_guard lock(call.sim.database.mutex);
    auto& state = call.sim.database.state;
    const auto group = state.groups.find(Key(call.args[0]));
    if (group == state.groups.end()) {
      return ListReply(
          201, {{.code = rc::Make(rc::kError | rc::kCreate | rc::kRscGrp | rc::kNotFoundRscGrp),
                 .message = fmt::format("Resource group '{}' not found.", call.args[0]),
                 .details = details,
                 .refs = {{"RscGrp", call.args[0]}}}});
    }
    Entries created =
        CreateDefinition(call.sim, call.request, WantedDefinition(call, group->second.name), made);
    refs = {{"RscDfn", made.name}, {"RscGrp", group->second.name}};
    if (HasError(created)) {
      return ListReply(201, created);
    }
    auto& definition = state.definitions.at(Key(made.name));
    const int number = AddVolumes(call, state, definition, refs, out);
    AddRefs(created, {{"RscGrp", group->second.name}});
    out.insert(out.end(), created.begin(), created.end());
    if (call.body.value("definitions_only", false)) {
      out.push_back(
          {.code = rc::Make(rc::kInfo | rc::kCreate | rc::kRscGrp | rc::kDefinitionsOnly),
           .message = fmt::format("Resource definition {} and {} created but no resources deployed",
                                  made.name, number),
           .cause = "--definitions-only was set",
           .refs = refs});
      call.sim.database.Save();
      return ListReply(201, out);
    }
    chosen = ChoosePlaces(call.sim, definition, call.body.value("select_filter", nlohmann::json()),
                          "\n" + details);
    if (!chosen.error.empty()) {
      state.definitions.erase(Key(made.name));
      return ListReply(
          201, {{.code = rc::Make(rc::kError | rc::kCreate | rc::kRscGrp | rc::kNotEnoughNodes),
                 .message = "Not enough available nodes",
                 .details = chosen.error,
                 .refs = refs}});
    }
    call.sim.database.Save();
  }
  const auto deployed =
      Deploy(call.sim, made.name, chosen.placements,
             {.op = rc::kCreate, .object = rc::kRscGrp, .details = details, .refs = refs});
  out.insert(out.end(), deployed.begin(), deployed.end());
  return ListReply(201, out);
}

}  // namespace breakwater::sim
