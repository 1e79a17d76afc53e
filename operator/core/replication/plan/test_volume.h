#pragma once

/// A volume with everything that PlanVolume looks at. For tests only.

#include <string>
#include <vector>

#include "operator/core/replication/plan/volume_plan.h"
#include "operator/core/replication/volume/test_observations.h"

namespace breakwater::replication::testing_seen {

struct Volume {
  ResourceObservation seen{};
  VolumeGoal goal{};
  std::map<std::string, AgentView> agents{};
  std::vector<RunningTransaction> running{};
  VolumeMemory memory{};
  SteadyTime now{std::chrono::hours(1)};

  VolumeDecision Decide() {
    Remember(seen, now, &memory);
    return PlanVolume({seen, goal, agents, running, memory, now});
  }

  VolumeDecision DecideAfter(std::chrono::milliseconds time) {
    Decide();
    now += time;
    return Decide();
  }

  // What the caller and the agent do with an ask.
  void Start(const AskNode& ask, bool armed) {
    RunningTransaction transaction;
    transaction.node = ask.node;
    transaction.asked_at = now;
    transaction.progress.id = "t" + std::to_string(running.size());
    transaction.progress.kind = ask.request.kind;
    transaction.progress.resource = ask.request.resource;
    transaction.progress.peers = ask.request.peers;
    transaction.progress.tls = ask.request.tls;
    transaction.progress.armed = armed;
    running.push_back(transaction);
  }

  void StartAll(const VolumeDecision& decision, bool armed) {
    for (const AskNode& ask : decision.asks) {
      Start(ask, armed);
    }
  }

  // As after a Lead.
  void Switch(const Pair& pair, bool tls) {
    ConnectionView& view = seen.connections.at(pair);
    for (EndView* end : {&view.a, &view.b}) {
      end->tls = tls;
      end->sockets = tls ? SocketProof::kEncrypted : SocketProof::kPlaintext;
    }
  }

  void Apply(const VolumeDecision& decision) {
    for (const LinstorOp& op : decision.ops) {
      seen.levels = After(seen.levels, op);
    }
  }
};

/// Healthy, with agents everywhere, a place, and another value wanted.
inline Volume ToSwitch(const std::vector<std::string>& names, bool tls = true) {
  Volume volume;
  volume.seen = Healthy(names, !tls);
  volume.goal.may_switch = volume.goal.in_flight = true;
  for (const auto& [pair, connection] : volume.seen.connections) {
    volume.goal.wanted[pair] = tls;
  }
  for (const std::string& name : names) {
    volume.agents[name] = {.connected = true};
  }
  return volume;
}

inline void MakeDiskless(ResourceObservation& seen, const std::string& name) {
  seen.nodes.at(name).devices[0].disk = "Diskless";
  seen.nodes.at(name).devices[0].client = true;
  for (auto& [pair, connection] : seen.connections) {
    if (pair.Has(name)) {
      PeerDevice& device = End(seen, pair.Other(name), name).devices[0];
      device.peer_disk = "Diskless";
      device.peer_client = true;
    }
  }
}

}  // namespace breakwater::replication::testing_seen
