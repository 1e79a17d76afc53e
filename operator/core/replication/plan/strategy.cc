// Which strategy a volume gets, and what keeps it from being switched now.

#include <algorithm>

#include "operator/core/replication/plan/volume_plan.h"

namespace breakwater::replication {
namespace {

// Those of the Primary that a SuspendedSwitch cuts at once.
std::set<Pair> PairsOf(const std::string& node, const std::vector<Pair>& pairs) {
  std::set<Pair> own;
  std::copy_if(pairs.begin(), pairs.end(), std::inserter(own, own.end()),
               [&](const Pair& pair) { return pair.Has(node); });
  return own;
}

std::optional<std::string> PairByPairObstacle(const ResourceObservation& seen,
                                              const std::vector<Pair>& pairs,
                                              bool allow_single_copy) {
  for (const Pair& pair : pairs) {
    if (std::optional<std::string> obstacle = CutObstacle(seen, pair, allow_single_copy)) {
      return obstacle;
    }
  }
  return std::nullopt;
}

std::optional<std::string> SuspendObstacle(const ResourceObservation& seen,
                                           const std::vector<Pair>& pairs) {
  for (const auto& [name, node] : seen.nodes) {
    if (node.on_no_quorum != "suspend-io") {  // F3; unknown counts as dangerous
      return "on-no-quorum is " + (node.on_no_quorum.empty() ? "unknown" : node.on_no_quorum) +
             " on " + name +
             ", so the application could get I/O errors or lose writes; set it to " + "suspend-io";
    }
  }
  for (const std::string& name : seen.Primaries()) {
    const NodeView& primary = seen.nodes.at(name);
    if (!primary.AllUpToDate()) {
      return "the Primary " + name +
             " has no data of its own, so that its application could get I/O errors (F28); the "
             "volume is switched when it is closed or moves to a node with data";
    }
    const std::set<Pair> cut = PairsOf(name, pairs);
    if (!cut.empty() && !LookAfterCut(seen, name, cut).quorum) {
      return "the Primary " + name + " would lose quorum (quorum " +
             (primary.quorum.empty() ? "unknown" : primary.quorum) + "); set it to majority";
    }
  }
  return std::nullopt;
}

SwitchObstacle Passing(std::string reason) {
  return {std::move(reason), true};
}

SwitchObstacle Lasting(std::string reason) {
  return {std::move(reason), false};
}

std::optional<SwitchObstacle> NodesObstacle(const ResourceObservation& seen,
                                            const VolumeGoal& goal,
                                            const std::vector<Pair>& pairs) {
  for (const Pair& pair : pairs) {
    if (!goal.wanted.at(pair)) {
      if (goal.floor_tls) {
        return Lasting("connection " + pair.ToString() + " may not go to plaintext");
      }
      continue;
    }
    for (const std::string& node : {pair.a, pair.b}) {
      if (const auto unfit = goal.unfit.find(node); unfit != goal.unfit.end()) {
        return Lasting("node " + node + " is not ready: " + unfit->second);
      }
    }
    const ConnectionView& connection = seen.connections.at(pair);
    const std::string& bad = connection.a.bad_transport.empty() ? connection.b.bad_transport
                                                                : connection.a.bad_transport;
    if (!bad.empty()) {
      return Lasting("connection " + pair.ToString() + " uses transport " + bad +
                     ", which ignores TLS silently; use tcp");
    }
  }
  for (const auto& [node, view] : seen.nodes) {
    if (!view.known) {
      return Passing(view.answers ? "the resource is not up on node " + node
                                  : "node " + node + " does not answer");
    }
  }
  return std::nullopt;
}

// A disk that DRBD has given up does not come back by itself.
bool LostDisk(const ResourceObservation& seen) {
  return std::any_of(seen.nodes.begin(), seen.nodes.end(), [](const auto& item) {
    return std::any_of(item.second.devices.begin(), item.second.devices.end(),
                       [](const DrbdDevice& d) {
                         return !d.client && (d.disk == "Diskless" || d.disk == "Failed");
                       });
  });
}

std::optional<SwitchObstacle> GateObstacle(const ResourceObservation& seen,
                                           const VolumeGoal& goal) {
  GateCheck check;
  for (const auto& [pair, connection] : seen.connections) {
    const auto wanted = goal.wanted.find(pair);
    if (wanted != goal.wanted.end() && !wanted->second) {
      check.plaintext.insert(pair);
    }
  }
  if (!goal.unproven.empty()) {
    const auto& [pair, peer] = *goal.unproven.begin();
    return SwitchObstacle{"connection " + pair.ToString() + " was stale: " + peer +
                              " is not proven to have all writes again",
                          true};
  }
  const GateResult gate = CheckGate(seen, check);
  if (gate.ok()) {
    return std::nullopt;
  }
  // A peer is Outdated, and its sockets are not seen yet, for a moment after every reconnect; the
  // nodes report one after the other. What stays so ends the volume's patience for its place.
  const bool lasting = gate.kind == GateResult::Kind::kStuck || LostDisk(seen);
  return SwitchObstacle{gate.reason, !lasting};
}

}  // namespace

std::string_view ToString(Strategy strategy) {
  switch (strategy) {
    case Strategy::kPairByPair:
      return "PairByPair";
    case Strategy::kSuspendIo:
      return "SuspendIO";
    case Strategy::kNone:
      break;
  }
  return "None";
}

StrategyPlan ChooseStrategy(const ResourceObservation& seen, const VolumeGoal& goal) {
  if (const std::optional<PrimaryProblem> problem = FindPrimaryProblem(seen)) {
    return {Strategy::kNone,
            problem->reason + "; the volume is switched when one node has it open"};
  }
  const std::vector<Pair> pairs = PairsToSwitch(seen, goal.wanted);
  const std::optional<std::string> cut = PairByPairObstacle(seen, pairs, goal.allow_single_copy);
  // Without a Primary there is no I/O to suspend, and every cut is harmless.
  if (goal.strategy == StrategyChoice::kPairByPair || seen.Primaries().empty() ||
      (goal.strategy == StrategyChoice::kAuto && !cut)) {
    if (cut) {
      return {Strategy::kNone, "PairByPair is not possible: " + *cut};
    }
    return {Strategy::kPairByPair, "every single cut leaves quorum and up-to-date copies"};
  }
  if (const std::optional<std::string> obstacle = SuspendObstacle(seen, pairs)) {
    const std::string first = cut ? "PairByPair is not possible: " + *cut + "; " : "";
    return {Strategy::kNone, first + "SuspendIO is not possible: " + *obstacle};
  }
  return {Strategy::kSuspendIo, cut.value_or("chosen by the user")};
}

std::vector<Pair> PairsToSwitch(const ResourceObservation& seen,
                                const std::map<Pair, bool>& wanted) {
  struct Candidate {
    int rank = 0;
    Pair pair{};
  };

  std::vector<Candidate> candidates;
  for (const auto& [pair, connection] : seen.connections) {
    const auto want = wanted.find(pair);
    if (want == wanted.end()) {
      continue;
    }
    const auto differs = [target = want->second](const EndView& end) {
      return end.known && end.tls.has_value() && *end.tls != target;
    };
    if (!differs(connection.a) && !differs(connection.b)) {
      continue;
    }
    const NodeView* a = seen.Node(pair.a);
    const NodeView* b = seen.Node(pair.b);
    const bool primary = (a != nullptr && a->primary) || (b != nullptr && b->primary);
    const bool diskless =
        (a != nullptr && a->known && a->Diskless()) || (b != nullptr && b->known && b->Diskless());
    candidates.push_back({(primary ? 0 : 2) + (diskless ? 1 : 0), pair});
  }
  std::stable_sort(candidates.begin(), candidates.end(),
                   [](const Candidate& x, const Candidate& y) { return x.rank < y.rank; });
  std::vector<Pair> pairs;
  for (Candidate& candidate : candidates) {
    pairs.push_back(std::move(candidate.pair));
  }
  return pairs;
}

std::optional<SwitchObstacle> AgentObstacle(const std::map<std::string, AgentView>& agents,
                                            const std::string& node) {
  const auto agent = agents.find(node);
  if (agent == agents.end()) {
    return Lasting("node " + node +
                   " has no agent; set internalTLS.tlsHandshakeDaemon: true in a "
                   "LinstorSatelliteConfiguration for it");
  }
  if (agent->second.too_old) {
    return Lasting("the agent " + agent->second.version + " of node " + node +
                   " is too old; update the image breakwater-agent of its satellite's pod");
  }
  if (!agent->second.connected) {
    return Passing("the agent of node " + node + " cannot be reached");
  }
  return std::nullopt;
}

std::optional<SwitchObstacle> FindSwitchObstacle(const ResourceObservation& seen,
                                                 const VolumeGoal& goal,
                                                 const std::map<std::string, AgentView>& agents) {
  const std::vector<Pair> pairs = PairsToSwitch(seen, goal.wanted);
  if (!seen.levels.known) {  // it could not follow what the kernel runs
    return Passing("LINSTOR cannot be reached");
  }
  if (std::optional<SwitchObstacle> obstacle = NodesObstacle(seen, goal, pairs)) {
    return obstacle;
  }
  for (const Pair& pair : pairs) {
    for (const std::string& node : {pair.a, pair.b}) {
      if (std::optional<SwitchObstacle> obstacle = AgentObstacle(agents, node)) {
        return obstacle;
      }
    }
  }
  if (seen.SuspendedUser()) {
    return Passing("I/O is suspended");
  }
  for (const Pair& pair : pairs) {
    const ConnectionView& connection = seen.connections.at(pair);
    if (connection.BothConnected() && connection.a.tls && connection.a.tls == connection.b.tls &&
        Effective(seen.levels, pair.ToString()) != *connection.a.tls) {
      return Passing("connection " + pair.ToString() + " is not pinned to what it runs");
    }
  }
  if (const std::optional<PrimaryProblem> problem = FindPrimaryProblem(seen);
      problem && problem->passing) {
    return Passing(problem->reason);
  }
  if (std::optional<SwitchObstacle> obstacle = GateObstacle(seen, goal)) {
    return obstacle;
  }
  if (const StrategyPlan plan = ChooseStrategy(seen, goal); plan.strategy == Strategy::kNone) {
    return Lasting(plan.reason);
  }
  return std::nullopt;
}

std::optional<SwitchObstacle> FindRekeyObstacle(const ResourceObservation& seen,
                                                const VolumeGoal& goal,
                                                const std::map<std::string, AgentView>& agents,
                                                const Pair& pair) {
  // What is to be switched comes first, so that there is nothing here but the one connection.
  if (std::optional<SwitchObstacle> obstacle = FindSwitchObstacle(seen, goal, agents)) {
    return obstacle;
  }
  for (const std::string& node : {pair.a, pair.b}) {
    if (const auto unfit = goal.unfit.find(node); unfit != goal.unfit.end()) {
      return Lasting("node " + node + " is not ready: " + unfit->second);
    }
    if (std::optional<SwitchObstacle> obstacle = AgentObstacle(agents, node)) {
      return obstacle;
    }
    if (agents.at(node).protocol < kRekeyProtocol) {
      return Lasting("the agent " + agents.at(node).version + " of node " + node +
                     " cannot renew session keys yet; update the image breakwater-agent of its "
                     "satellite's pod");
    }
  }
  if (std::optional<std::string> cut = CutObstacle(seen, pair, goal.allow_single_copy)) {
    return Lasting(*cut);
  }
  return std::nullopt;
}

}  // namespace breakwater::replication
