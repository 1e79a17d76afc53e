#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "tests/e2e/sim/linstor/api.h"
#include "tests/e2e/sim/linstor/simulator.h"

namespace breakwater::sim {

HttpReply Spawn(Call& call);  // api_spawn.cc

namespace {

nlohmann::json GroupJson(const Group& group) {
  nlohmann::json out{
      {"name", group.name}, {"select_filter", group.select_filter}, {"uuid", group.uuid}};
  if (!group.description.empty()) {
    out["description"] = group.description;
  }
  if (!group.props.empty()) {
    out["props"] = group.props;
  }
  return out;
}

/// "storage_pool" is answered together with "storage_pool_list".
void MergeFilter(const nlohmann::json& wanted, nlohmann::json& filter) {
  if (!wanted.is_object()) {
    return;
  }
  filter.update(wanted);
  if (wanted.contains("storage_pool") && !wanted.contains("storage_pool_list")) {
    filter["storage_pool_list"] = nlohmann::json::array({wanted.at("storage_pool")});
  } else if (wanted.contains("storage_pool_list") && wanted.at("storage_pool_list").size() == 1) {
    filter["storage_pool"] = wanted.at("storage_pool_list")[0];
  }
}

nlohmann::json Refs(const Group& group) {
  return {{"UUID", group.uuid}, {"RscGrp", group.name}};
}

Entry GroupNotFound(std::uint64_t bits, const std::string& name) {
  return NotFoundEntry(bits | rc::kNotFoundRscGrp, fmt::format("Resource group '{}'", name),
                       fmt::format("resource group '{}'", name),
                       fmt::format("resource group with the name '{}'", name),
                       "Resource group: " + name, {{"RscGrp", name}});
}

std::vector<std::string> MissingPools(const State& state, const nlohmann::json& filter) {
  std::vector<std::string> missing;
  for (const auto& pool : filter.value("storage_pool_list", nlohmann::json::array())) {
    const auto name = pool.get<std::string>();
    if (std::none_of(state.pools.begin(), state.pools.end(),
                     [&](const auto& item) { return Key(item.second.name) == Key(name); })) {
      missing.push_back(name);
    }
  }
  return missing;
}

HttpReply List(Call& call) {
  const std::lock_guard lock(call.sim.database.mutex);
  auto list = nlohmann::json::array();
  for (const auto& [key, group] : call.sim.database.state.groups) {
    if (Selected(call, "resource_groups", group.name) && MatchesProps(call, group.props)) {
      list.push_back(GroupJson(group));
    }
  }
  return JsonReply(200, Page(call, list));
}

HttpReply GetOne(Call& call) {
  const std::lock_guard lock(call.sim.database.mutex);
  const auto& groups = call.sim.database.state.groups;
  const auto it = groups.find(Key(call.args[0]));
  return it == groups.end() ? NotFound(rc::kNotFoundRscGrp,
                                       fmt::format("Resource group '{}' not found.", call.args[0]))
                            : JsonReply(200, GroupJson(it->second));
}

HttpReply Create(Call& call) {
  const std::lock_guard lock(call.sim.database.mutex);
  auto& state = call.sim.database.state;
  Group group;
  group.name = call.body.value("name", "");
  group.description = call.body.value("description", "");
  group.uuid = NewUuid();
  const std::string details = "Resource group: " + group.name;
  const nlohmann::json refs{{"RscGrp", group.name}};
  const auto bits = rc::kCreate | rc::kRscGrp;
  if (state.groups.contains(Key(group.name))) {
    return ListReply(201,
                     {{.code = rc::Make(rc::kError | bits | rc::kExistsRscGrp),
                       .message = fmt::format("A Resource group: {} already exists.", group.name),
                       .cause = "The ResourceGroup already exists",
                       .details = details,
                       .refs = refs}});
  }
  // Properties given at creation are dropped without a word (04-resource-groups); only PUT sets
  // them.
  MergeFilter(call.body.value("select_filter", nlohmann::json::object()), group.select_filter);
  Entries out;
  if (const auto missing = MissingPools(state, group.select_filter); !missing.empty()) {
    out.push_back(
        {.code = rc::Make(rc::kWarning | rc::kHadNoEffect),
         .message = fmt::format("The following configured storage pools do not exist on any "
                                "node:\n\t{}",
                                fmt::join(missing, "\n\t"))});
  }
  out.push_back({.code = rc::Make(bits | rc::kCreated),
                 .message = fmt::format("New resource group '{}' created.", group.name),
                 .details = fmt::format("Resource group '{}' UUID is: {}", group.name, group.uuid),
                 .refs = Refs(group)});
  state.groups[Key(group.name)] = std::move(group);
  call.sim.database.Save();
  return ListReply(201, out);
}

HttpReply Modify(Call& call) {
  Entries out;
  std::vector<Satellites::Work> work;
  const nlohmann::json refs{{"RscGrp", call.args[0]}};
  {
    const std::lock_guard lock(call.sim.database.mutex);
    auto& state = call.sim.database.state;
    const auto it = state.groups.find(Key(call.args[0]));
    if (it == state.groups.end()) {
      return ListReply(200, {GroupNotFound(rc::kCreate | rc::kRscGrp, call.args[0])});
    }
    Group& group = it->second;
    // Properties of groups answer with the codes of definitions, errors with those of groups.
    auto outcome =
        ChangeProps(call.sim.rules,
                    {"RSC_DFN", rc::kRscDfn, rc::kCreate, "Resource group: " + group.name, refs},
                    ParsePropsChange(call.body), group.props);
    out = outcome.entries;
    for (Entry& entry : out) {
      if (rc::IsError(entry.code)) {
        entry.code = rc::Make(rc::kError | rc::kCreate | rc::kRscGrp | rc::kInvalidProp);
      }
    }
    FileReports(call.sim, call.request, out);
    if (HasError(out)) {
      return ListReply(200, out);
    }
    MergeFilter(call.body.value("select_filter", nlohmann::json()), group.select_filter);
    group.description = call.body.value("description", group.description);
    out.push_back(
        {.code = rc::Make(rc::kCreate | rc::kRscGrp | rc::kModified),
         .message = fmt::format("Resource group '{}' modified.", group.name),
         .details = fmt::format("Resource group '{}' UUID is: {}", group.name, group.uuid),
         .refs = Refs(group)});
    call.sim.database.Save();
    for (const auto& [key, definition] : state.definitions) {
      if (outcome.changed && Key(definition.group) == Key(group.name)) {
        const auto more = WorkForDefinition(definition);
        work.insert(work.end(), more.begin(), more.end());
      }
    }
  }
  Apply(call.sim, work, 1,
        {.op = rc::kCreate,
         .object = rc::kRscGrp,
         .details = "Resource group: " + call.args[0],
         .refs = refs,
         .closing = ApplyStyle::Closing::kGroup},
        out);
  return ListReply(200, out);
}

HttpReply Delete(Call& call) {
  const std::lock_guard lock(call.sim.database.mutex);
  auto& state = call.sim.database.state;
  const std::string name = call.args[0];
  const auto it = state.groups.find(Key(name));
  const auto bits = rc::kCreate | rc::kRscGrp;
  if (it == state.groups.end()) {
    return ListReply(200, {{.code = rc::Make(rc::kWarning | bits | rc::kHadNoEffect),
                            .message = fmt::format("Resource group: {} not found.", name),
                            .details = "Resource group: " + name,
                            .refs = {{"RscGrp", name}}}});
  }
  const bool used =
      std::any_of(state.definitions.begin(), state.definitions.end(),
                  [&](const auto& item) { return Key(item.second.group) == Key(name); });
  if (used) {
    return ListReply(200,
                     {{.code = rc::Make(rc::kError | bits | rc::kExistsRscDfn),
                       .message = fmt::format("Cannot delete resource group '{}' because it has "
                                              "existing resource definitions.",
                                              name),
                       .details = "Resource group: " + name,
                       .refs = {{"RscGrp", name}}}});
  }
  const Group group = it->second;
  state.groups.erase(it);
  call.sim.database.Save();
  return ListReply(
      200, {{.code = rc::Make(bits | rc::kDeleted),
             .message = fmt::format("Resource group '{}' deleted.", group.name),
             .details = fmt::format("Resource group '{}' UUID was: {}", group.name, group.uuid),
             .refs = Refs(group)}});
}

nlohmann::json VolumeGroupJson(const VolumeGroup& volume) {
  nlohmann::json out{{"volume_number", volume.number}, {"uuid", volume.uuid}};
  if (!volume.props.empty()) {
    out["props"] = volume.props;
  }
  return out;
}

HttpReply ListVolumeGroups(Call& call) {
  const std::lock_guard lock(call.sim.database.mutex);
  const auto& groups = call.sim.database.state.groups;
  const auto it = groups.find(Key(call.args[0]));
  if (it == groups.end()) {
    return NotFound(rc::kNotFoundRscGrp,
                    fmt::format("Resource group '{}' not found.", call.args[0]));
  }
  auto list = nlohmann::json::array();
  for (const auto& [number, volume] : it->second.volumes) {
    list.push_back(VolumeGroupJson(volume));
  }
  return JsonReply(200, list);
}

HttpReply CreateVolumeGroup(Call& call) {
  const std::lock_guard lock(call.sim.database.mutex);
  auto& state = call.sim.database.state;
  const auto it = state.groups.find(Key(call.args[0]));
  if (it == state.groups.end()) {
    return ListReply(201, {GroupNotFound(rc::kCreate | rc::kVlmGrp, call.args[0])});
  }
  Group& group = it->second;
  VolumeGroup volume;
  const int next = group.volumes.empty() ? 0 : group.volumes.rbegin()->first + 1;
  volume.number = call.body.value("volume_number", next);
  volume.uuid = NewUuid();
  const nlohmann::json refs{
      {"VlmNr", std::to_string(volume.number)}, {"RscGrp", group.name}, {"VlmGrp", group.name}};
  auto outcome = ChangeProps(
      call.sim.rules,
      {"VLM_DFN", rc::kVlmDfn, rc::kCreate,
       fmt::format(
           "Resource group: {0}, Volume number: {1}\nVolume groups for resource group '{0}'",
           group.name, volume.number),
       refs},
      ParsePropsChange({{"override_props", call.body.value("props", nlohmann::json::object())}}),
      volume.props);
  FileReports(call.sim, call.request, outcome.entries);
  if (HasError(outcome.entries)) {
    return ListReply(201, outcome.entries);
  }
  group.volumes[volume.number] = volume;
  call.sim.database.Save();
  return ListReply(201,
                   {{.code = rc::Make(rc::kCreate | rc::kVlmGrp | rc::kCreated),
                     .message = fmt::format("New volume group with number '{}' of resource group "
                                            "'{}' created.",
                                            volume.number, group.name),
                     .refs = refs}});
}

}  // namespace

void RegisterGroups(Router& router) {
  router.Add("GET", "/v1/resource-groups", List);
  router.Add("POST", "/v1/resource-groups", Create, {"ResourceGroup"});
  router.Add("GET", "/v1/resource-groups/{}", GetOne);
  router.Add("PUT", "/v1/resource-groups/{}", Modify, {"ResourceGroupModify"});
  router.Add("DELETE", "/v1/resource-groups/{}", Delete);
  router.Add("GET", "/v1/resource-groups/{}/volume-groups", ListVolumeGroups);
  router.Add("POST", "/v1/resource-groups/{}/volume-groups", CreateVolumeGroup, {"VolumeGroup"});
  router.Add("POST", "/v1/resource-groups/{}/spawn", Spawn, {"ResourceGroupSpawn"});
}

}  // namespace breakwater::sim
