#include "operator/core/replication/transaction/guard.h"
#include "operator/core/replication/transaction/turn.h"

namespace breakwater::replication {
namespace {

using Phase = TransactionState::Phase;

TransactionDecision GiveUp(Turn& turn, std::string code, std::string reason) {
  if (!Touched(turn.state)) {
    return turn.Refuse(std::move(code), std::move(reason));
  }
  BeginUndo(&turn, std::move(code), std::move(reason));
  return LeadStep(turn);
}

// The connection is up with the old value: at the begin, or because somebody else reconnected it
// (F19.1). The whole guard, then the cut.
TransactionDecision Cut(Turn& turn, const DrbdConnection& connection) {
  TransactionState& state = turn.state;
  if (!turn.view.show || !turn.Fresh()) {
    state.phase = state.phase == Phase::kGuard ? Phase::kGuard : Phase::kCut;  // see ScopeOf
    return turn.Wait(kRetry, "looks again");
  }
  const Obstacle obstacle = CheckLead(turn.view, state.request, connection);
  if (!obstacle.none()) {
    return GiveUp(turn, obstacle.code, obstacle.reason);
  }
  if (state.attempts >= kMaxRefusals) {
    std::string code = state.failure_code;
    std::string reason = state.failure;
    return GiveUp(turn, std::move(code), std::move(reason));
  }
  if (state.cuts >= kMaxRecuts) {
    return GiveUp(turn, "ForeignChange",
                  "somebody else reconnects " + connection.peer + " with the old value");
  }
  if (turn.BackingOff()) {
    return turn.Wait(kRetry, state.failure);
  }
  return turn.Run(DisconnectOf(turn, connection.peer), Phase::kCut, "cutting " + connection.peer);
}

}  // namespace

TransactionDecision LeadStep(Turn& turn) {
  TransactionState& state = turn.state;
  const std::string& name = state.request.peers.front();
  NoteConnections(&turn);
  const DrbdConnection* connection = FindConnection(turn.status, name);
  if (connection == nullptr) {
    return turn.Finish(Touched(state) ? TransactionOutcome::kUndone : TransactionOutcome::kRefused,
                       "NoPeer", "the connection to " + name + " is gone");
  }
  // New keys: the value is there from the beginning, the new session is not. A cut that was begun
  // counts: the process may have died in it.
  const auto peer = state.peers.find(name);
  const bool renewed =
      !state.request.rekey || state.cuts > 0 || (peer != state.peers.end() && peer->second.ours);
  const bool reached = renewed && IsReached(turn.view, *connection, state.request.tls);
  if (!reached && !state.undoing && state.cancelled) {
    return GiveUp(turn, "Cancelled", "cancelled");
  }
  if (!reached && !state.undoing && turn.now >= state.until) {
    return GiveUp(
        turn, "Timeout",
        "the connection to " + name + " did not come back in time, it is " + connection->state);
  }
  if (IsConnected(*connection)) {
    return reached || state.undoing ? Settle(&turn) : Cut(turn, *connection);
  }
  // Down: cut by us, or found so (ends that a crash left with different values). Setting and
  // connecting takes nothing away from anybody, so that other connections do not matter here.
  if (state.phase == Phase::kGuard && turn.status.suspended_user) {
    return turn.Refuse("Suspended", "I/O is suspended, by somebody else");
  }
  Alternate(&turn);
  if (std::optional<TransactionDecision> next = Drive(&turn)) {
    return *next;
  }
  return turn.Wait(kPoll, "the connection to " + name + " is " + connection->state);
}

}  // namespace breakwater::replication
