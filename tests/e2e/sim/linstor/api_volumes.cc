#include <set>

#include <fmt/format.h>

#include "tests/e2e/sim/linstor/api.h"
#include "tests/e2e/sim/linstor/simulator.h"

namespace breakwater::sim {

nlohmann::json VolumeDefJson(const VolumeDef& volume) {
  nlohmann::json out{{"volume_number", volume.number},
                     {"size_kib", volume.size_kib},
                     {"props", volume.props},
                     {"uuid", volume.uuid}};
  if (!volume.flags.empty()) {
    out["flags"] = volume.flags;
  }
  return out;
}

namespace {

/// First free minor number from 1000. Needs the database lock.
int FreeMinor(const State& state) {
  std::set<int> used;
  for (const auto& [key, definition] : state.definitions) {
    for (const auto& [number, volume] : definition.volumes) {
      used.insert(volume.minor);
    }
  }
  int minor = 1000;
  while (used.contains(minor)) {
    ++minor;
  }
  return minor;
}

}  // namespace

VolumeDef* FindVolumeDef(State& state, const std::string& name, const std::string& number) {
  const auto it = state.definitions.find(Key(name));
  if (it == state.definitions.end() ||
      number.find_first_not_of("0123456789") != std::string::npos) {
    return nullptr;
  }
  const auto volume = it->second.volumes.find(std::stoi(number));
  return volume == it->second.volumes.end() ? nullptr : &volume->second;
}

VolumeDef AddVolume(State& state, Definition& definition, int number, std::int64_t size_kib) {
  VolumeDef volume;
  volume.number = number;
  volume.size_kib = size_kib;
  volume.minor = FreeMinor(state);
  volume.uuid = NewUuid();
  volume.props["DrbdCurrentGi"] = NewGeneration();
  definition.volumes[number] = volume;
  return volume;
}

namespace {

std::string Tail(const std::string& name) {
  return fmt::format("Volume definitions for resource definition '{}'", name);
}

HttpReply List(Call& call) {
  const std::lock_guard lock(call.sim.database.mutex);
  const auto& definitions = call.sim.database.state.definitions;
  const auto it = definitions.find(Key(call.args[0]));
  if (it == definitions.end()) {
    return NotFound(rc::kNotFoundRscDfn,
                    fmt::format("Resource definition '{}' not found.", call.args[0]));
  }
  auto list = nlohmann::json::array();
  for (const auto& [number, volume] : it->second.volumes) {
    list.push_back(VolumeDefJson(volume));
  }
  return JsonReply(200, Page(call, list));
}

HttpReply GetOne(Call& call) {
  const std::lock_guard lock(call.sim.database.mutex);
  const auto* volume = FindVolumeDef(call.sim.database.state, call.args[0], call.args[1]);
  return volume == nullptr
             ? NotFound(rc::kNotFoundVlmDfn,
                        fmt::format("Volume definition '{}' not found.", call.args[1]))
             : JsonReply(200, VolumeDefJson(*volume));
}

HttpReply Create(Call& call) {
  const std::lock_guard lock(call.sim.database.mutex);
  auto& state = call.sim.database.state;
  const auto bits = rc::kCreate | rc::kVlmDfn;
  const auto it = state.definitions.find(Key(call.args[0]));
  if (it == state.definitions.end()) {
    return ListReply(200, {DefinitionNotFound(bits, call.args[0], Tail(call.args[0]),
                                              {{"RscDfn", call.args[0]}})});
  }
  Definition& definition = it->second;
  const auto wanted = call.body.value("volume_definition", nlohmann::json::object());
  const int next = definition.volumes.empty() ? 0 : definition.volumes.rbegin()->first + 1;
  const int number = wanted.value("volume_number", next);
  const nlohmann::json refs{{"RscDfn", definition.name}, {"VlmNr", std::to_string(number)}};
  const auto details = fmt::format("Resource definition: {}, Volume number: {}\n{}",
                                   definition.name, number, Tail(definition.name));
  if (definition.volumes.contains(number)) {
    return ListReply(200, {{.code = rc::Make(rc::kError | bits | rc::kExistsVlmDfn),
                            .message = fmt::format("A volume definition with the number {} already "
                                                   "exists in resource definition '{}'.",
                                                   number, definition.name),
                            .cause = "The VolumeDefinition already exists",
                            .details = details,
                            .refs = refs}});
  }
  Props props;
  auto outcome = ChangeProps(
      call.sim.rules, {"VLM_DFN", rc::kVlmDfn, rc::kCreate, details, refs},
      ParsePropsChange({{"override_props", wanted.value("props", nlohmann::json::object())}}),
      props);
  FileReports(call.sim, call.request, outcome.entries);
  if (HasError(outcome.entries)) {
    return ListReply(200, outcome.entries);
  }
  if (HasLayer(definition, "LUKS") && state.passphrase.empty()) {  // the words are not recorded
    auto refusal = ListReply(
        200, {{.code = rc::Make(rc::kError | bits | rc::kNotFoundCryptKey),
               .message = "Unable to create an encrypted volume definition without having a master "
                          "key",
               .details = details,
               .correction = "Create or enter the master passphrase",
               .refs = refs}});
    refusal.status = 500;
    return refusal;
  }
  AddVolume(state, definition, number, wanted.value("size_kib", std::int64_t{0}));
  definition.volumes.at(number).props.insert(props.begin(), props.end());
  call.sim.database.Save();
  return ListReply(200,
                   {{.code = rc::Make(bits | rc::kCreated),
                     .message = fmt::format("New volume definition with number '{}' of resource "
                                            "definition '{}' created.",
                                            number, definition.name),
                     .refs = refs}});
}

HttpReply Modify(Call& call) {
  Entries out;
  std::vector<Satellites::Work> work;
  const nlohmann::json refs{{"RscDfn", call.args[0]}, {"VlmNr", call.args[1]}};
  const auto details =
      fmt::format("Resource definition: {}, Volume number: {}", call.args[0], call.args[1]);
  const auto name = fmt::format("Volume definition with number '{}' of resource definition '{}'",
                                call.args[1], call.args[0]);
  {
    const std::lock_guard lock(call.sim.database.mutex);
    auto& state = call.sim.database.state;
    auto* volume = FindVolumeDef(state, call.args[0], call.args[1]);
    if (volume == nullptr) {
      return ListReply(
          200, {{.code = rc::Make(rc::kError | rc::kModify | rc::kVlmDfn | rc::kNotFoundVlmDfn),
                 .message = name + " not found.",
                 .details = details,
                 .refs = refs}});
    }
    auto outcome = ChangeProps(call.sim.rules, {"VLM_DFN", rc::kVlmDfn, rc::kModify, details, refs},
                               ParsePropsChange(call.body), volume->props);
    out = outcome.entries;
    FileReports(call.sim, call.request, out);
    if (HasError(out)) {
      return ListReply(200, out);
    }
    const auto size = call.body.value("size_kib", volume->size_kib);
    const bool changed = outcome.changed || size != volume->size_kib;
    volume->size_kib = size;
    out.push_back(
        {.code = rc::Make(rc::kModify | rc::kVlmDfn | rc::kModified),
         .message = name + " modified.",
         .details = fmt::format("{} UUID is: {}", name, volume->uuid),
         .refs = {{"UUID", volume->uuid}, {"RscDfn", call.args[0]}, {"VlmNr", call.args[1]}}});
    if (changed) {
      call.sim.database.Save();
      work = WorkForDefinition(state.definitions.at(Key(call.args[0])));
    }
  }
  if (!work.empty() && call.body.contains("size_kib")) {
    call.sim.port.SetVolumeSize(call.args[0], std::stoi(call.args[1]),
                                call.body.at("size_kib").get<std::int64_t>());
  }
  Apply(call.sim, work, 1, {.object = rc::kVlmDfn, .details = details, .refs = refs}, out);
  return ListReply(200, out);
}

}  // namespace

void RegisterVolumes(Router& router) {
  const std::string base = "/v1/resource-definitions/{}/volume-definitions";
  router.Add("GET", base, List);
  router.Add("POST", base, Create, {"VolumeDefinitionCreate"});
  router.Add("GET", base + "/{}", GetOne);
  router.Add("PUT", base + "/{}", Modify, {"VolumeDefinitionModify"});
}

}  // namespace breakwater::sim
