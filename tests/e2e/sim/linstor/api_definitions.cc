#include <algorithm>
#include <cctype>

#include <fmt/format.h>

#include "tests/e2e/sim/linstor/api.h"
#include "tests/e2e/sim/linstor/simulator.h"

namespace breakwater::sim {

nlohmann::json VolumeDefJson(const VolumeDef& volume);  // api_volumes.cc

namespace {

nlohmann::json DefinitionJson(const Definition& definition, bool with_volumes) {
  nlohmann::json out{{"name", definition.name},
                     {"uuid", definition.uuid},
                     {"resource_group_name", definition.group}};
  if (!definition.external_name.empty()) {
    out["external_name"] = definition.external_name;
  }
  if (!definition.props.empty()) {
    out["props"] = definition.props;
  }
  if (!definition.flags.empty()) {
    out["flags"] = definition.flags;
  }
  if (definition.port != 0 || !HasLayer(definition, "DRBD")) {
    out["layer_data"] = nlohmann::json::array();
    for (const auto& layer : definition.layers) {
      nlohmann::json data{{"type", layer}};
      if (layer == "DRBD") {
        data["data"] = DrbdDefinitionJson(definition);
      }
      out["layer_data"].push_back(data);
    }
  }
  if (with_volumes && !definition.volumes.empty()) {
    out["volume_definitions"] = nlohmann::json::array();
    for (const auto& [number, volume] : definition.volumes) {
      out["volume_definitions"].push_back(VolumeDefJson(volume));
    }
  }
  return out;
}

HttpReply List(Call& call) {
  const std::lock_guard lock(call.sim.database.mutex);
  const bool volumes = call.QueryFlag("with_volume_definitions");
  auto list = nlohmann::json::array();
  for (const auto& [key, definition] : call.sim.database.state.definitions) {
    if (Selected(call, "resource_definitions", definition.name) &&
        MatchesProps(call, definition.props)) {
      list.push_back(DefinitionJson(definition, volumes));
    }
  }
  return JsonReply(200, Page(call, list));
}

HttpReply GetOne(Call& call) {
  const std::lock_guard lock(call.sim.database.mutex);
  const auto& definitions = call.sim.database.state.definitions;
  const auto it = definitions.find(Key(call.args[0]));
  return it == definitions.end()
             ? NotFound(rc::kNotFoundRscDfn,
                        fmt::format("Resource definition '{}' not found.", call.args[0]))
             : JsonReply(200, DefinitionJson(it->second, false));
}

std::string BadName(const std::string& name) {
  if (name.size() < 2) {
    return fmt::format("Invalid name: Name length {} is less than minimum length 2", name.size());
  }
  for (const char c : name) {
    const bool fine = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                      c == '-' || c == '_';
    if (!fine) {
      return fmt::format("Invalid name: Cannot contain character '{}'", c);
    }
  }
  return "";
}

/// External names become names by replacing what DRBD does not accept.
std::string NameFromExternal(std::string name) {
  for (char& c : name) {
    const bool fine = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                      c == '-' || c == '_';
    c = fine ? c : '_';
  }
  return name;
}

}  // namespace

namespace {

/// The definition's own layers, else its group's (CSI.md, row 7), else the usual ones.
std::vector<std::string> Layers(const nlohmann::json& wanted, const Group& group) {
  std::vector<std::string> out;
  for (const auto& layer : wanted.value("layer_data", nlohmann::json::array())) {
    out.push_back(layer.value("type", ""));
  }
  const auto of_group = group.select_filter.find("layer_stack");
  if (out.empty() && of_group != group.select_filter.end() && of_group->is_array()) {
    out = of_group->get<std::vector<std::string>>();
  }
  for (auto& layer : out) {
    std::transform(layer.begin(), layer.end(), layer.begin(),
                   [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  }
  return out.empty() ? Definition().layers : out;
}

}  // namespace

Entries CreateDefinition(Simulator& sim,
                         const HttpRequest& request,
                         const nlohmann::json& wanted,
                         Definition& made) {
  auto& state = sim.database.state;
  made.external_name = wanted.value("external_name", "");
  made.name = wanted.value("name", NameFromExternal(made.external_name));
  made.group = wanted.value("resource_group_name", "DfltRscGrp");
  made.uuid = NewUuid();
  const std::string details = "Resource definition: " + made.name;
  const nlohmann::json refs{{"RscDfn", made.name}};
  Entry bad{.details = details, .refs = refs};
  const auto bits = rc::kError | rc::kCreate | rc::kRscDfn;
  if (const auto cause = BadName(made.name); !cause.empty()) {
    bad.code = rc::Make(bits | rc::kInvalidRscName);
    bad.message = fmt::format("The specified resource name '{}' is invalid.", made.name);
    bad.cause = cause;
    bad.report_ids = {""};
  } else if (!state.groups.contains(Key(made.group))) {
    bad.code = rc::Make(bits | rc::kNotFoundRscGrp);
    bad.message = fmt::format("Resource group '{}' could not be found.", made.group);
    bad.report_ids = {""};
  } else if (state.definitions.contains(Key(made.name))) {
    bad.code = rc::Make(bits | rc::kExistsRscDfn);
    bad.message = fmt::format("A resource definition with the name '{}' already exists", made.name);
    bad.cause = "The ResourceDefinition already exists";
  }
  Entries out;
  if (!bad.message.empty()) {
    out = {bad};
    FileReports(sim, request, out);
    return out;
  }
  made.group = state.groups.at(Key(made.group)).name;
  made.layers = Layers(wanted, state.groups.at(Key(made.group)));
  if (const auto props = wanted.find("props"); props != wanted.end()) {
    // Here the "set" entry carries no object references (05-resource-definitions).
    out = ChangeProps(sim.rules, {"RSC_DFN", rc::kRscDfn, rc::kCreate, details, {}},
                      ParsePropsChange({{"override_props", *props}}), made.props)
              .entries;
    FileReports(sim, request, out);
    if (HasError(out)) {
      return out;
    }
  }
  out.push_back(
      {.code = rc::Make(rc::kCreate | rc::kRscDfn | rc::kCreated),
       .message = fmt::format("New resource definition '{}' created.", made.name),
       .details = fmt::format("Resource definition '{}' UUID is: {}", made.name, made.uuid),
       .refs = {{"UUID", made.uuid}, {"RscDfn", made.name}}});
  state.definitions[Key(made.name)] = made;
  return out;
}

namespace {

HttpReply Create(Call& call) {
  const std::lock_guard lock(call.sim.database.mutex);
  Definition made;
  const auto out =
      CreateDefinition(call.sim, call.request,
                       call.body.value("resource_definition", nlohmann::json::object()), made);
  if (!HasError(out)) {
    auto& stored = call.sim.database.state.definitions.at(Key(made.name));
    stored.secret = call.body.value("drbd_secret", "");
    call.sim.database.Save();
  }
  return ListReply(201, out);
}

HttpReply Modify(Call& call) {
  Entries out;
  std::vector<Satellites::Work> work;
  const std::string name = call.args[0];
  const std::string details = "Resource definition: " + name;
  const nlohmann::json refs{{"RscDfn", name}};
  {
    const std::lock_guard lock(call.sim.database.mutex);
    auto& state = call.sim.database.state;
    const auto it = state.definitions.find(Key(name));
    if (it == state.definitions.end()) {
      return ListReply(200, {DefinitionNotFound(rc::kModify | rc::kRscDfn, name, details, refs)});
    }
    Definition& definition = it->second;
    auto outcome = ChangeProps(call.sim.rules, {"RSC_DFN", rc::kRscDfn, rc::kModify, details, refs},
                               ParsePropsChange(call.body), definition.props);
    out = outcome.entries;
    FileReports(call.sim, call.request, out);
    if (HasError(out)) {
      return ListReply(200, out);
    }
    bool changed = outcome.changed;
    const auto group = call.body.value("resource_group", definition.group);
    if (state.groups.contains(Key(group)) && Key(group) != Key(definition.group)) {
      definition.group = state.groups.at(Key(group)).name;
      changed = true;
    }
    out.push_back({.code = rc::Make(rc::kModify | rc::kRscDfn | rc::kModified),
                   .message = fmt::format("Resource definition '{}' modified.", definition.name),
                   .details = fmt::format("Resource definition '{}' UUID is: {}", definition.name,
                                          definition.uuid),
                   .refs = {{"UUID", definition.uuid}, {"RscDfn", name}}});
    if (changed) {
      call.sim.database.Save();
      work = WorkForDefinition(definition);
    }
  }
  Apply(call.sim, work, 1, {.object = rc::kRscDfn, .details = details, .refs = refs}, out);
  return ListReply(200, out);
}

HttpReply Delete(Call& call) {
  const std::string name = call.args[0];
  const std::string details = "Resource definition: " + name;
  const nlohmann::json refs{{"RscDfn", name}};
  Definition definition;
  {
    const std::lock_guard lock(call.sim.database.mutex);
    const auto& definitions = call.sim.database.state.definitions;
    const auto it = definitions.find(Key(name));
    if (it == definitions.end()) {
      return ListReply(
          200, {{.code = rc::Make(rc::kWarning | rc::kDelete | rc::kRscDfn | rc::kHadNoEffect),
                 .message = fmt::format("Resource definition: {} not found.", name),
                 .details = details,
                 .refs = refs}});
    }
    definition = it->second;
  }
  if (!definition.snapshots.empty()) {  // as LINSTOR's documentation says; not recorded
    return ListReply(
        200, {{.code = rc::Make(rc::kError | rc::kDelete | rc::kRscDfn | rc::kExistsSnapshotDfn),
               .message = fmt::format("Cannot delete resource definition '{}' because it has "
                                      "snapshots.",
                                      definition.name),
               .details = details,
               .refs = refs}});
  }
  if (!NodeThatUses(call.sim, definition).empty()) {
    return ListReply(200,
                     {{.code = rc::Make(rc::kError | rc::kDelete | rc::kRscDfn | rc::kInUse),
                       .message = fmt::format("Resource definition '{}' is still in use.", name),
                       .details = details,
                       .refs = refs}});
  }
  Entries out{{.code = rc::Make(rc::kDelete | rc::kRscDfn | rc::kDeleted),
               .message = fmt::format("Resource definition '{}' deleted.", definition.name),
               .details = fmt::format("Resource definition '{}' UUID was: {}", definition.name,
                                      definition.uuid),
               .refs = refs}};
  std::vector<std::string> nodes;
  {
    const std::lock_guard lock(call.sim.database.mutex);
    auto& definitions = call.sim.database.state.definitions;
    const auto it = definitions.find(Key(name));
    if (it != definitions.end() && it->second.resources.empty()) {
      definitions.erase(it);
    } else if (it != definitions.end()) {
      it->second.flags = {"DELETE"};
      for (const auto& [key, resource] : it->second.resources) {
        nodes.push_back(resource.node);
      }
    }
    call.sim.database.Save();
  }
  RemoveReplicas(call.sim, definition.name, nodes,
                 {.op = rc::kDelete, .object = rc::kRscDfn, .details = details, .refs = refs}, out);
  return ListReply(200, out);
}

HttpReply SyncStatus(Call& call) {
  std::vector<std::string> nodes;
  {
    const std::lock_guard lock(call.sim.database.mutex);
    const auto& definitions = call.sim.database.state.definitions;
    const auto it = definitions.find(Key(call.args[0]));
    if (it == definitions.end()) {
      return NotFound(rc::kNotFoundRscDfn,
                      fmt::format("Resource definition '{}' not found.", call.args[0]));
    }
    for (const auto& [key, resource] : it->second.resources) {
      if (!IsDiskless(resource)) {
        nodes.push_back(resource.node);
      }
    }
  }
  const bool synced = std::all_of(nodes.begin(), nodes.end(), [&](const std::string& node) {
    return call.sim.status.AllUpToDate(node, call.args[0]);
  });
  return JsonReply(200, {{"synced_on_all", synced}});
}

}  // namespace

void RegisterDefinitions(Router& router) {
  router.Add("GET", "/v1/resource-definitions", List);
  router.Add("POST", "/v1/resource-definitions", Create,
             {.java_class = "ResourceDefinitionCreate", .unknown_status = 400});
  router.Add("GET", "/v1/resource-definitions/{}", GetOne);
  router.Add("PUT", "/v1/resource-definitions/{}", Modify, {"ResourceDefinitionModify"});
  router.Add("DELETE", "/v1/resource-definitions/{}", Delete);
  router.Add("GET", "/v1/resource-definitions/{}/sync-status", SyncStatus);
  router.Add("GET", "/v1/stats/resource-definitions", [](Call& call) {
    const std::lock_guard lock(call.sim.database.mutex);
    return JsonReply(200, {{"count", call.sim.database.state.definitions.size()}});
  });
}

}  // namespace breakwater::sim
