#include <algorithm>

#include <fmt/format.h>

#include "tests/e2e/sim/linstor/api.h"
#include "tests/e2e/sim/linstor/node_facts.h"
#include "tests/e2e/sim/linstor/simulator.h"

namespace breakwater::sim {
namespace {

/// The stray quote at the end is LINSTOR's (02-nodes).
std::string Details(const std::string& node, const std::string& net) {
  return fmt::format("Node: '{}', NetIfName: {}'", node, net);
}

std::string Name(const std::string& node, const std::string& net) {
  return fmt::format("NetInterface '{}' on node '{}'", net, node);
}

HttpReply NoNode(const Call& call, std::uint64_t op) {
  return ListReply(200,
                   {NodeNotFound(op | rc::kNetIf, call.args[0], "", {{"Node", call.args[0]}})});
}

Entry Done(std::uint64_t bits, const Node& node, const NetIf& net, const std::string& verb) {
  return {.code = rc::Make(bits | rc::kNetIf),
          .message = verb == "registered"
                         ? fmt::format("New netInterface '{}' on node '{}' registered.", net.name,
                                       node.name)
                         : fmt::format("{} {}.", Name(node.name, net.name), verb),
          .details = fmt::format("{} UUID is: {}", Name(node.name, net.name), net.uuid),
          .refs = {{"UUID", net.uuid}, {"Node", node.name}}};
}

/// Makes `net` the interface that the controller uses.
void Activate(Node& node, const std::string& net) {
  for (NetIf& one : node.nets) {
    one.active = Key(one.name) == Key(net);
  }
  node.props["CurStltConnName"] = net;
}

/// The connection to the satellite is built up anew, and other nodes' files name the new address.
void TellPeers(Simulator& sim, const std::string& node) {
  sim.satellites.Poll();
  std::vector<Satellites::Work> work;
  {
    const std::lock_guard lock(sim.database.mutex);
    for (const auto& [key, definition] : sim.database.state.definitions) {
      if (definition.resources.contains(Key(node))) {
        const auto more = WorkForDefinition(definition);
        work.insert(work.end(), more.begin(), more.end());
      }
    }
  }
  Entries unused;
  Apply(sim, work, 1, {.object = rc::kNetIf, .warn_offline = false}, unused);
}

HttpReply List(Call& call) {
  const std::lock_guard lock(call.sim.database.mutex);
  const auto& nodes = call.sim.database.state.nodes;
  const auto it = nodes.find(Key(call.args[0]));
  if (it == nodes.end()) {
    return NotFound(rc::kNotFoundNode, fmt::format("Node '{}' not found.", call.args[0]));
  }
  auto out = nlohmann::json::array();
  for (const NetIf& net : it->second.nets) {
    out.push_back(NetIfJson(net));
  }
  return JsonReply(200, out);
}

HttpReply GetOne(Call& call) {
  const std::lock_guard lock(call.sim.database.mutex);
  const auto& nodes = call.sim.database.state.nodes;
  const auto it = nodes.find(Key(call.args[0]));
  const NetIf* net = it == nodes.end() ? nullptr : FindNet(it->second, call.args[1]);
  return net == nullptr ? NotFound(rc::kNotFoundNetIf,
                                   fmt::format("Netinterface '{}' not found.", call.args[1]))
                        : JsonReply(200, NetIfJson(*net));
}

HttpReply Create(Call& call) {
  NetIf net = ParseNetIf(call.body);
  Entry done;
  {
    const std::lock_guard lock(call.sim.database.mutex);
    auto& state = call.sim.database.state;
    const auto it = state.nodes.find(Key(call.args[0]));
    if (it == state.nodes.end()) {
      return NoNode(call, rc::kCreate);
    }
    Node& node = it->second;
    Entry bad{.details = Details(node.name, net.name), .refs = {{"Node", node.name}}};
    const auto bits = rc::kError | rc::kCreate | rc::kNetIf;
    if (FindNet(node, net.name) != nullptr) {
      bad.code = rc::Make(bits | rc::kExistsNetIf);
      bad.message = Name(node.name, net.name) + " already exists.";
      bad.cause = "The NetInterface already exists";
      return ListReply(201, {bad});
    }
    if (!IsIpAddress(net.address)) {
      bad.code = rc::Make(bits | rc::kInvalidNetAddr);
      bad.message = "Failed to parse IP address";
      return ListReply(201, {bad});
    }
    const bool active = call.body.value("is_active", false) || (net.port != 0 && !HasActive(node));
    if (active && net.encryption == "SSL" && state.controller["defaultSslConSvc"].empty()) {
      bad.code = rc::Make(bits | rc::kUnknownError);
      bad.message = fmt::format(
          "Registration of netInterface '{}' on node '{}' failed due to an unhandled exception of "
          "type "
          "LinStorRuntimeException. The ServiceName of the default TCP connector is not valid",
          net.name, node.name);
      bad.report_ids = {""};
      Entries out{bad};
      FileReports(call.sim, call.request, out);
      return ListReply(201, out);
    }
    node.nets.push_back(net);
    if (active) {
      Activate(node, net.name);
    }
    done = Done(rc::kCreate | rc::kCreated, node, net, "registered");
    call.sim.database.Save();
  }
  call.sim.satellites.Poll();
  return ListReply(201, {done});
}

HttpReply Modify(Call& call) {
  Entry done;
  bool other_address = false;
  {
    const std::lock_guard lock(call.sim.database.mutex);
    auto& state = call.sim.database.state;
    const auto it = state.nodes.find(Key(call.args[0]));
    if (it == state.nodes.end()) {
      return NoNode(call, rc::kModify);
    }
    Node& node = it->second;
    const auto net = std::find_if(node.nets.begin(), node.nets.end(), [&](const NetIf& one) {
      return Key(one.name) == Key(call.args[1]);
    });
    if (net == node.nets.end()) {
      Entries out{{.code = rc::Make(rc::kError | rc::kModify | rc::kNetIf | rc::kNotFoundNetIf),
                   .message = fmt::format("Node '{}' has no network interface named '{}'.",
                                          node.name, call.args[1]),
                   .details = Details(node.name, call.args[1]),
                   .report_ids = {""},
                   .refs = {{"Node", node.name}}}};
      FileReports(call.sim, call.request, out);
      return ListReply(200, out);
    }
    const NetIf given = ParseNetIf(call.body);
    // NOLINTNEXTLINE(performance-unnecessary-copy-initialization): changed below
    const NetIf before = *net;
    net->address = given.address.empty() ? net->address : given.address;
    net->port = given.port == 0 ? net->port : given.port;
    net->encryption = given.encryption.empty() ? net->encryption : given.encryption;
    if (call.body.value("is_active", false)) {
      Activate(node, net->name);
    }
    other_address = before.address != net->address;
    if (other_address || before.port != net->port || before.encryption != net->encryption) {
      call.sim.database.Save();
    }
    done = Done(rc::kModify | rc::kModified, node, *net, "modified");
  }
  if (other_address) {
    TellPeers(call.sim, call.args[0]);
  }
  return ListReply(200, {done});
}

HttpReply Delete(Call& call) {
  Entry out{.details = Details(call.args[0], call.args[1]), .refs = {{"Node", call.args[0]}}};
  {
    const std::lock_guard lock(call.sim.database.mutex);
    auto& state = call.sim.database.state;
    const auto it = state.nodes.find(Key(call.args[0]));
    if (it == state.nodes.end()) {
      return NoNode(call, rc::kDelete);
    }
    Node& node = it->second;
    const NetIf* net = FindNet(node, call.args[1]);
    if (net == nullptr) {
      out.code = rc::Make(rc::kWarning | rc::kDelete | rc::kNetIf | rc::kHadNoEffect);
      out.message = fmt::format("Deletion of netInterface '{}' on node '{}' had no effect.",
                                call.args[1], node.name);
      out.cause = Name(node.name, call.args[1]) + " does not exist.";
      return ListReply(200, {out});
    }
    const NetIf gone = *net;
    std::erase_if(node.nets, [&](const NetIf& one) { return Key(one.name) == Key(gone.name); });
    if (gone.active) {
      const auto next = std::find_if(node.nets.begin(), node.nets.end(),
                                     [](const NetIf& one) { return one.port != 0; });
      if (next != node.nets.end()) {
        Activate(node, next->name);
      }
    }
    if (HasActive(node)) {
      out = {.code = rc::Make(rc::kDelete | rc::kNetIf | rc::kDeleted),
             .message = Name(node.name, gone.name) + " deleted.",
             .details = fmt::format("{} UUID was: {}", Name(node.name, gone.name), gone.uuid),
             .refs = {{"Node", node.name}}};
    } else {
      out.code = rc::Make(rc::kWarning | rc::kDelete | rc::kNetIf | rc::kLastConnection);
      out.message = Name(node.name, gone.name) +
                    " was the last connection to the satellite! \nTo fix this, create at least one "
                    "netInterface with a valid PORT and COMMUNICATION-TYPE.";
    }
    call.sim.database.Save();
  }
  call.sim.satellites.Poll();
  return ListReply(200, {out});
}

}  // namespace

void RegisterNetInterfaces(Router& router) {
  router.Add("GET", "/v1/nodes/{}/net-interfaces", List);
  router.Add("POST", "/v1/nodes/{}/net-interfaces", Create, {"NetInterface"});
  router.Add("GET", "/v1/nodes/{}/net-interfaces/{}", GetOne);
  router.Add("PUT", "/v1/nodes/{}/net-interfaces/{}", Modify, {"NetInterface"});
  router.Add("DELETE", "/v1/nodes/{}/net-interfaces/{}", Delete);
}

}  // namespace breakwater::sim
