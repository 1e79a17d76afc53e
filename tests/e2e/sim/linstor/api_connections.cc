#include <fmt/format.h>

#include "tests/e2e/sim/linstor/api.h"
#include "tests/e2e/sim/linstor/simulator.h"

namespace breakwater::sim {
namespace {

/// The same in both orders: names are sorted.
std::pair<std::string, std::string> Sorted(const std::string& a, const std::string& b) {
  return Key(a) < Key(b) ? std::pair(a, b) : std::pair(b, a);
}

nlohmann::json ConnectionJson(const std::string& a, const std::string& b, const Props& props) {
  nlohmann::json out{{"node_a", a}, {"node_b", b}};
  if (!props.empty()) {
    out["props"] = props;
  }
  return out;
}

nlohmann::json ResourceConnections(const Definition& definition) {
  auto list = nlohmann::json::array();
  for (const auto& [key_a, a] : definition.resources) {
    for (const auto& [key_b, b] : definition.resources) {
      if (key_a < key_b) {
        const auto it = definition.connections.find(PairKey(key_a, key_b));
        list.push_back(ConnectionJson(
            a.node, b.node, it == definition.connections.end() ? Props() : it->second.props));
      }
    }
  }
  return list;
}

HttpReply ListResourceConnections(Call& call) {
  const std::lock_guard lock(call.sim.database.mutex);
  const auto& definitions = call.sim.database.state.definitions;
  const auto it = definitions.find(Key(call.args[0]));
  if (it == definitions.end()) {
    return NotFound(rc::kNotFoundRscDfn,
                    fmt::format("Resource definition '{}' not found.", call.args[0]));
  }
  return JsonReply(200, ResourceConnections(it->second));
}

HttpReply GetResourceConnection(Call& call) {
  const std::lock_guard lock(call.sim.database.mutex);
  const auto& definitions = call.sim.database.state.definitions;
  const auto it = definitions.find(Key(call.args[0]));
  if (it != definitions.end()) {
    const auto wanted = PairKey(call.args[1], call.args[2]);
    for (const auto& connection : ResourceConnections(it->second)) {
      if (PairKey(connection.at("node_a").get<std::string>(),
                  connection.at("node_b").get<std::string>()) == wanted) {
        return JsonReply(200, connection);
      }
    }
  }
  return NotFound(rc::kNotFoundRscConn,
                  fmt::format("Resource connection between '{}' and '{}' not found.", call.args[1],
                              call.args[2]));
}

/// L9: resources that do not exist are met by a NullPointerException.
Entry NullPointer(std::uint64_t object,
                  const std::string& what,
                  const std::string& cause,
                  const std::string& details,
                  const nlohmann::json& refs) {
  return {.code = rc::Make(rc::kError | rc::kModify | object | rc::kUnknownError),
          .message = fmt::format("Modification of {} failed due to an unhandled exception of type "
                                 "NullPointerException. Cannot invoke \"{}\" is null",
                                 what, cause),
          .details = details,
          .report_ids = {""},
          .refs = refs};
}

std::optional<Entry> RefuseResourceConnection(const State& state,
                                              const Call& call,
                                              const std::string& details,
                                              const nlohmann::json& refs) {
  for (const std::string& node : {call.args[1], call.args[2]}) {
    if (!state.nodes.contains(Key(node))) {
      return NodeNotFound(rc::kModify | rc::kRscConn, node, details, refs);
    }
  }
  const auto it = state.definitions.find(Key(call.args[0]));
  if (it == state.definitions.end()) {
    return DefinitionNotFound(rc::kModify | rc::kRscConn, call.args[0], details, refs);
  }
  if (!it->second.resources.contains(Key(call.args[1])) ||
      !it->second.resources.contains(Key(call.args[2]))) {
    return NullPointer(
        rc::kRscConn,
        fmt::format("resource connection between nodes '{}' and '{}' for resource '{}'",
                    call.args[1], call.args[2], call.args[0]),
        "com.linbit.linstor.core.objects.Resource.getObjProt()\" because \"<parameter2>", details,
        refs);
  }
  return std::nullopt;
}

HttpReply ModifyResourceConnection(Call& call) {
  Entries out;
  std::vector<Satellites::Work> work;
  const auto details = fmt::format("Resource connection between nodes {} and {} for resource {}",
                                   call.args[1], call.args[2], call.args[0]);
  const nlohmann::json refs{
      {"SecondNode", call.args[2]}, {"RscDfn", call.args[0]}, {"FirstNode", call.args[1]}};
  {
    const std::lock_guard lock(call.sim.database.mutex);
    auto& state = call.sim.database.state;
    if (auto bad = RefuseResourceConnection(state, call, details, refs)) {
      out = {*bad};
      FileReports(call.sim, call.request, out);
      return ListReply(200, out);
    }
    auto& definition = state.definitions.at(Key(call.args[0]));
    const auto [a, b] = Sorted(definition.resources.at(Key(call.args[1])).node,
                               definition.resources.at(Key(call.args[2])).node);
    Connection connection{a, b, NewUuid()};
    const auto existing = definition.connections.find(PairKey(a, b));
    if (existing != definition.connections.end()) {
      connection = existing->second;
    }
    auto outcome =
        ChangeProps(call.sim.rules, {"RSC_CONN", rc::kRscConn, rc::kModify, details, refs},
                    ParsePropsChange(call.body), connection.props);
    out = outcome.entries;
    FileReports(call.sim, call.request, out);
    if (HasError(out)) {
      return ListReply(200, out);
    }
    definition.connections[PairKey(a, b)] = connection;
    const auto name = fmt::format(
        "Resource connection between nodes '{}' and '{}' for resource '{}'", a, b, definition.name);
    auto with_uuid = refs;
    with_uuid["UUID"] = connection.uuid;
    out.push_back({.code = rc::Make(rc::kModify | rc::kRscConn | rc::kModified),
                   .message = name + " modified.",
                   .details = fmt::format("{} UUID is: {}", name, connection.uuid),
                   .refs = with_uuid});
    if (outcome.changed) {
      call.sim.database.Save();
      work = WorkForDefinition(definition);
    }
  }
  // L17: every node of the resource, usually twice (each end's change is sent on its own).
  Apply(call.sim, work, 2, {.object = rc::kRscConn, .details = details, .refs = refs}, out);
  return ListReply(200, out);
}

HttpReply ListNodeConnections(Call& call) {
  const std::lock_guard lock(call.sim.database.mutex);
  const auto a = call.QueryOne("node_a");
  const auto b = call.QueryOne("node_b");
  auto list = nlohmann::json::array();
  for (const auto& [key, connection] : call.sim.database.state.node_conns) {
    const auto has = [&connection = connection](const std::string& node) {
      return node.empty() || Key(connection.a) == Key(node) || Key(connection.b) == Key(node);
    };
    if (!connection.props.empty() && has(a) && has(b)) {
      list.push_back(ConnectionJson(connection.a, connection.b, connection.props));
    }
  }
  return JsonReply(200, list);
}

std::optional<Entry> RefuseNodeConnection(const State& state,
                                          const Call& call,
                                          const std::string& details,
                                          const nlohmann::json& refs) {
  const std::string& a = call.args[0];
  const std::string& b = call.args[1];
  const auto what = fmt::format("node connection between nodes '{}' and '{}'", a, b);
  if (!state.nodes.contains(Key(a)) || !state.nodes.contains(Key(b))) {
    return NullPointer(rc::kNodeConn, what,
                       "com.linbit.linstor.core.objects.Node.getObjProt()\" because \"<parameter3>",
                       details, refs);
  }
  if (Key(a) == Key(b)) {
    return Entry{
        .code = rc::Make(rc::kError | rc::kModify | rc::kNodeConn | rc::kImplError),
        .message = fmt::format("Modification of {} failed due to an implementation error. Cannot "
                               "create a node connection to the same node",
                               what),
        .details = details,
        .report_ids = {""},
        .refs = refs};
  }
  return std::nullopt;
}

HttpReply ModifyNodeConnection(Call& call) {
  Entries out;
  std::vector<Satellites::Work> work;
  std::vector<std::string> ends;
  const auto details =
      fmt::format("Node connection between nodes '{}' and '{}'", call.args[0], call.args[1]);
  const nlohmann::json refs{{"SecondNode", call.args[1]}, {"FirstNode", call.args[0]}};
  {
    const std::lock_guard lock(call.sim.database.mutex);
    auto& state = call.sim.database.state;
    if (auto bad = RefuseNodeConnection(state, call, details, refs)) {
      out = {*bad};
      FileReports(call.sim, call.request, out);
      return ListReply(200, out);
    }
    const auto [a, b] =
        Sorted(state.nodes.at(Key(call.args[0])).name, state.nodes.at(Key(call.args[1])).name);
    ends = {a, b};
    auto& connection = state.node_conns[PairKey(a, b)];
    if (connection.uuid.empty()) {
      connection = {a, b, NewUuid(), {}};
    }
    auto outcome =
        ChangeProps(call.sim.rules, {"NODE_CONN", rc::kNodeConn, rc::kModify, details, refs},
                    ParsePropsChange(call.body), connection.props);
    out = outcome.entries;
    FileReports(call.sim, call.request, out);
    if (HasError(out)) {
      return ListReply(200, out);
    }
    const auto name = fmt::format("Node connection between nodes '{}' and '{}'", a, b);
    auto with_uuid = refs;
    with_uuid["UUID"] = connection.uuid;
    out.push_back({.code = rc::Make(rc::kModify | rc::kNodeConn | rc::kModified),
                   .message = name + " modified.",
                   .details = fmt::format("{} UUID is: {}", name, connection.uuid),
                   .refs = with_uuid});
    if (outcome.changed) {
      call.sim.database.Save();
      work = WorkForAll(state);
    }
  }
  // L17: all resources on all nodes, two or three rounds; only the two ends are heard
  // (satellite-05). 06-resources-offline shows no warning.
  Apply(call.sim, work, 2,
        {.object = rc::kNodeConn,
         .details = details,
         .refs = refs,
         .closing = ApplyStyle::Closing::kNodeConn,
         .warn_offline = false,
         .speakers = ends},
        out);
  return ListReply(200, out);
}

}  // namespace

void RegisterConnections(Router& router) {
  const std::string base = "/v1/resource-definitions/{}/resource-connections";
  router.Add("GET", base, ListResourceConnections);
  router.Add("GET", base + "/{}/{}", GetResourceConnection);
  router.Add("PUT", base + "/{}/{}", ModifyResourceConnection, {"ResourceConnectionModify"});
  router.Add("GET", "/v1/node-connections", ListNodeConnections);
  router.Add("PUT", "/v1/node-connections/{}/{}", ModifyNodeConnection, {"NodeConnectionModify"});
}

}  // namespace breakwater::sim
