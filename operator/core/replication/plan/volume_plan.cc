#include "operator/core/replication/plan/volume_plan.h"

#include <algorithm>
#include <utility>

#include "operator/core/replication/plan/volume_planner.h"

namespace breakwater::replication {

VolumeDecision PlanVolume(const VolumeInput& input) {
  return internal::VolumePlanner(input).Decide();
}

namespace internal {

using std::chrono::milliseconds;

VolumeDecision VolumePlanner::Decide() {
  const std::vector<RunningTransaction> busy = Busy();
  for (const RunningTransaction& running : busy) {
    if (running.progress.kind != TransactionKind::kFollow) {
      if (Maybe help = HelpUndo(running, busy)) {
        return *help;
      }
      VolumeDecision wait =
          Say(Kind::kWait, "a transaction runs on node " + running.node +
                               (running.progress.why.empty() ? "" : ": ") + running.progress.why);
      wait.step = std::string(ToString(running.progress.kind));
      return wait;
    }
  }
  return busy.empty() ? Free() : WithFollows(busy);
}

// A node that is gone may never say how its transaction ended. What needs the whole volume waits
// for the node anyway; what the others have to do among themselves does not.
std::vector<RunningTransaction> VolumePlanner::Busy() const {
  std::vector<RunningTransaction> busy;
  for (const RunningTransaction& running : in_.running) {
    const auto agent = in_.agents.find(running.node);
    const NodeView* node = seen_.Node(running.node);
    if ((agent != in_.agents.end() && agent->second.connected) ||
        (node != nullptr && node->known)) {
      busy.push_back(running);
    }
  }
  return busy;
}

VolumeDecision VolumePlanner::Free() {
  if (Maybe suspended = PlanSuspended()) {
    return *suspended;
  }
  if (Maybe heal = PlanStale()) {
    return *heal;
  }
  if (in_.goal.heal_only) {
    return problem_.value_or(Say(Kind::kNothing, "no stale peer", milliseconds(60000)));
  }
  if (Maybe repair = PlanRepair()) {
    return *repair;
  }
  if (problem_) {
    return *problem_;
  }
  if (Maybe follow_up = PlanFollowUp()) {
    return *follow_up;
  }
  if (Maybe next = PlanSwitch()) {
    return *next;
  }
  if (Maybe cleanup = PlanCleanup()) {
    return *cleanup;
  }
  if (Maybe rekey = PlanRekey()) {
    return *rekey;
  }
  return End();
}

namespace {

bool Same(const AskNode& ask, const RunningTransaction& running) {
  return ask.node == running.node && ask.request.peers == running.progress.peers &&
         ask.request.tls == running.progress.tls;
}

bool Contains(const std::vector<AskNode>& asks, const RunningTransaction& running) {
  return std::any_of(asks.begin(), asks.end(),
                     [&](const AskNode& ask) { return Same(ask, running); });
}

}  // namespace

VolumeDecision VolumePlanner::WithFollows(const std::vector<RunningTransaction>& follows) {
  const VolumeDecision otherwise = Free();
  const bool undoing = std::all_of(follows.begin(), follows.end(),
                                   [](const auto& follow) { return follow.progress.undoing; });
  if (Maybe beside = undoing ? BesideUndo(follows, otherwise) : std::nullopt) {
    return *beside;
  }
  if (!exchange_) {
    return CancelFollows(follows, otherwise.why);
  }
  if (std::any_of(follows.begin(), follows.end(),
                  [&](const auto& follow) { return !Contains(exchange_->follows, follow); })) {
    return CancelFollows(follows, "another step is due: " + exchange_->why);
  }
  std::vector<AskNode> missing;
  for (const AskNode& ask : exchange_->follows) {
    if (std::none_of(follows.begin(), follows.end(),
                     [&](const auto& follow) { return Same(ask, follow); })) {
      missing.push_back(ask);
    }
  }
  if (!missing.empty() || exchange_->down) {
    exchange_->follows = std::move(missing);
    return Begin(*exchange_);
  }
  for (const RunningTransaction& follow : follows) {
    if (follow.progress.undoing) {
      return Say(Kind::kWait, "node " + follow.node + " takes back what it was asked for");
    }
    // In this order: a Follow could end in the middle of the Lead, and the ends would differ.
    if (follow.asked_at && in_.now - *follow.asked_at > kFollowFresh) {
      return CancelFollows(follows, "node " + follow.node + " has waited for too long");
    }
    if (!follow.progress.armed) {
      return Say(Kind::kWait, "waiting until node " + follow.node + " is ready to follow",
                 milliseconds(1000));
    }
  }
  return AskLead();
}

// A Follow that goes back waits until its connection is up, however long that takes. It never
// alternates, and does nothing at the other end: what that needs must not wait for the Follow.
VolumePlanner::Maybe VolumePlanner::BesideUndo(const std::vector<RunningTransaction>& follows,
                                               VolumeDecision decision) {
  const auto taken = [&](const AskNode& ask) {  // F29.3: one transaction per connection of a node
    return std::any_of(follows.begin(), follows.end(), [&](const auto& follow) {
      return follow.node == ask.node && follow.progress.peers == ask.request.peers;
    });
  };
  if (exchange_ && exchange_->down) {
    AskNode& lead = exchange_->lead;
    if (taken(lead)) {
      const std::string near = std::exchange(lead.node, lead.request.peers.front());
      lead.request.peers = {near};
    }
    exchange_->follows.clear();
    return taken(lead) ? std::nullopt : Maybe(Begin(*exchange_));
  }
  if (exchange_ || decision.kind != Kind::kAsk) {
    return std::nullopt;
  }
  std::erase_if(decision.asks, taken);
  return decision.asks.empty() ? std::nullopt : Maybe(std::move(decision));
}

// Whether a node leads it, as far as is known of one that does not answer now: its agent may have
// been started again and be in the middle of it, and without the Follow it could only undo.
bool VolumePlanner::HasLeader(const RunningTransaction& follow) const {
  return std::any_of(in_.running.begin(), in_.running.end(), [&](const RunningTransaction& other) {
    return other.progress.kind != TransactionKind::kFollow &&
           std::find(follow.progress.peers.begin(), follow.progress.peers.end(), other.node) !=
               follow.progress.peers.end();
  });
}

// Nobody will lead. A Follow whose connection is down is at work, and ends by its deadline.
VolumeDecision VolumePlanner::CancelFollows(const std::vector<RunningTransaction>& follows,
                                            std::string why) {
  VolumeDecision decision = Say(Kind::kWait, std::move(why), milliseconds(1000));
  decision.step = "Follow";
  for (const RunningTransaction& follow : follows) {
    const ConnectionView* connection =
        follow.progress.peers.empty()
            ? nullptr
            : seen_.Connection(Pair::Of(follow.node, follow.progress.peers.front()));
    const bool at_work = connection != nullptr && connection->End(follow.node).known &&
                         !connection->End(follow.node).connected();
    if (!follow.progress.undoing && !at_work && !HasLeader(follow)) {
      decision.cancel.push_back(follow.progress.id);
    }
  }
  return decision;
}

VolumeDecision VolumePlanner::Begin(Exchange exchange) {
  VolumeDecision decision = Say(Kind::kAsk, exchange.why, milliseconds(1000));
  decision.asks = exchange.follows;
  if (exchange.down) {
    decision.asks.push_back(exchange.lead);
  }
  decision.strategy = exchange.strategy;
  decision.pair = exchange.pair;
  decision.step =
      std::string(ToString(exchange.down ? TransactionKind::kLead : TransactionKind::kFollow));
  exchange_ = std::move(exchange);
  return decision;
}

VolumeDecision VolumePlanner::AskLead() const {
  VolumeDecision decision = Say(Kind::kAsk, exchange_->why, milliseconds(1000));
  decision.asks = {exchange_->lead};
  decision.strategy = exchange_->strategy;
  decision.pair = exchange_->pair;
  decision.step = std::string(ToString(exchange_->lead.request.kind));
  return decision;
}

VolumeDecision VolumePlanner::End() const {
  if (!seen_.AllKnown()) {
    return Say(Kind::kWait, "as wanted on the nodes that answer; waiting for the others");
  }
  if (!seen_.levels.known) {
    return Say(Kind::kWait, "as wanted on the nodes; LINSTOR cannot be reached");
  }
  GateCheck check;
  for (const auto& [pair, wanted] : in_.goal.wanted) {
    if (!wanted) {
      check.plaintext.insert(pair);
    }
  }
  const GateResult gate = CheckGate(seen_, check);
  if (gate.kind == GateResult::Kind::kStuck) {
    return Say(Kind::kBlocked, gate.reason +
                                   "; on the node whose disk is Outdated run `drbdadm "
                                   "disconnect` and `drbdadm connect` for that peer");
  }
  if (!gate.ok()) {
    return Say(Kind::kWait, gate.reason);
  }
  VolumeDecision decision =
      Say(Kind::kNothing, "every connection is as wanted", milliseconds(60000));
  decision.done = true;
  return decision;
}

AskNode VolumePlanner::Ask(TransactionKind kind,
                           const std::string& node,
                           std::vector<std::string> peers,
                           bool tls,
                           milliseconds within) const {
  AskNode ask;
  ask.node = node;
  ask.request.kind = kind;
  ask.request.resource = seen_.resource;
  ask.request.peers = std::move(peers);
  ask.request.tls = tls;
  ask.request.floor_tls = in_.goal.floor_tls;
  ask.request.within = within;
  ask.request.allow_single_copy = in_.goal.allow_single_copy;
  return ask;
}

AskNode VolumePlanner::Follow(const std::string& node,
                              const std::string& peer,
                              bool tls,
                              milliseconds lead) const {
  return Ask(TransactionKind::kFollow, node, {peer}, tls, lead + kFollowSlack);
}

void VolumePlanner::Note(Kind kind, std::string why) {
  if (!problem_) {
    problem_ = Say(kind, std::move(why));
  }
}

VolumeDecision VolumePlanner::Say(Kind kind, std::string why, milliseconds poll) {
  VolumeDecision decision;
  decision.kind = kind;
  decision.why = std::move(why);
  decision.poll = poll;
  return decision;
}

}  // namespace internal
}  // namespace breakwater::replication
