#include <algorithm>

#include <fmt/format.h>

#include "tests/e2e/sim/linstor/api.h"
#include "tests/e2e/sim/linstor/node_facts.h"
#include "tests/e2e/sim/linstor/simulator.h"

namespace breakwater::sim {
namespace {

using std::chrono::milliseconds;

/// POST node and reconnect wait this long for a satellite that may not be there (02-nodes: 1.0 s).
constexpr milliseconds kConnectWait{1000};

nlohmann::json NodeJson(Simulator& sim, const Node& node) {
  const std::string status = sim.satellites.status(node.name);
  nlohmann::json out{{"name", node.name},           {"type", node.type},
                     {"props", node.props},         {"net_interfaces", nlohmann::json::array()},
                     {"connection_status", status}, {"uuid", node.uuid}};
  for (const NetIf& net : node.nets) {
    out["net_interfaces"].push_back(NetIfJson(net));
  }
  if (!node.flags.empty()) {
    out["flags"] = node.flags;
  }
  out.update(status == "ONLINE" ? OnlineFacts() : OfflineFacts());
  return out;
}

HttpReply ListNodes(Call& call) {
  const std::lock_guard lock(call.sim.database.mutex);
  auto list = nlohmann::json::array();
  for (const auto& [key, node] : call.sim.database.state.nodes) {
    if (Selected(call, "nodes", node.name) && MatchesProps(call, node.props)) {
      list.push_back(NodeJson(call.sim, node));
    }
  }
  return JsonReply(200, Page(call, list));
}

HttpReply GetNode(Call& call) {
  const std::lock_guard lock(call.sim.database.mutex);
  const auto& nodes = call.sim.database.state.nodes;
  const auto it = nodes.find(Key(call.args[0]));
  if (it == nodes.end()) {
    return NotFound(rc::kNotFoundNode, fmt::format("Node '{}' not found.", call.args[0]));
  }
  return JsonReply(200, NodeJson(call.sim, it->second));
}

Entry CreateError(const std::string& name, std::uint64_t number, std::string message, bool report) {
  Entry entry{.code = rc::Make(rc::kError | rc::kCreate | rc::kNode | number),
              .message = std::move(message),
              .details = "Node: " + name,
              .refs = {{"Node", name}}};
  if (report) {
    entry.report_ids = {""};
  }
  return entry;
}

std::optional<Entry> CheckNewNode(const State& state, const nlohmann::json& body) {
  const auto name = body.value("name", "");
  if (const auto cause = BadNodeName(name); !cause.empty()) {
    auto bad = CreateError(name, rc::kInvalidNodeName,
                           fmt::format("The given node name '{}' is invalid.", name), true);
    bad.cause = cause;
    return bad;
  }
  std::string type = body.value("type", "SATELLITE");
  std::transform(type.begin(), type.end(), type.begin(),
                 [](unsigned char c) { return std::toupper(c); });
  if (type != "SATELLITE" && type != "COMBINED" && type != "CONTROLLER" && type != "AUXILIARY") {
    auto bad = CreateError(
        name, rc::kInvalidNodeType,
        fmt::format("The specified node type '{}' is invalid.", body.value("type", "")), true);
    bad.cause = "No enum constant com.linbit.linstor.core.objects.Node.Type." + type;
    bad.correction = "Valid node types are:\nCONTROLLER\nSATELLITE\nCOMBINED\nAUXILIARY\n";
    return bad;
  }
  if (state.nodes.contains(Key(name))) {
    auto bad = CreateError(name, rc::kExistsNode,
                           fmt::format("Registration of node '{}' failed.", name), false);
    bad.cause = fmt::format(
        "A node with the specified name '{}' already exists.\nThe Node already exists", name);
    bad.correction =
        "- Specify another name for the new node\nor\n- Delete the existing node before "
        "creating a new node with the same name";
    return bad;
  }
  const auto nets = body.find("net_interfaces");
  if (nets == body.end() || !nets->is_array() || nets->empty()) {
    auto bad = CreateError(name, rc::kMissingNetIf,
                           fmt::format("Registration of node '{}' failed.", name), true);
    bad.cause = "No network interfaces were given.";
    bad.correction =
        "At least one network interface has to be given and be marked to be used for "
        "controller-satellite communitaction.";
    return bad;
  }
  return std::nullopt;
}

/// Also the checks that need the interfaces.
std::optional<Entry> ReadInterfaces(const nlohmann::json& body, Node& node) {
  for (const auto& item : body.at("net_interfaces")) {
    NetIf net = ParseNetIf(item);
    if (!IsIpAddress(net.address)) {
      auto bad = CreateError(node.name, rc::kInvalidNetAddr, "Failed to parse IP address", true);
      bad.cause = "The specified IP address is not valid\n" + net.address;
      bad.details = fmt::format("The specified input '{}' is not a valid IP address.\nNode: {}",
                                net.address, node.name);
      bad.correction = "Specify a valid IPv4 or IPv6 address.";
      return bad;
    }
    if (net.encryption != "PLAIN" && net.encryption != "SSL") {
      net.port = 0;  // an unknown type is taken as none (02-nodes, "TLS")
    }
    if (net.port != 0 && !HasActive(node)) {
      net.active = true;
      node.props["CurStltConnName"] = net.name;
    }
    node.nets.push_back(std::move(net));
  }
  if (!HasActive(node)) {
    return CreateError(node.name, rc::kMissingStltConn,
                       fmt::format("No satellite connection defined for node '{}'", node.name),
                       true);
  }
  return std::nullopt;
}

HttpReply CreateNode(Call& call) {
  Entries out;
  Node node;
  bool ssl_broken = false;
  {
    const std::lock_guard lock(call.sim.database.mutex);
    auto& state = call.sim.database.state;
    auto bad = CheckNewNode(state, call.body);
    node.name = call.body.value("name", "");
    node.type = call.body.value("type", "SATELLITE");
    std::transform(node.type.begin(), node.type.end(), node.type.begin(),
                   [](unsigned char c) { return std::toupper(c); });
    node.uuid = NewUuid();
    bad = bad ? bad : ReadInterfaces(call.body, node);
    const nlohmann::json refs{{"Node", node.name}};
    if (!bad && call.body.contains("props")) {
      const auto change = ParsePropsChange({{"override_props", call.body.at("props")}});
      auto outcome =
          ChangeProps(call.sim.rules, {"NODE", rc::kNode, rc::kCreate, "Node: " + node.name, refs},
                      change, node.props);
      out = outcome.entries;
    }
    if (bad) {
      out = {*bad};
    }
    if (HasError(out)) {
      FileReports(call.sim, call.request, out);
      return ListReply(201, out);
    }
    state.nodes[Key(node.name)] = node;
    state.pools[PoolKey(node.name, kDisklessPool)] = {kDisklessPool, node.name, "DISKLESS",
                                                      NewUuid()};
    ssl_broken = UsesSsl(node) && state.controller["defaultSslConSvc"].empty();
    out.push_back({.code = rc::Make(rc::kCreate | rc::kNode | rc::kCreated),
                   .message = fmt::format("New node '{}' registered.", node.name),
                   .details = fmt::format("Node '{}' UUID is: {}", node.name, node.uuid),
                   .refs = {{"UUID", node.uuid}, {"Node", node.name}}});
    if (ssl_broken) {
      out.push_back(CreateError(
          node.name, rc::kUnknownError,
          fmt::format(
              "Creation of node '{}' failed due to an unhandled exception of type "
              "LinStorRuntimeException. The ServiceName of the default TCP connector is not "
              "valid",
              node.name),
          true));
    }
    FileReports(call.sim, call.request, out);
    call.sim.database.Save();
  }
  if (ssl_broken) {
    return ListReply(201, out);
  }
  call.sim.satellites.Poll();
  const ApplyStyle style{.op = rc::kCreate, .object = rc::kNode, .refs = {{"Node", node.name}}};
  const bool there = call.sim.satellites.status(node.name) != "OFFLINE";
  if (call.sim.satellites.WaitOnline(node.name, there ? milliseconds(10000) : kConnectWait)) {
    out.push_back(Authenticated(node.name, rc::kCreate));
  } else {
    out.push_back(NotConnected(node.name, style));
  }
  return ListReply(201, out);
}

HttpReply ModifyNode(Call& call) {
  Entries out;
  std::vector<Satellites::Work> work;
  const std::string name = call.args[0];
  const nlohmann::json refs{{"Node", name}};
  {
    const std::lock_guard lock(call.sim.database.mutex);
    auto& state = call.sim.database.state;
    const auto it = state.nodes.find(Key(name));
    if (it == state.nodes.end()) {
      return ListReply(200, {NodeNotFound(rc::kModify | rc::kNode, name, "Node: " + name, refs)});
    }
    const auto change = ParsePropsChange(call.body);
    const auto nic = change.overrides.find("PrefNic");
    if (nic != change.overrides.end() && FindNet(it->second, nic->second.value_or("")) == nullptr) {
      out = {{.code = rc::Make(rc::kError | rc::kModify | rc::kNode | rc::kInvalidProp),
              .message = fmt::format("The network interface '{}' of node '{}' does not exist!",
                                     nic->second.value_or("null"), name),
              .details = "Node: " + name,
              .report_ids = {""},
              .refs = refs}};
      FileReports(call.sim, call.request, out);
      return ListReply(200, out);
    }
    auto outcome =
        ChangeProps(call.sim.rules, {"NODE", rc::kNode, rc::kModify, "Node: " + name, refs}, change,
                    it->second.props);
    out = outcome.entries;
    FileReports(call.sim, call.request, out);
    if (HasError(out)) {
      return ListReply(200, out);
    }
    out.push_back(
        {.code = rc::Make(rc::kModify | rc::kNode | rc::kModified),
         .message = fmt::format("Node '{}' modified.", it->second.name),
         .details = fmt::format("Node '{}' UUID is: {}", it->second.name, it->second.uuid),
         .refs = {{"UUID", it->second.uuid}, {"Node", name}}});
    if (outcome.changed) {
      call.sim.database.Save();
      work = WorkForAll(state);
      std::erase_if(work, [&](const auto& item) { return Key(item.node) != Key(name); });
    }
  }
  // 02-nodes: no warning about a node that is offline.
  Apply(call.sim, work, 1,
        {.object = rc::kNode,
         .details = "Node: " + name,
         .refs = refs,
         .closing = ApplyStyle::Closing::kNode,
         .warn_offline = false},
        out);
  return ListReply(200, out);
}

HttpReply Reconnect(Call& call) {
  const std::string name = call.args[0];
  const nlohmann::json refs{{"Node", name}};
  {
    const std::lock_guard lock(call.sim.database.mutex);
    if (!call.sim.database.state.nodes.contains(Key(name))) {
      return ListReply(200, {NodeNotFound(rc::kModify | rc::kNode, name,
                                          fmt::format("Nodes: [{}]", name), refs)});
    }
  }
  Entries out{{.code = rc::Make(rc::kModify | rc::kNode),
               .message = fmt::format("Nodes [{}] will be reconnected.", name),
               .refs = refs}};
  if (call.sim.satellites.Reconnect(name, kConnectWait)) {
    out.push_back(Authenticated(name, rc::kModify));
  } else {
    out.push_back(NotConnected(name, {.object = rc::kNode, .refs = refs}));
  }
  return ListReply(200, out);
}

}  // namespace

void RegisterNodeRemoval(Router& router);

void RegisterNodes(Router& router) {
  router.Add("GET", "/v1/nodes", ListNodes);
  router.Add("POST", "/v1/nodes", CreateNode, {"Node"});
  router.Add("GET", "/v1/nodes/{}", GetNode);
  router.Add("PUT", "/v1/nodes/{}", ModifyNode, {"NodeModify"});
  router.Add("PUT", "/v1/nodes/{}/reconnect", Reconnect);
  router.Add("GET", "/v1/stats/nodes", [](Call& call) {
    const std::lock_guard lock(call.sim.database.mutex);
    return JsonReply(200, {{"count", call.sim.database.state.nodes.size()}});
  });
  RegisterNodeRemoval(router);
}

}  // namespace breakwater::sim
