// What is wanted for a volume: the next connection, and LINSTOR's values behind it.

#include <algorithm>

#include "operator/core/replication/plan/volume_planner.h"
#include "operator/core/replication/volume/evidence.h"

namespace breakwater::replication::internal {

using std::chrono::milliseconds;

std::optional<std::string> VolumePlanner::LinstorObstacle() const {
  if (!seen_.levels.known) {
    return "LINSTOR cannot be reached";
  }
  for (const auto& [name, node] : seen_.nodes) {
    if (!node.known) {
      return node.answers ? "the resource is not up on node " + name
                          : "node " + name + " does not answer";
    }
  }
  for (const auto& [pair, connection] : seen_.connections) {
    if (connection.a.stand_alone() || connection.b.stand_alone()) {
      return "connection " + pair.ToString() + " is StandAlone, and an adjust would reconnect it";
    }
  }
  return std::nullopt;
}

// The .res files must say what the kernel does: else the next adjust, or a reboot, undoes it (F19).
// Also for what somebody else has set meanwhile, before the next cut exposes it.
VolumePlanner::Maybe VolumePlanner::PlanFollowUp() const {
  if (!in_.goal.in_flight && !in_.goal.may_switch) {
    return std::nullopt;  // PlanCluster pins it
  }
  std::vector<LinstorOp> ops;
  std::string unproven;
  for (const auto& [pair, connection] : seen_.connections) {
    const std::string key = pair.ToString();
    const Level own = PairLevel(seen_.levels, key);
    if (!seen_.levels.known || !connection.BothConnected() || !connection.a.tls ||
        connection.a.tls != connection.b.tls || (own.value && !Replaceable(seen_.levels, own)) ||
        Effective(seen_.levels, key) == *connection.a.tls) {
      continue;
    }
    const bool runs = *connection.a.tls;
    // Weak TLS is what it runs, all the same: LINSTOR must not take it away.
    const Evidence evidence = EvidenceOf(connection);
    if (runs && evidence != Evidence::kEncrypted && evidence != Evidence::kWeak) {
      unproven = WhyNotEncrypted(connection);
      continue;
    }
    ops.emplace_back(SetPair{key, runs, own.previous.value_or(Effective(seen_.levels, key))});
  }
  if (ops.empty()) {
    return unproven.empty() ? std::nullopt : Maybe(Say(Kind::kWait, unproven));
  }
  if (const std::optional<std::string> obstacle = LinstorObstacle()) {
    return Say(Kind::kWait, "LINSTOR is to be told what the connections run, later: " + *obstacle);
  }
  VolumeDecision decision = Say(Kind::kLinstor, Describe(ops.front()), milliseconds(1000));
  decision.step = "Linstor";
  decision.ops = std::move(ops);
  return decision;
}

VolumePlanner::Maybe VolumePlanner::PlanSwitch() {
  const std::vector<Pair> pairs = PairsToSwitch(seen_, in_.goal.wanted);
  if (pairs.empty()) {
    return std::nullopt;
  }
  if (!in_.goal.may_switch) {
    return Say(Kind::kNothing, "waits for its turn", milliseconds(60000));
  }
  if (const auto obstacle = FindSwitchObstacle(seen_, in_.goal, in_.agents)) {
    return Because(*obstacle);
  }
  if (TooEarly()) {
    return Say(Kind::kWait, "waiting before the next try", milliseconds(1000));
  }
  const Strategy strategy = ChooseStrategy(seen_, in_.goal).strategy;
  const std::vector<std::string> primaries = seen_.Primaries();
  if (strategy == Strategy::kSuspendIo && primaries.size() == 1 &&
      pairs.front().Has(primaries.front())) {
    return BeginSuspended(primaries.front(), pairs);
  }
  return BeginPair(pairs.front(), strategy);
}

// The near end cuts: the Primary, because it alone knows what a cut costs; else one with data.
const std::string& VolumePlanner::NearEnd(const Pair& pair) const {
  const NodeView& a = seen_.nodes.at(pair.a);
  const NodeView& b = seen_.nodes.at(pair.b);
  const bool b_leads = b.primary || (!a.primary && a.Diskless() && !b.Diskless());
  return b_leads ? pair.b : pair.a;
}

VolumeDecision VolumePlanner::BeginPair(const Pair& pair, Strategy strategy) {
  const std::string& near = NearEnd(pair);
  const std::string& far = pair.Other(near);
  const bool tls = in_.goal.wanted.at(pair);
  Exchange exchange;
  exchange.strategy = strategy;
  exchange.pair = pair;
  exchange.follows = {Follow(far, near, tls, in_.goal.lead_timeout)};
  exchange.lead = Ask(TransactionKind::kLead, near, {far}, tls, in_.goal.lead_timeout);
  exchange.why = "switch connection " + pair.ToString() + " to tls=" + std::string(TlsValue(tls));
  return Begin(std::move(exchange));
}

// All connections of the Primary in one freeze (F31); those between Secondaries have their turn
// afterwards.
VolumeDecision VolumePlanner::BeginSuspended(const std::string& primary,
                                             const std::vector<Pair>& pairs) {
  const bool tls = in_.goal.wanted.at(pairs.front());
  Exchange exchange;
  exchange.strategy = Strategy::kSuspendIo;
  exchange.pair = pairs.front();
  std::vector<std::string> peers;
  for (const Pair& pair : pairs) {
    if (pair.Has(primary) && in_.goal.wanted.at(pair) == tls) {
      peers.push_back(pair.Other(primary));
      exchange.follows.push_back(Follow(peers.back(), primary, tls, in_.goal.suspend_timeout));
    }
  }
  exchange.lead = Ask(TransactionKind::kSuspendedSwitch, primary, std::move(peers), tls,
                      in_.goal.suspend_timeout);
  exchange.why =
      "switch the connections of the Primary " + primary + " to tls=" + std::string(TlsValue(tls));
  return Begin(std::move(exchange));
}

// One change at a time, each proven to keep the effective value of every connection.
VolumePlanner::Maybe VolumePlanner::PlanCleanup() const {
  const std::optional<std::map<PairKey, bool>> runs = Runs();
  if (!seen_.levels.known || !runs) {
    return std::nullopt;
  }
  std::vector<LinstorOp> ops = CleanupOps(seen_.levels, *runs);
  if (ops.empty()) {
    return std::nullopt;
  }
  if (!in_.goal.may_switch) {
    return Say(Kind::kNothing, "as wanted; values of ours in LINSTOR go when it is its turn",
               milliseconds(60000));
  }
  if (const std::optional<std::string> obstacle = LinstorObstacle()) {
    return Say(Kind::kWait, "values of ours in LINSTOR are left for now: " + *obstacle);
  }
  VolumeDecision decision = Say(Kind::kLinstor, Describe(ops.front()), milliseconds(1000));
  decision.step = "Linstor";
  decision.ops = std::move(ops);
  return decision;
}

// The far end keeps trying with the value that it has (F21): it needs no Follow. What cannot be
// renewed now is no failure of the volume; PlanCluster says why.
VolumePlanner::Maybe VolumePlanner::PlanRekey() const {
  if (!in_.goal.may_switch) {
    return std::nullopt;
  }
  for (const auto& [pair, session] : in_.goal.rekey) {
    const ConnectionView* connection = seen_.Connection(pair);
    if (connection == nullptr || session.empty() || connection->a.session != session ||
        FindRekeyObstacle(seen_, in_.goal, in_.agents, pair)) {
      continue;  // another session: reconnected meanwhile
    }
    if (TooEarly()) {
      return Say(Kind::kWait, "waiting before the next try", milliseconds(1000));
    }
    VolumeDecision decision =
        Say(Kind::kAsk, "new session keys for connection " + pair.ToString(), milliseconds(1000));
    const std::string& near = NearEnd(pair);
    decision.asks = {
        Ask(TransactionKind::kLead, near, {pair.Other(near)}, true, in_.goal.lead_timeout)};
    decision.asks.back().request.rekey = true;
    decision.asks.back().request.floor_tls = true;
    decision.strategy = Strategy::kPairByPair;
    decision.pair = pair;
    decision.step = std::string(ToString(TransactionKind::kLead));
    return decision;
  }
  return std::nullopt;
}

// What the kernel is configured to, per connection; nothing when an end is not known or two differ.
std::optional<std::map<PairKey, bool>> VolumePlanner::Runs() const {
  std::map<PairKey, bool> runs;
  for (const auto& [pair, connection] : seen_.connections) {
    if (!connection.BothKnown() || !connection.a.tls || connection.a.tls != connection.b.tls) {
      return std::nullopt;
    }
    runs[pair.ToString()] = *connection.a.tls;
  }
  return runs;
}

}  // namespace breakwater::replication::internal
