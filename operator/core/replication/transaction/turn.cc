#include "operator/core/replication/transaction/turn.h"

#include <algorithm>
#include <utility>

#include "operator/core/replication/transaction/guard.h"
#include "operator/core/replication/volume/evidence.h"

namespace breakwater::replication {
namespace {

using Phase = TransactionState::Phase;

std::chrono::milliseconds Since(SteadyTime then, SteadyTime now) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(now - then);
}

// F30, from the random number of this turn.
std::chrono::milliseconds AlternationPeriod(std::uint32_t random) {
  return std::chrono::milliseconds(2000 + random % 4001);
}

bool BackingOff(const TransactionState::Peer& peer, SteadyTime now) {
  return peer.not_before && *peer.not_before > now;
}

bool IsStale(const DrbdConnection& connection) {
  return IsConnected(connection) &&
         std::any_of(connection.devices.begin(), connection.devices.end(), [](const PeerDevice& d) {
           return d.replication == "Established" && d.peer_disk == "Outdated" && !d.peer_client;
         });
}

}  // namespace

TransactionDecision Turn::Wait(std::chrono::milliseconds time, std::string why) const {
  SteadyTime until = now + time;
  if (state.not_before && *state.not_before > now) {
    until = std::min(until, *state.not_before);
  }
  for (const auto& [name, peer] : state.peers) {
    if (peer.not_before && *peer.not_before > now) {
      until = std::min(until, *peer.not_before);
    }
  }
  if (state.until > now) {
    until = std::min(until, state.until);
  }
  return {WaitUntil{until}, state, std::move(why)};
}

TransactionDecision Turn::Run(DrbdCommand command, Phase phase, std::string why) {
  state.phase = phase;
  command.resource = state.request.resource;
  return {std::move(command), state, std::move(why)};
}

TransactionDecision Turn::Finish(TransactionOutcome outcome, std::string code, std::string reason) {
  state.phase = Phase::kFinished;
  state.result.outcome = outcome;
  state.result.code = std::move(code);
  state.result.reason = std::move(reason);
  return {TransactionFinished{state.result}, state, state.result.reason};
}

TransactionDecision Turn::Refuse(std::string code, std::string reason) {
  return Finish(TransactionOutcome::kRefused, std::move(code), std::move(reason));
}

bool SetsTls(TransactionKind kind) {
  return kind == TransactionKind::kFollow || kind == TransactionKind::kLead ||
         kind == TransactionKind::kSuspendedSwitch;
}

const DrbdConnection* FindConnection(const DrbdStatus& status, const std::string& peer) {
  const auto it = std::find_if(status.connections.begin(), status.connections.end(),
                               [&](const DrbdConnection& c) { return c.peer == peer; });
  return it == status.connections.end() ? nullptr : &*it;
}

std::optional<bool> ConfiguredTls(const LocalView& view, const DrbdConnection& connection) {
  if (connection.tls || !view.show) {
    return connection.tls;
  }
  const auto it = std::find_if(view.show->connections.begin(), view.show->connections.end(),
                               [&](const ShownConnection& c) { return c.peer == connection.peer; });
  return it == view.show->connections.end() ? std::nullopt : it->tls;
}

bool IsReached(const LocalView& view, const DrbdConnection& connection, bool tls) {
  return IsConnected(connection) && ConfiguredTls(view, connection) == tls;
}

bool AllConnected(const Turn& turn, bool wanted) {
  return std::all_of(turn.state.peers.begin(), turn.state.peers.end(), [&](const auto& entry) {
    const DrbdConnection* connection = FindConnection(turn.status, entry.first);
    return connection == nullptr ||  // taken away by somebody: nothing to wait for
           (IsConnected(*connection) &&
            (!wanted || IsReached(turn.view, *connection, turn.state.request.tls)));
  });
}

bool Touched(const TransactionState& state) {
  return state.cuts > 0 || std::any_of(state.peers.begin(), state.peers.end(),
                                       [](const auto& entry) { return entry.second.ours; });
}

std::string LearnPeers(Turn* turn) {
  for (const std::string& name : turn->state.request.peers) {
    if (turn->state.peers.contains(name)) {
      continue;
    }
    const DrbdConnection* connection = FindConnection(turn->status, name);
    if (connection == nullptr || connection->peer_node_id < 0) {
      return "NoPeer";
    }
    const std::optional<bool> tls = ConfiguredTls(turn->view, *connection);
    if (!tls && SetsTls(turn->state.request.kind)) {
      return "OldTools";
    }
    turn->state.peers[name] = {.peer_id = connection->peer_node_id,
                               .before = tls.value_or(false),
                               .target = turn->state.request.tls};
  }
  return {};
}

void NoteConnections(Turn* turn) {
  TransactionState& state = turn->state;
  for (auto& [name, peer] : state.peers) {
    const DrbdConnection* connection = FindConnection(turn->status, name);
    if (connection == nullptr) {
      continue;
    }
    if (!IsConnected(*connection)) {
      peer.cut = peer.cut.value_or(turn->view.at);
      // Killed in the disconnect: it was run.
      peer.ours = peer.ours || state.phase == Phase::kCut;
      peer.stale.reset();
      state.settle_until.reset();
      continue;
    }
    if (peer.cut && state.phase != Phase::kGuard && SetsTls(state.request.kind)) {
      state.result.cut = std::max(state.result.cut, Since(*peer.cut, turn->view.at));
    }
    peer.cut.reset();
    peer.last_set.reset();
    peer.tries = 0;
    peer.not_before.reset();
    if (!IsStale(*connection)) {
      peer.stale.reset();
    } else if (!peer.stale) {
      peer.stale = turn->view.at;
    }
  }
}

namespace {

bool Floored(const TransactionState& state, bool tls) {
  return tls || state.request.floor_tls;
}

}  // namespace

void BeginUndo(Turn* turn, std::string code, std::string reason) {
  TransactionState& state = turn->state;
  // What a dead process has let slip says nothing about connections and their TLS.
  if (state.restarted &&
      (code == "Timeout" || code == "SuspendFailed" || code == "SuspensionLost")) {
    code = "Interrupted";
    reason = "the agent was restarted in the middle; " + reason;
  }
  state.undoing = true;
  state.failure_code = std::move(code);
  state.failure = std::move(reason);
  state.attempts = 0;
  state.not_before.reset();
  state.next_alternation = turn->now + kBeforeAlternation;
  for (auto& [name, peer] : state.peers) {
    peer.target = Floored(state, peer.before);
    peer.tries = 0;
    peer.not_before.reset();
  }
}

void Alternate(Turn* turn) {
  TransactionState& state = turn->state;
  if (!state.undoing || !state.next_alternation || turn->now < *state.next_alternation) {
    return;
  }
  for (auto& [name, peer] : state.peers) {
    const DrbdConnection* connection = FindConnection(turn->status, name);
    if (connection != nullptr && !IsConnected(*connection)) {
      peer.target = Floored(state, !peer.target);
      peer.tries = 0;
      peer.not_before.reset();
    }
  }
  state.phase = Phase::kAlternate;
  state.next_alternation = turn->now + AlternationPeriod(turn->random);
}

std::optional<TransactionDecision> Drive(Turn* turn) {
  TransactionState& state = turn->state;
  const bool alternating = state.phase == Phase::kAlternate;
  for (auto& [name, peer] : state.peers) {
    const DrbdConnection* connection = FindConnection(turn->status, name);
    if (connection == nullptr || IsConnected(*connection) || BackingOff(peer, turn->now)) {
      continue;
    }
    const std::optional<bool> tls = ConfiguredTls(turn->view, *connection);
    if ((tls ? *tls : peer.last_set.value_or(!peer.target)) != peer.target) {
      peer.ours = true;
      return turn->Run(
          {.kind = DrbdCommand::Kind::kNetOptions, .peer_id = peer.peer_id, .tls = peer.target},
          alternating ? Phase::kAlternate : Phase::kSet,
          "the connection to " + name + " is " + connection->state + ": tls " +
              (peer.target ? "yes" : "no"));
    }
  }
  for (const auto& [name, peer] : state.peers) {
    const DrbdConnection* connection = FindConnection(turn->status, name);
    if (connection != nullptr && connection->state == "StandAlone" &&
        !BackingOff(peer, turn->now)) {
      return turn->Run({.kind = DrbdCommand::Kind::kConnect, .peer_id = peer.peer_id},
                       alternating ? Phase::kAlternate : Phase::kConnect, "connecting to " + name);
    }
  }
  return std::nullopt;
}

DrbdCommand DisconnectOf(const Turn& turn, const std::string& peer) {
  return {.kind = DrbdCommand::Kind::kDisconnect, .peer_id = turn.state.peers.at(peer).peer_id};
}

std::optional<TransactionDecision> HealStale(Turn* turn, std::chrono::milliseconds after) {
  TransactionState& state = turn->state;
  const auto limit = static_cast<int>(kMaxRecuts * state.peers.size());
  if (!IsPrimary(turn->status) || !HasOwnData(turn->status) || !HasQuorum(turn->status) ||
      !turn->Fresh() || turn->BackingOff() || state.result.healed >= limit) {
    return std::nullopt;
  }
  for (auto& [name, peer] : state.peers) {
    const DrbdConnection* connection = FindConnection(turn->status, name);
    if (connection == nullptr || !peer.stale || turn->now - *peer.stale < after) {
      continue;
    }
    for (const PeerDevice& device : connection->devices) {
      if (device.replication == "Established" && device.peer_disk == "Outdated" &&
          !device.peer_client) {
        // Another volume of the connection is the next turn's.
        return turn->Run({.kind = DrbdCommand::Kind::kInvalidateRemote,
                          .peer_id = peer.peer_id,
                          .volume = device.volume},
                         Phase::kHeal, "the disk of " + name + " stays Outdated: resyncing it");
      }
    }
  }
  return std::nullopt;
}

namespace {

// Of the connections of the request, and of this node; others are not our doing.
Obstacle EndGate(const Turn& turn) {
  if (Obstacle obstacle = CheckOwnDisks(turn.status); !obstacle.none()) {
    return obstacle;
  }
  for (const auto& [name, peer] : turn.state.peers) {
    if (const DrbdConnection* connection = FindConnection(turn.status, name)) {
      if (Obstacle obstacle = CheckConnection(turn.status, *connection); !obstacle.none()) {
        return obstacle;
      }
    }
  }
  return {};
}

Obstacle Unproven(const Turn& turn) {
  for (const auto& [name, peer] : turn.state.peers) {
    const DrbdConnection* connection = FindConnection(turn.status, name);
    if (connection != nullptr &&
        ProofOf(*connection, turn.view.sockets, std::nullopt) != SocketProof::kEncrypted) {
      return {"NoProof",
              "the sockets of the connection to " + name + " do not prove that it is encrypted"};
    }
  }
  return {};
}

}  // namespace

TransactionDecision Settle(Turn* turn) {
  TransactionState& state = turn->state;
  state.settle_until = state.settle_until.value_or(turn->now + kSettle);
  if (std::optional<TransactionDecision> heal = HealStale(turn, kStaleWriting)) {
    return *heal;
  }
  const bool done = AllConnected(*turn, true);
  Obstacle obstacle = EndGate(*turn);
  const std::chrono::milliseconds patience = state.cancelled ? kSettleCancelled : kSettle;
  if (!obstacle.none() && turn->now < *state.settle_until - kSettle + patience) {
    return turn->Wait(kPoll, obstacle.reason);
  }
  if (obstacle.none() && done && state.request.tls) {
    if (!state.proving) {
      state.proving = true;
      return turn->Wait(std::chrono::milliseconds(0), "looking at the sockets");
    }
    obstacle = Unproven(*turn);
    if (!obstacle.none() && turn->now < *state.settle_until - kSettle + kProofWait) {
      return turn->Wait(kPoll, obstacle.reason);
    }
  }
  if (done) {
    return turn->Finish(TransactionOutcome::kDone, obstacle.code, obstacle.reason);
  }
  const std::string also = obstacle.none() ? "" : "; " + obstacle.reason;
  return turn->Finish(TransactionOutcome::kUndone, state.failure_code, state.failure + also);
}

}  // namespace breakwater::replication
