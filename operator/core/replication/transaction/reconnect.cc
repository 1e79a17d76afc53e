#include "operator/core/replication/transaction/turn.h"

namespace breakwater::replication {

// Also on a suspended resource: it ends nothing and cuts nothing, and a connection may be what the
// suspension waits for.
TransactionDecision ReconnectStep(Turn& turn) {
  TransactionState& state = turn.state;
  const std::string& name = state.request.peers.front();
  NoteConnections(&turn);
  const DrbdConnection* connection = FindConnection(turn.status, name);
  if (connection == nullptr) {
    return turn.Refuse("NoPeer", "the connection to " + name + " is gone");
  }
  if (IsConnected(*connection)) {
    return turn.Finish(TransactionOutcome::kDone, "", "");
  }
  if (state.cancelled || turn.now >= state.until) {
    return turn.Finish(TransactionOutcome::kUndone, state.cancelled ? "Cancelled" : "Timeout",
                       "the connection to " + name + " is " + connection->state);
  }
  if (state.request.floor_tls && ConfiguredTls(turn.view, *connection) != true) {
    return turn.Refuse("Floor", "the connection to " + name + " would come back in plaintext");
  }
  if (connection->state != "StandAlone" || turn.BackingOff()) {
    return turn.Wait(kPoll, "the connection to " + name + " is " + connection->state);
  }
  return turn.Run({.kind = DrbdCommand::Kind::kConnect, .peer_id = connection->peer_node_id},
                  TransactionState::Phase::kConnect, "connecting to " + name);
}

}  // namespace breakwater::replication
