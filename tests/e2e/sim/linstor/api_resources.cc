#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "tests/e2e/sim/linstor/api.h"
#include "tests/e2e/sim/linstor/simulator.h"

namespace breakwater::sim {
namespace {

/// Resources that a list asks for, as JSON, with what the nodes say at the moment.
nlohmann::json Collect(Call& call, const std::string& only, bool with_volumes) {
  std::map<std::string, Definition> definitions;
  const nlohmann::json no_status;
  const auto there = nlohmann::json::object();  // without DRBD: no more than that it is there
  std::map<std::string, StatusCache::Statuses> status;
  {
    const std::lock_guard lock(call.sim.database.mutex);
    for (const auto& [key, definition] : call.sim.database.state.definitions) {
      if ((only.empty() || key == Key(only)) && Selected(call, "resources", definition.name)) {
        definitions[key] = definition;
      }
    }
  }
  auto list = nlohmann::json::array();
  for (const auto& [key, definition] : definitions) {
    for (const auto& [node_key, resource] : definition.resources) {
      if (!Selected(call, "nodes", resource.node) || !MatchesProps(call, resource.props)) {
        continue;
      }
      const nlohmann::json* seen = nullptr;
      const bool online = call.sim.satellites.status(resource.node) == "ONLINE";
      if (online && !HasLayer(definition, "DRBD")) {
        seen = &there;
      } else if (online) {
        if (!status.contains(node_key)) {
          status[node_key] = call.sim.status.Of(resource.node);
        }
        const auto it = status[node_key]->find(key);
        seen = it == status[node_key]->end() ? nullptr : &it->second;
      }
      list.push_back(
          ResourceJson(definition, resource, seen == nullptr ? no_status : *seen, with_volumes));
    }
  }
  return list;
}

HttpReply View(Call& call) {
  {
    const std::lock_guard lock(call.sim.database.mutex);
    for (const auto& node : call.Query("nodes")) {
      if (!call.sim.database.state.nodes.contains(Key(node))) {  // L7: [] on /v1/nodes, 404 here
        return NotFound(rc::kNotFoundNode, fmt::format("Node '{}' not found.", node));
      }
    }
  }
  return JsonReply(200, Page(call, Collect(call, "", true)));
}

HttpReply List(Call& call) {
  return JsonReply(200, Page(call, Collect(call, call.args[0], false)));
}

HttpReply GetOne(Call& call) {
  for (const auto& resource : Collect(call, call.args[0], false)) {
    if (Key(resource.at("node_name").get<std::string>()) == Key(call.args[1])) {
      return JsonReply(200, resource);
    }
  }
  return NotFound(rc::kNotFoundRsc,
                  fmt::format("Resource '{}' on '{}' not found.", call.args[0], call.args[1]));
}

std::string Details(const std::vector<std::string>& nodes, const std::string& resource) {
  return fmt::format("Node(s): '{}', Resource: '{}'", fmt::join(nodes, "', '"), resource);
}

/// What a request wants on one node.
Placement ReadPlacement(const nlohmann::json& body, const std::string& node) {
  Placement placement;
  placement.node = node;
  const auto resource = body.value("resource", nlohmann::json::object());
  const auto props = resource.value("props", nlohmann::json::object());
  for (const auto& [key, value] : props.items()) {
    placement.props[key] = value.get<std::string>();
  }
  placement.flags = resource.value("flags", std::vector<std::string>());
  const bool diskless = HasFlag(placement.flags, "DISKLESS") ||
                        HasFlag(placement.flags, "DRBD_DISKLESS") ||
                        body.value("drbd_client", false);
  const auto pool = placement.props.find("StorPoolName");
  if (diskless) {
    placement.flags = {"DISKLESS", "DRBD_DISKLESS"};
    placement.props["StorPoolName"] = pool == placement.props.end() ? kDisklessPool : pool->second;
  } else {
    placement.pool = pool == placement.props.end() ? "DfltStorPool" : pool->second;
  }
  return placement;
}

/// The first thing that is wrong with the wish. Needs the database lock.
std::optional<Entry> Refuse(const State& state,
                            const std::string& name,
                            const std::vector<Placement>& placements,
                            const std::string& details) {
  const auto bits = rc::kCreate | rc::kResource;
  const nlohmann::json refs{{"RscDfn", name}};
  for (const auto& placement : placements) {
    if (!state.nodes.contains(Key(placement.node))) {
      return NodeNotFound(0, placement.node, "", nlohmann::json::object());
    }
  }
  const auto it = state.definitions.find(Key(name));
  if (it == state.definitions.end()) {
    return DefinitionNotFound(bits, name, details, refs);
  }
  for (const auto& placement : placements) {
    const auto existing = it->second.resources.find(Key(placement.node));
    if (existing != it->second.resources.end() && !HasFlag(existing->second.flags, "TIE_BREAKER")) {
      return Entry{.code = rc::Make(rc::kError | bits | rc::kExistsRsc),
                   .message = fmt::format("A resource '{}' on node '{}' already exists.", name,
                                          placement.node),
                   .cause = "The Resource already exists",
                   .details = details,
                   .refs = refs};
    }
    if (placement.pool.empty() || state.pools.contains(PoolKey(placement.node, placement.pool))) {
      continue;
    }
    const bool elsewhere =
        std::any_of(state.pools.begin(), state.pools.end(),
                    [&](const auto& item) { return Key(item.second.name) == Key(placement.pool); });
    const auto quoted = fmt::format("torage pool definition '{}'", placement.pool);
    if (!elsewhere) {
      return NotFoundEntry(bits | rc::kNotFoundStorPoolDfn, "S" + quoted, "s" + quoted,
                           "s" + quoted, details, refs);
    }
    const auto on_node =
        fmt::format("torage pool '{}' on node '{}'", placement.pool, placement.node);
    return NotFoundEntry(bits | rc::kNotFoundStorPool, "S" + on_node, "s" + on_node, "s" + on_node,
                         details, refs);
  }
  return std::nullopt;
}

HttpReply CreateAll(Call& call, const std::vector<Placement>& placements) {
  std::vector<std::string> nodes;
  for (const auto& placement : placements) {
    nodes.push_back(placement.node);
  }
  const auto details = Details(nodes, call.args[0]);
  {
    const std::lock_guard lock(call.sim.database.mutex);
    if (auto bad = Refuse(call.sim.database.state, call.args[0], placements, details)) {
      return ListReply(201, {*bad});
    }
  }
  const auto out = Deploy(call.sim, call.args[0], placements,
                          {.op = rc::kCreate,
                           .object = rc::kResource,
                           .details = details,
                           .refs = {{"RscDfn", call.args[0]}}});
  return ListReply(201, out);
}

HttpReply CreateOne(Call& call) {
  return CreateAll(call, {ReadPlacement(call.body, call.args[1])});
}

HttpReply CreateMany(Call& call) {
  std::vector<Placement> placements;
  for (const auto& item : call.body) {
    const auto resource = item.value("resource", nlohmann::json::object());
    placements.push_back(ReadPlacement(item, resource.value("node_name", "")));
  }
  return CreateAll(call, placements);
}

/// The answer when the replicas that are wanted are there, or more. Not recorded.
std::optional<Entry> NothingToPlace(const Definition& definition,
                                    const PlaceResult& chosen,
                                    const nlohmann::json& refs) {
  if (chosen.missing > 0 || (chosen.missing == 0 && !chosen.placements.empty())) {
    return std::nullopt;
  }
  std::vector<std::string> nodes;
  for (const auto& [key, resource] : definition.resources) {
    if (!IsDiskless(resource) && !HasFlag(resource.flags, "DELETE")) {
      nodes.push_back(resource.node);
    }
  }
  const auto bits = rc::kCreate | rc::kResource;
  if (chosen.missing == 0) {
    return Entry{.code = rc::Make(rc::kWarning | bits | rc::kAlreadyDeployed),
                 .message = fmt::format("Resource '{}' was already deployed on {} nodes. Skipping.",
                                        definition.name, nodes.size()),
                 .details = fmt::format("Used nodes: '{}'", fmt::join(nodes, "', '")),
                 .refs = refs};
  }
  return Entry{.code = rc::Make(rc::kError | bits | rc::kInvalidPlaceCount),
               .message = fmt::format(
                   "The resource '{}' was already deployed on {} nodes: '{}'. The resource would "
                   "have to be deleted from nodes to reach the placement count.",
                   definition.name, nodes.size(), fmt::join(nodes, "', '")),
               .refs = refs};
}

HttpReply Autoplace(Call& call) {
  PlaceResult chosen;
  const nlohmann::json refs{{"RscDfn", call.args[0]}};
  const auto bits = rc::kCreate | rc::kResource;
  {
    const std::lock_guard lock(call.sim.database.mutex);
    const auto& definitions = call.sim.database.state.definitions;
    const auto it = definitions.find(Key(call.args[0]));
    if (it == definitions.end()) {
      return ListReply(201, {DefinitionNotFound(bits, call.args[0],
                                                "Auto-placing resource: " + call.args[0], refs)});
    }
    auto filter = call.body.value("select_filter", nlohmann::json::object());
    if (call.body.value("diskless_on_remaining", false)) {
      filter["diskless_on_remaining"] = true;
    }
    chosen =
        ChoosePlaces(call.sim, it->second, filter,
                     "   Diskless on remaining: false\n\nAuto-placing resource: " + call.args[0]);
    if (auto settled = NothingToPlace(it->second, chosen, refs)) {
      return ListReply(201, {*settled});
    }
  }
  if (!chosen.error.empty()) {
    return ListReply(201, {{.code = rc::Make(rc::kError | bits | rc::kNotEnoughNodes),
                            .message = "Not enough available nodes",
                            .details = chosen.error,
                            .refs = refs}});
  }
  const auto out = Deploy(call.sim, call.args[0], chosen.placements,
                          {.op = rc::kCreate,
                           .object = rc::kResource,
                           .details = "Auto-placing resource: " + call.args[0],
                           .refs = refs});
  return ListReply(201, out);
}

HttpReply Modify(Call& call) {
  Entries out;
  std::vector<Satellites::Work> work;
  const std::string name = call.args[0];
  const std::string node = call.args[1];
  const auto details = fmt::format("Node: {}, Resource: {}", node, name);
  const nlohmann::json refs{{"RscDfn", name}, {"Node", node}};
  {
    const std::lock_guard lock(call.sim.database.mutex);
    auto& definitions = call.sim.database.state.definitions;
    const auto it = definitions.find(Key(name));
    if (it == definitions.end() || !it->second.resources.contains(Key(node))) {
      const auto quoted = fmt::format("esource '{}' on node '{}'", name, node);
      return ListReply(
          200,
          {NotFoundEntry(rc::kModify | rc::kResource | rc::kNotFoundRsc, "R" + quoted, "r" + quoted,
                         fmt::format("resource with the name '{}' on node '{}'", name, node),
                         details, refs)});
    }
    auto outcome =
        ChangeProps(call.sim.rules, {"RSC", rc::kResource, rc::kModify, details, refs},
                    ParsePropsChange(call.body), it->second.resources.at(Key(node)).props);
    out = outcome.entries;
    FileReports(call.sim, call.request, out);
    if (HasError(out)) {
      return ListReply(200, out);
    }
    out.push_back({.code = rc::Make(rc::kModify | rc::kResource | rc::kModified),
                   .message = fmt::format("Resource '{}' on node '{}' modified.", name, node),
                   .refs = refs});
    if (outcome.changed) {
      call.sim.database.Save();
      work = WorkForDefinition(it->second);
    }
  }
  Apply(call.sim, work, 1, {.object = rc::kResource, .details = details, .refs = refs}, out);
  return ListReply(200, out);
}

}  // namespace

void RegisterResources(Router& router) {
  const std::string base = "/v1/resource-definitions/{}/resources";
  router.Add("GET", "/v1/view/resources", View);
  router.Add("GET", base, List);
  router.Add("POST", base, CreateMany, {.java_class = "ResourceCreate", .list = true});
  router.Add("GET", base + "/{}", GetOne);
  router.Add("POST", base + "/{}", CreateOne, {.java_class = "ResourceCreate", .optional = true});
  router.Add("PUT", base + "/{}", Modify, {"ResourceModify"});
  router.Add("POST", "/v1/resource-definitions/{}/autoplace", Autoplace,
             {.java_class = "AutoPlaceRequest", .optional = true});
}

}  // namespace breakwater::sim
