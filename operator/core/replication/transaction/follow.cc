#include "operator/core/replication/transaction/turn.h"

namespace breakwater::replication {

// Never cuts and never alternates: two ends that both do may stay in step for minutes (F30).
TransactionDecision FollowStep(Turn& turn) {
  TransactionState& state = turn.state;
  const std::string& name = state.request.peers.front();
  NoteConnections(&turn);
  const DrbdConnection* connection = FindConnection(turn.status, name);
  if (connection == nullptr) {
    return turn.Finish(TransactionOutcome::kUndone, "NoPeer",
                       "the connection to " + name + " is gone");
  }
  if (IsReached(turn.view, *connection, state.request.tls)) {
    return turn.Finish(TransactionOutcome::kDone, "", "");
  }
  if (!state.undoing && (state.cancelled || turn.now >= state.until)) {
    const std::string code = state.cancelled ? "Cancelled" : "Timeout";
    const std::string reason =
        state.cancelled ? "cancelled" : "the connection to " + name + " was not switched in time";
    if (!Touched(state)) {
      return turn.Finish(TransactionOutcome::kUndone, code, reason + "; nothing was touched");
    }
    BeginUndo(&turn, code, reason);
  }
  if (IsConnected(*connection)) {
    if (state.undoing) {
      return turn.Finish(TransactionOutcome::kUndone, state.failure_code, state.failure);
    }
    return turn.Wait(kIdlePoll, "waits for the connection to " + name + " to be cut");
  }
  if (std::optional<TransactionDecision> next = Drive(&turn)) {
    return *next;
  }
  if (state.cancelled && connection->state != "StandAlone" &&
      ConfiguredTls(turn.view, *connection) == state.peers.at(name).target) {
    return turn.Finish(TransactionOutcome::kUndone, state.failure_code, state.failure);
  }
  return turn.Wait(state.undoing ? kIdlePoll : kPoll,
                   "the connection to " + name + " is " + connection->state);
}

}  // namespace breakwater::replication
