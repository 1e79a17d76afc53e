// Nodes that leave: delete, lost, evacuate, restore.

#include <algorithm>

#include <fmt/format.h>

#include "tests/e2e/sim/linstor/api.h"
#include "tests/e2e/sim/linstor/simulator.h"

namespace breakwater::sim {
namespace {

Entry NothingToDelete(const std::string& name) {
  return {.code = rc::Make(rc::kWarning | rc::kDelete | rc::kNode | rc::kHadNoEffect),
          .message = fmt::format("Deletion of node '{}' had no effect.", name),
          .cause = fmt::format("Node '{}' does not exist.", name),
          .details = "Node: " + name,
          .refs = {{"Node", name}}};
}

/// Needs the database lock.
void Erase(Simulator& sim, const std::string& name) {
  auto& state = sim.database.state;
  const auto key = Key(name);
  state.nodes.erase(key);
  std::erase_if(state.pools, [&](const auto& item) { return Key(item.second.node) == key; });
  std::erase_if(state.node_conns, [&](const auto& item) {
    return Key(item.second.a) == key || Key(item.second.b) == key;
  });
  for (auto& [definition_key, definition] : state.definitions) {
    definition.resources.erase(key);
    std::erase_if(definition.connections, [&](const auto& item) {
      return Key(item.second.a) == key || Key(item.second.b) == key;
    });
  }
  sim.database.Save();
}

Entry Deleted(const Node& node) {
  return {.code = rc::Make(rc::kDelete | rc::kNode | rc::kDeleted),
          .message = fmt::format("Node '{}' deleted.", node.name),
          .details = fmt::format("Node '{}' UUID was: {}", node.name, node.uuid),
          .refs = {{"Node", node.name}}};
}

HttpReply DeleteNode(Call& call) {
  const std::string name = call.args[0];
  Entries out;
  {
    const std::lock_guard lock(call.sim.database.mutex);
    auto& state = call.sim.database.state;
    const auto it = state.nodes.find(Key(name));
    if (it == state.nodes.end()) {
      return ListReply(200, {NothingToDelete(name)});
    }
    const bool used =
        std::any_of(state.definitions.begin(), state.definitions.end(),
                    [&](const auto& item) { return item.second.resources.contains(Key(name)); });
    if (used) {
      // Not recorded: the samples hold no node that is deleted while it has resources.
      return ListReply(200, {{.code = rc::Make(rc::kError | rc::kDelete | rc::kNode | rc::kInUse),
                              .message = fmt::format("Node '{}' still has resources.", name),
                              .details = "Node: " + name,
                              .refs = {{"Node", name}}}});
    }
    out = {Deleted(it->second)};
    Erase(call.sim, name);
  }
  call.sim.satellites.Forget(name);
  return ListReply(200, out);
}

/// The node is gone for good: its replicas are forgotten and the others are told.
HttpReply LoseNode(Call& call) {
  const std::string name = call.args[0];
  Entries out;
  std::vector<Satellites::Work> work;
  {
    const std::lock_guard lock(call.sim.database.mutex);
    auto& state = call.sim.database.state;
    const auto it = state.nodes.find(Key(name));
    if (it == state.nodes.end()) {
      return ListReply(200, {NothingToDelete(name)});
    }
    if (call.sim.satellites.status(name) == "ONLINE") {
      return ListReply(200, {{.code = rc::Make(rc::kError | rc::kDelete | rc::kNode | rc::kInUse),
                              .message = fmt::format("Node '{}' is online.", name),
                              .details = "Node: " + name,
                              .correction = "Use node delete instead.",
                              .refs = {{"Node", name}}}});
    }
    out = {Deleted(it->second)};
    std::vector<std::string> touched;
    for (const auto& [key, definition] : state.definitions) {
      if (definition.resources.contains(Key(name))) {
        touched.push_back(key);
      }
    }
    Erase(call.sim, name);
    for (const auto& key : touched) {
      const auto more = WorkForDefinition(state.definitions.at(key));
      work.insert(work.end(), more.begin(), more.end());
    }
  }
  call.sim.satellites.Forget(name);
  Apply(call.sim, work, 1,
        {.object = rc::kNode,
         .details = "Node: " + name,
         .refs = {{"Node", name}},
         .warn_offline = false},
        out);
  return ListReply(200, out);
}

HttpReply Evacuate(Call& call) {
  const std::string name = call.args[0];
  const std::lock_guard lock(call.sim.database.mutex);
  auto& state = call.sim.database.state;
  const auto it = state.nodes.find(Key(name));
  if (it == state.nodes.end()) {
    return ListReply(
        200, {NodeNotFound(rc::kModify | rc::kNode, name, "Node: " + name, {{"Node", name}})});
  }
  // Only the flag: moving the replicas is left to the test (create elsewhere, delete here).
  if (!HasFlag(it->second.flags, "EVACUATE")) {
    it->second.flags.emplace_back("EVACUATE");
  }
  call.sim.database.Save();
  return JsonReply(200, nlohmann::json::array());
}

HttpReply Restore(Call& call) {
  const std::string name = call.args[0];
  const std::lock_guard lock(call.sim.database.mutex);
  auto& state = call.sim.database.state;
  const auto it = state.nodes.find(Key(name));
  if (it == state.nodes.end()) {
    return ListReply(
        200, {NodeNotFound(rc::kModify | rc::kNode, name, "Node: " + name, {{"Node", name}})});
  }
  std::erase(it->second.flags, "EVACUATE");
  std::erase(it->second.flags, "EVICTED");
  call.sim.database.Save();
  return ListReply(200, {{.code = rc::Make(rc::kNode),
                          .message = fmt::format("Successfully restored node {}", name)}});
}

}  // namespace

void RegisterNodeRemoval(Router& router) {
  router.Add("DELETE", "/v1/nodes/{}", DeleteNode);
  router.Add("DELETE", "/v1/nodes/{}/lost", LoseNode);
  router.Add("PUT", "/v1/nodes/{}/evacuate", Evacuate,
             {.java_class = "NodeEvacuate", .optional = true});
  router.Add("PUT", "/v1/nodes/{}/restore", Restore,
             {.java_class = "NodeRestore", .optional = true});
}

}  // namespace breakwater::sim
