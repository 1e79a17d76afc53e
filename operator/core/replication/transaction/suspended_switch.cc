#include <algorithm>

#include "operator/core/replication/transaction/guard.h"
#include "operator/core/replication/transaction/turn.h"

namespace breakwater::replication {
namespace {

using Phase = TransactionState::Phase;
using std::chrono::milliseconds;

// F31: a resume with its look takes 0.3 s on an emulated node, more under load; half of a very
// short deadline, so that there is time for the switch at all (REVIEW-1 M3, M4).
milliseconds Margin(milliseconds within) {
  return std::min(std::max(milliseconds(1500), within / 4), within / 2);
}

// How long one look took: a command takes about as long, and the tools of a loaded node are slow.
SteadyTime::duration Latency(const Turn& turn) {
  return std::min<SteadyTime::duration>(turn.now - turn.view.at, kFresh);
}

bool PastMargin(const Turn& turn) {
  const milliseconds within = turn.state.request.within;
  const SteadyTime::duration margin =
      std::max<SteadyTime::duration>(Margin(within), Latency(turn) * 4);
  return turn.now >= turn.state.until - std::min<SteadyTime::duration>(margin, within / 2);
}

// There is time for one more look before the resume.
bool TimeForALook(const Turn& turn) {
  return turn.now + Latency(turn) * 2 + milliseconds(300) < turn.state.until;
}

DrbdCommand OfMinor(const Turn& turn, DrbdCommand::Kind kind) {
  return {.kind = kind, .minor = turn.state.minors.front()};
}

TransactionDecision Resume(Turn* turn, std::string why) {
  // An old look does not count, unless there is no time for another one.
  if (!turn->Fresh() && turn->now < turn->state.until) {
    return turn->Wait(milliseconds(0), "looks again");
  }
  if (turn->BackingOff()) {
    return turn->Wait(kFrozenPoll, std::move(why));
  }
  return turn->Run(OfMinor(*turn, DrbdCommand::Kind::kResumeIo), Phase::kResume, std::move(why));
}

// Whose is what the status shows?
void NoteSuspension(Turn* turn) {
  TransactionState& state = turn->state;
  if (turn->status.suspended_user) {
    if (!state.suspended_at && state.suspend_pending) {
      state.suspended_at = turn->view.at;  // ours, late (F2.7)
    }
    state.no_data = state.suspended_at && !HasData(turn->status);
    return;
  }
  state.no_data = false;
  if (state.suspended_at && !state.suspend_pending) {
    // Somebody else resumed, the guardian or LINSTOR for example. Safe: the cuts were graceful
    // (F26.4).
    state.result.frozen +=
        std::chrono::duration_cast<milliseconds>(turn->view.at - *state.suspended_at);
    state.suspended_at.reset();
  }
}

TransactionDecision Guard(Turn& turn) {
  TransactionState& state = turn.state;
  if (AllConnected(turn, true)) {
    return Settle(&turn);
  }
  if (state.cancelled) {
    return turn.Refuse("Cancelled", "cancelled");
  }
  if (PastMargin(turn)) {
    return turn.Refuse("Timeout", "the deadline came before everything was looked at");
  }
  if (!turn.view.show || !turn.Fresh()) {
    return turn.Wait(kRetry, "looks again");
  }
  const Obstacle obstacle = CheckSuspendedSwitch(turn.view);
  if (!obstacle.none()) {
    return turn.Refuse(obstacle.code, obstacle.reason);
  }
  const int minor = turn.status.devices.front().minor;
  if (minor < 0) {
    return turn.Refuse("Unknown", "its minor is not known");
  }
  state.minors = {minor};
  state.suspended_at = turn.now;
  return turn.Run(OfMinor(turn, DrbdCommand::Kind::kSuspendIo), Phase::kSuspend, "suspending I/O");
}

// The next connection that still has the old value, or "".
std::string NextToCut(const Turn& turn) {
  for (const auto& [name, peer] : turn.state.peers) {
    const DrbdConnection* connection = FindConnection(turn.status, name);
    if (connection != nullptr && IsConnected(*connection) &&
        !IsReached(turn.view, *connection, turn.state.request.tls)) {
      return name;
    }
  }
  return {};
}

// What speaks against going on, seen at this moment.
Obstacle ForwardObstacle(const Turn& turn) {
  const TransactionState& state = turn.state;
  if (state.cancelled) {
    return {"Cancelled", "cancelled"};
  }
  if (state.suspend_pending) {
    return {"SuspendFailed", "I/O could not be suspended: " + state.failure};
  }
  const std::string next = NextToCut(turn);
  if (!state.suspended_at) {
    if (!next.empty()) {
      return {"SuspensionLost", "somebody else resumed I/O before everything was cut"};
    }
    if (turn.now >= state.until) {
      return {"Timeout", "the connections did not come back in time"};
    }
    return {};
  }
  if (PastMargin(turn)) {
    return {"Timeout", "the connections did not come back in time"};
  }
  if (state.no_data || !HasOwnData(turn.status)) {
    return {"NoOwnData", "the Primary lost its own disk"};
  }
  if (next.empty()) {
    return {};
  }
  if (state.attempts >= kMaxRefusals) {
    return {state.failure_code, state.failure};
  }
  if (state.cuts >= static_cast<int>(kMaxRecuts * state.peers.size())) {
    return {"ForeignChange", "somebody else reconnects " + next + " with the old value"};
  }
  if (!HasQuorum(turn.status)) {
    return {"NoQuorum", "quorum was lost"};
  }
  // After a foreign reconnect (F19.1) the peer's disk is Outdated for a moment; a peer that stays
  // so lacks writes and must not be cut.
  return state.cuts > 0 ? Obstacle{}
                        : CheckConnection(turn.status, *FindConnection(turn.status, next));
}

TransactionDecision Undo(Turn& turn);

TransactionDecision Forward(Turn& turn) {
  TransactionState& state = turn.state;
  const bool all = AllConnected(turn, true);
  if (all && !state.suspended_at && !state.suspend_pending) {
    return Settle(&turn);
  }
  if (const Obstacle obstacle = ForwardObstacle(turn); !obstacle.none()) {
    BeginUndo(&turn, obstacle.code, obstacle.reason);
    return Undo(turn);
  }
  if (const std::string next = NextToCut(turn); !next.empty()) {
    const Obstacle obstacle = CheckConnection(turn.status, *FindConnection(turn.status, next));
    if (turn.BackingOff() || !turn.Fresh() || !obstacle.none()) {
      return turn.Wait(kFrozenPoll, obstacle.none() ? "looks again" : obstacle.reason);
    }
    return turn.Run(DisconnectOf(turn, next), Phase::kCut, "cutting " + next);
  }
  if (std::optional<TransactionDecision> command = Drive(&turn)) {
    return *command;
  }
  if (!all) {
    return turn.Wait(kFrozenPoll, "waits for the connections");
  }
  if (std::optional<TransactionDecision> heal = HealStale(&turn, kStaleFrozen)) {
    return *heal;
  }
  for (const auto& [name, peer] : state.peers) {
    if (const DrbdConnection* connection = FindConnection(turn.status, name)) {
      if (Obstacle obstacle = CheckConnection(turn.status, *connection); !obstacle.none()) {
        return turn.Wait(kFrozenPoll, obstacle.reason);
      }
    }
  }
  if (!HasQuorum(turn.status)) {
    return turn.Wait(kFrozenPoll, "waits for quorum");
  }
  return Resume(&turn, "everything is connected and good: resuming I/O");
}

// Between the cut and Connected, where nobody knows yet whether the peer comes back stale.
bool AnyOnItsWay(const Turn& turn) {
  return std::any_of(turn.state.peers.begin(), turn.state.peers.end(), [&](const auto& entry) {
    const DrbdConnection* connection = FindConnection(turn.status, entry.first);
    return connection != nullptr && !IsConnected(*connection) && connection->state != "StandAlone";
  });
}

// I/O first: safe after graceful cuts (F26.4). Not without data: resume-io would give EIO (F28),
// and so it stays suspended until a peer with data is back, however long that takes; no I/O could
// be done anyway. Without quorum the kernel's own suspension holds I/O back (F2.6), so that our
// resume is as safe, but it is worth the remaining time to connect first. The
// same for a peer that is on its way back: whether it comes back stale (F27) is known in a moment,
// and is healed before the resume.
std::optional<TransactionDecision> EndSuspension(Turn* turn) {
  TransactionState& state = turn->state;
  if (!state.suspended_at || !turn->status.suspended_user || state.no_data) {
    return std::nullopt;
  }
  if (TimeForALook(*turn)) {
    if (std::optional<TransactionDecision> heal = HealStale(turn, milliseconds(0))) {
      return heal;
    }
    if (!HasQuorum(turn->status)) {
      return std::nullopt;
    }
    if (AnyOnItsWay(*turn)) {
      return turn->Wait(kFrozenPoll, "waits for a peer that is on its way");
    }
  }
  return Resume(turn, "undo: resuming I/O");
}

TransactionDecision Undo(Turn& turn) {
  TransactionState& state = turn.state;
  if (std::optional<TransactionDecision> end = EndSuspension(&turn)) {
    return *end;
  }
  Alternate(&turn);
  if (std::optional<TransactionDecision> command = Drive(&turn)) {
    return *command;
  }
  if (!AllConnected(turn, false)) {
    return turn.Wait(state.suspended_at ? kFrozenPoll : kPoll, "waits for the connections");
  }
  if (state.suspended_at && turn.status.suspended_user) {
    return turn.Wait(kFrozenPoll, "waits for data or quorum");
  }
  if (state.suspend_pending) {
    if (turn.now < state.until + kLateSuspension) {
      return turn.Wait(kPoll, "the suspension may still come into effect");
    }
    state.suspend_pending = false;
    state.suspended_at.reset();
  }
  return Settle(&turn);
}

}  // namespace

TransactionDecision SuspendedSwitchStep(Turn& turn) {
  NoteConnections(&turn);
  NoteSuspension(&turn);
  // While I/O flows a stale peer gets nothing of what is written (F12), and may be opened next: it
  // does not wait for the connections that are still away.
  if (turn.state.phase != Phase::kGuard && !turn.status.suspended_user) {
    if (std::optional<TransactionDecision> heal = HealStale(&turn, kStaleWriting)) {
      return *heal;
    }
  }
  if (turn.state.undoing) {
    return Undo(turn);
  }
  return turn.state.phase == Phase::kGuard ? Guard(turn) : Forward(turn);
}

}  // namespace breakwater::replication
