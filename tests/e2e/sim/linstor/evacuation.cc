// Empties nodes with the flag EVACUATE: a replacement elsewhere first, the old replica away when
// the replacement is UpToDate and nobody uses the old one. Written after LINSTOR's documentation;
// not recorded.

#include "tests/e2e/sim/linstor/evacuation.h"

#include <algorithm>
#include <condition_variable>
#include <mutex>

#include "tests/e2e/sim/linstor/api.h"
#include "tests/e2e/sim/linstor/placement.h"

namespace breakwater::sim {
namespace {

struct Leaving {
  std::string definition, node;
  bool diskless = false;
  std::vector<std::string> keepers;  // nodes with data that stay
  int missing = 0;                   // replicas to make before this one may go
};

int WantedReplicas(const State& state, const Definition& definition) {
  const auto group = state.groups.find(Key(definition.group));
  return group == state.groups.end() ? 2 : group->second.select_filter.value("place_count", 2);
}

/// Needs the database lock.
std::vector<Leaving> FindLeaving(const State& state) {
  std::vector<Leaving> out;
  for (const auto& [key, definition] : state.definitions) {
    for (const auto& [node_key, resource] : definition.resources) {
      if (!HasFlag(state.nodes.at(node_key).flags, "EVACUATE")) {
        continue;
      }
      Leaving one{definition.name, resource.node, IsDiskless(resource), {}, 0};
      for (const auto& [peer_key, peer] : definition.resources) {
        if (!IsDiskless(peer) && !HasFlag(peer.flags, "DELETE") &&
            !HasFlag(state.nodes.at(peer_key).flags, "EVACUATE")) {
          one.keepers.push_back(peer.node);
        }
      }
      one.missing = one.diskless
                        ? 0
                        : WantedReplicas(state, definition) - static_cast<int>(one.keepers.size());
      out.push_back(std::move(one));
    }
  }
  return out;
}

/// Makes what is missing; nothing when no node is left for it.
void Replace(Simulator& sim, const Leaving& leaving, const ApplyStyle& style) {
  std::vector<Placement> placements;
  {
    const std::lock_guard lock(sim.database.mutex);
    const State& state = sim.database.state;
    const auto it = state.definitions.find(Key(leaving.definition));
    if (it == state.definitions.end()) {
      return;
    }
    PlaceQuestion question;
    const auto group = state.groups.find(Key(it->second.group));
    if (group != state.groups.end()) {
      question = ReadFilter(group->second.select_filter, nlohmann::json());
    }
    for (const auto& [key, node] : state.nodes) {
      if (sim.satellites.status(node.name) == "ONLINE") {
        question.online.push_back(node.name);
      }
    }
    for (const auto& [node, pool] : Choose(state, it->second, question, leaving.missing)) {
      placements.push_back(Diskful(node, pool));
    }
  }
  if (!placements.empty()) {
    Deploy(sim, leaving.definition, placements, style);
  }
}

}  // namespace

void EvacuationStep(Simulator& sim) {
  std::vector<Leaving> all;
  {
    const std::lock_guard lock(sim.database.mutex);
    all = FindLeaving(sim.database.state);
  }
  for (const Leaving& leaving : all) {
    const ApplyStyle style{.object = rc::kResource, .details = "Evacuating " + leaving.node};
    if (sim.satellites.status(leaving.node) != "ONLINE") {
      continue;
    }
    if (leaving.missing > 0) {
      Replace(sim, leaving, style);
      continue;  // the next step sees what came of it
    }
    const bool synced =
        std::all_of(leaving.keepers.begin(), leaving.keepers.end(), [&](const std::string& node) {
          return sim.satellites.status(node) == "ONLINE" &&
                 sim.status.AllUpToDate(node, leaving.definition);
        });
    if (synced && !sim.status.InUse(leaving.node, leaving.definition)) {
      Entries unused;
      RemoveReplicas(sim, leaving.definition, {leaving.node}, style, unused);
    }
  }
}

std::jthread StartEvacuation(Simulator& sim) {
  return std::jthread([&sim](const std::stop_token& stop) {
    std::mutex mutex;
    std::condition_variable_any never;
    std::unique_lock lock(mutex);
    while (!stop.stop_requested()) {
      never.wait_for(lock, stop, std::chrono::seconds(1), [] { return false; });
      EvacuationStep(sim);
    }
  });
}

}  // namespace breakwater::sim
