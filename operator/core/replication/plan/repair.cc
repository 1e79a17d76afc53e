// What is wrong with a volume and can be mended without cutting anything: a suspension, a peer that
// lacks writes, a connection that does not come back by itself.

#include <algorithm>

#include "operator/core/replication/plan/floor.h"
#include "operator/core/replication/plan/volume_planner.h"

namespace breakwater::replication {
namespace {

// A heal is a resync of what one connection missed.
constexpr std::chrono::milliseconds kHealWithin{60000};

// With TLS, down, and in a state that DRBD leaves only when told to.
bool IsBroken(const ConnectionView& connection) {
  const bool tls = connection.a.tls.value_or(false) || connection.b.tls.value_or(false);
  return tls && connection.BothKnown() && !connection.BothConnected() &&
         (connection.a.tls != connection.b.tls || connection.a.stand_alone() ||
          connection.b.stand_alone());
}

bool IsStandAlone(const ConnectionView& connection) {
  return connection.a.stand_alone() || connection.b.stand_alone();
}

}  // namespace

bool NeedsRepair(const ResourceObservation& seen, const std::map<Pair, std::string>& hold) {
  return std::any_of(seen.connections.begin(), seen.connections.end(), [&](const auto& item) {
    return IsBroken(item.second) && !(IsStandAlone(item.second) && hold.contains(item.first));
  });
}

namespace internal {

using std::chrono::milliseconds;

// Ours is ended by the agent whose journal has it, which then reports its transaction. Whatever is
// left is a person's, or a snapshot.
VolumePlanner::Maybe VolumePlanner::PlanSuspended() const {
  std::vector<AskNode> asks;
  std::string who;
  for (const auto& [name, node] : seen_.nodes) {
    if (!node.suspended_user) {
      continue;
    }
    who = who.empty() ? name : who;
    if (!AgentObstacle(in_.agents, name)) {
      asks.push_back(Ask(TransactionKind::kResume, name, {}, false, in_.goal.lead_timeout));
      asks.back().request.of_others = true;
    }
  }
  if (who.empty()) {
    return std::nullopt;
  }
  const bool asked_to = in_.goal.resume_foreign_after && in_.memory.suspended_since;
  if (asked_to && in_.now - *in_.memory.suspended_since >= *in_.goal.resume_foreign_after &&
      !asks.empty() && !TooEarly() && !in_.goal.heal_only) {
    VolumeDecision decision =
        Say(Kind::kAsk, "I/O has been suspended by somebody else for too long", milliseconds(1000));
    decision.asks = std::move(asks);
    decision.step = std::string(ToString(TransactionKind::kResume));
    return decision;
  }
  const std::optional<SwitchObstacle> agent = AgentObstacle(in_.agents, who);
  if (agent && agent->passing) {
    return Say(Kind::kWait, "I/O is suspended on " + who + ", and " + agent->reason +
                                ": it ends what it has suspended, nothing else is done");
  }
  return Say(Kind::kWait,
             "I/O is suspended by somebody else on " + who + "; nothing is changed meanwhile");
}

VolumePlanner::Maybe VolumePlanner::PlanStale() {
  for (const StalePeer& stale : FindStale(seen_)) {
    StalePeer key = stale;
    key.kib = 0;
    const auto since = in_.memory.stale_since.find(key);
    const milliseconds patience = stale.out_of_sync ? kOutOfSyncAfter : kStaleAfter;
    const std::string name = "stale peer " + stale.peer + " of connection " + stale.pair.ToString();
    if (since == in_.memory.stale_since.end() || in_.now - since->second < patience) {
      return Say(Kind::kWait, name + ": waiting whether it stays so", milliseconds(500));
    }
    if (!Arisen(in_.memory, stale)) {
      Note(Kind::kBlocked,
           name +
               ": blocks are out of sync, and no reconnect that was seen explains it (an online "
               "verify finds such); it is not healed, because either disk may be the bad one: "
               "decide, then run `drbdadm invalidate` for the bad one");
      continue;
    }
    if (!in_.goal.heal_stale) {
      Note(Kind::kBlocked, name + ": held, healing is switched off");
      continue;
    }
    if (const std::optional<std::string> obstacle = HealObstacle(seen_, stale)) {
      Note(Kind::kWait, name + ": held, " + *obstacle);
      continue;
    }
    if (!seen_.nodes.at(stale.primary).AllUpToDate()) {
      Note(Kind::kBlocked, name + ": held, " + stale.primary +
                               " has no data of its own to send; run `drbdadm invalidate " +
                               seen_.resource + "` on " + stale.peer + " (a full resync)");
      continue;
    }
    return TooEarly() ? Say(Kind::kWait, name + ": waiting for the next try", milliseconds(1000))
                      : Heal(stale);
  }
  return std::nullopt;
}

VolumeDecision VolumePlanner::Heal(const StalePeer& stale) const {
  const bool agent = !AgentObstacle(in_.agents, stale.primary);
  VolumeDecision decision = Say(agent ? Kind::kAsk : Kind::kHealByExec,
                                "heal the stale peer " + stale.peer, milliseconds(1000));
  decision.step = std::string(ToString(TransactionKind::kHeal));
  decision.pair = stale.pair;
  decision.heal = stale;
  if (agent) {
    AskNode ask = Ask(TransactionKind::kHeal, stale.primary, {stale.peer}, false, kHealWithin);
    ask.request.volume = stale.volume;
    decision.asks.push_back(std::move(ask));
  }
  return decision;
}

// Those of a Primary first: two Secondaries that meet earlier pass data on, and the Primary's
// record of what the second one lacks is then taken for done.
std::vector<Pair> VolumePlanner::DownPairs() const {
  std::vector<Pair> first;
  std::vector<Pair> later;
  for (const auto& [pair, connection] : seen_.connections) {
    if (IsBroken(connection)) {
      const bool primary = seen_.nodes.at(pair.a).primary || seen_.nodes.at(pair.b).primary;
      (primary ? first : later).push_back(pair);
    }
  }
  first.insert(first.end(), later.begin(), later.end());
  return first;
}

VolumePlanner::Maybe VolumePlanner::PlanRepair() {
  for (const Pair& pair : DownPairs()) {
    if (Maybe repair = RepairOne(seen_.connections.at(pair))) {
      return repair;
    }
  }
  return std::nullopt;
}

VolumePlanner::Maybe VolumePlanner::RepairOne(const ConnectionView& connection) {
  const std::string name = "connection " + connection.pair.ToString();
  if (const auto hold = in_.goal.hold.find(connection.pair);
      hold != in_.goal.hold.end() && IsStandAlone(connection)) {
    Note(Kind::kBlocked, name + " is StandAlone: " + hold->second);
    return std::nullopt;
  }
  const auto since = in_.memory.down_since.find(connection.pair);
  if (since == in_.memory.down_since.end() || in_.now - since->second < kRepairAfter) {
    return Say(Kind::kWait, name + " is down: waiting whether it stays so", milliseconds(1000));
  }
  if (TooEarly()) {
    return Say(Kind::kWait, name + " is down: waiting before the next try", milliseconds(1000));
  }
  if (!in_.goal.may_repair) {
    Note(Kind::kWait, name + " is down: waits for its turn to be repaired");
    return std::nullopt;
  }
  return connection.a.tls == connection.b.tls ? RepairStandAlone(connection)
                                              : RepairDiffering(connection);
}

VolumePlanner::Maybe VolumePlanner::RepairStandAlone(const ConnectionView& connection) {
  const Pair& pair = connection.pair;
  for (const std::string& node : {pair.a, pair.b}) {
    if (const auto unfit = in_.goal.unfit.find(node); unfit != in_.goal.unfit.end()) {
      Note(Kind::kBlocked, "connection " + pair.ToString() + " is down and node " + node +
                               " is not ready: " + unfit->second);
      return std::nullopt;
    }
  }
  std::vector<AskNode> asks;
  for (const std::string& node : {pair.a, pair.b}) {
    if (!connection.End(node).stand_alone()) {
      continue;
    }
    if (const std::optional<SwitchObstacle> obstacle = AgentObstacle(in_.agents, node)) {
      Note(obstacle->passing ? Kind::kWait : Kind::kBlocked,
           "connection " + pair.ToString() + " is StandAlone on " + node + ": " + obstacle->reason +
               ", or run `drbdadm connect " + seen_.resource + ":" + pair.Other(node) + "` there");
      return std::nullopt;
    }
    asks.push_back(
        Ask(TransactionKind::kReconnect, node, {pair.Other(node)}, false, in_.goal.lead_timeout));
  }
  VolumeDecision decision = Say(Kind::kAsk, "reconnect " + pair.ToString(), milliseconds(1000));
  decision.asks = std::move(asks);
  decision.pair = pair;
  decision.step = std::string(ToString(TransactionKind::kReconnect));
  return decision;
}

VolumePlanner::Maybe VolumePlanner::HelpUndo(const RunningTransaction& running,
                                             const std::vector<RunningTransaction>& busy) const {
  const ProgressMessage& progress = running.progress;
  if (!progress.undoing || (progress.kind != TransactionKind::kLead &&
                            progress.kind != TransactionKind::kSuspendedSwitch)) {
    return std::nullopt;
  }
  for (const std::string& far : progress.peers) {
    const ConnectionView* connection = seen_.Connection(Pair::Of(running.node, far));
    if (connection == nullptr || !connection->End(far).stand_alone() ||
        in_.goal.hold.contains(connection->pair)) {
      continue;
    }
    const auto since = in_.memory.down_since.find(connection->pair);
    const bool at_work = std::any_of(busy.begin(), busy.end(), [&](const auto& other) {
      return other.node == far && other.progress.peers == std::vector<std::string>{running.node};
    });
    if (at_work || AgentObstacle(in_.agents, far) || since == in_.memory.down_since.end() ||
        in_.now - since->second < kRepairAfter) {
      continue;
    }
    VolumeDecision decision =
        Say(Kind::kAsk, "reconnect " + far + ", which gave up, so that the switch can be undone");
    decision.asks = {
        Ask(TransactionKind::kReconnect, far, {running.node}, false, in_.goal.lead_timeout)};
    decision.pair = connection->pair;
    decision.step = std::string(ToString(TransactionKind::kReconnect));
    return decision;
  }
  return std::nullopt;
}

// A repair restores what LINSTOR's configuration says, unless the volume has its place and what is
// wanted is at hand, or Kubernetes asks for TLS: then LINSTOR is not asked, not even about values
// of ours (REVIEW-2 S1), unless TLS is out of reach. What nobody can say never decrypts.
bool VolumePlanner::RepairTarget(const ConnectionView& connection) const {
  if (in_.goal.floor_tls || !seen_.levels.known) {
    return true;
  }
  const bool fit =
      !in_.goal.unfit.contains(connection.pair.a) && !in_.goal.unfit.contains(connection.pair.b);
  const auto wanted = in_.goal.wanted.find(connection.pair);
  if (in_.goal.may_switch && wanted != in_.goal.wanted.end() && (!wanted->second || fit)) {
    return wanted->second;
  }
  if (seen_.levels.floor && (fit || WaitsForTls(seen_))) {
    return true;
  }
  return Restored(seen_.levels, connection.pair.ToString());
}

// A Lead on a connection that is down cuts nothing, and finds the far end's value in the end, even
// when that goes back on its word (F30). An end without an agent cannot be changed: the other one
// adapts.
VolumePlanner::Maybe VolumePlanner::RepairDiffering(const ConnectionView& connection) {
  const Pair& pair = connection.pair;
  const std::string name = "the ends of connection " + pair.ToString() + " differ";
  const std::optional<SwitchObstacle> a = AgentObstacle(in_.agents, pair.a);
  const std::optional<SwitchObstacle> b = AgentObstacle(in_.agents, pair.b);
  bool target = RepairTarget(connection);
  if (a && b) {
    Note(a->passing || b->passing ? Kind::kWait : Kind::kBlocked, name + ": " + a->reason);
    return std::nullopt;
  }
  if (a || b) {
    const SwitchObstacle& obstacle = a ? *a : *b;
    const std::optional<bool> has = connection.End(a ? pair.a : pair.b).tls;
    const bool keeps_tls = in_.goal.floor_tls || WaitsForTls(seen_);
    target = has.value_or(true);
    if (obstacle.passing || !has || (keeps_tls && !target)) {
      Note(obstacle.passing ? Kind::kWait : Kind::kBlocked, name + ": " + obstacle.reason);
      return std::nullopt;
    }
  }
  for (const std::string& node : {pair.a, pair.b}) {
    const auto unfit = in_.goal.unfit.find(node);
    if (target && unfit != in_.goal.unfit.end()) {
      Note(Kind::kBlocked, name + ", and node " + node + " is not ready: " + unfit->second);
      return std::nullopt;
    }
  }
  const bool b_leads = a || (!b && seen_.nodes.at(pair.b).primary);
  const std::string& near = b_leads ? pair.b : pair.a;
  const std::string& far = pair.Other(near);
  Exchange exchange;
  exchange.pair = pair;
  exchange.down = true;
  exchange.why = name + ": set tls=" + std::string(TlsValue(target)) + " on both";
  if (!a && !b) {
    exchange.follows = {Follow(far, near, target, in_.goal.lead_timeout)};
  }
  exchange.lead = Ask(TransactionKind::kLead, near, {far}, target, in_.goal.lead_timeout);
  return Begin(std::move(exchange));
}

}  // namespace internal
}  // namespace breakwater::replication
