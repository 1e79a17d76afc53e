#include <algorithm>

#include "operator/core/replication/transaction/guard.h"
#include "operator/core/replication/transaction/turn.h"

namespace breakwater::replication {
namespace {

using Phase = TransactionState::Phase;

bool LacksWrites(const DrbdStatus& status, const PeerDevice& device) {
  return device.replication == "Established" && !device.peer_client &&
         (device.peer_disk == "Outdated" ||
          (device.peer_disk == "UpToDate" && IsPrimary(status) && device.out_of_sync_kib > 0));
}

// F14.2: the peer is Inconsistent while it heals, so that the own copy and quorum must carry.
Obstacle CheckHeal(const DrbdStatus& status, const DrbdConnection& connection, int volume) {
  if (status.suspended_user) {
    return {"Suspended", "I/O is suspended, by somebody else"};
  }
  if (connection.peer_role == "Primary") {
    return {"PeerIsPrimary", connection.peer + " itself is the Primary"};
  }
  const auto own = std::find_if(status.devices.begin(), status.devices.end(),
                                [&](const DrbdDevice& d) { return d.volume == volume; });
  if (own == status.devices.end()) {
    return {"NotUp", "volume " + std::to_string(volume) + " is not here"};
  }
  if (own->disk != "UpToDate") {
    return {"NoOwnData", "the own disk is " + own->disk + ": there is nothing to heal from"};
  }
  if (!own->quorum) {
    return {"NoQuorum", "there is no quorum"};
  }
  for (const DrbdConnection& other : status.connections) {
    for (const PeerDevice& device : other.devices) {
      if (other.state == "Connected" && device.replication != "Established" &&
          device.replication != "Off") {
        return {"Resync", "another resync runs, with " + other.peer};
      }
    }
  }
  return {};
}

}  // namespace

TransactionDecision HealStep(Turn& turn) {
  TransactionState& state = turn.state;
  const std::string& name = state.request.peers.front();
  NoteConnections(&turn);
  const DrbdConnection* connection = FindConnection(turn.status, name);
  const bool begun = state.result.healed > 0;
  const auto end = [&](const std::string& code, const std::string& reason) {
    return turn.Finish(begun ? TransactionOutcome::kUndone : TransactionOutcome::kRefused, code,
                       reason);
  };
  if (connection == nullptr) {
    return end("NoPeer", "the connection to " + name + " is gone");
  }
  if (!IsConnected(*connection)) {
    return end("NotConnected", "the connection to " + name + " is " + connection->state);
  }
  const auto device =
      std::find_if(connection->devices.begin(), connection->devices.end(),
                   [&](const PeerDevice& d) { return d.volume == state.request.volume; });
  if (device == connection->devices.end()) {
    return end("NotUp", "volume " + std::to_string(state.request.volume) + " is not there");
  }
  const bool lacks = LacksWrites(turn.status, *device);
  if (!lacks && device->replication == "Established" && device->peer_disk == "UpToDate") {
    return turn.Finish(TransactionOutcome::kDone, "", "");
  }
  if (state.cancelled || turn.now >= state.until) {
    return end(state.cancelled ? "Cancelled" : "Timeout",
               "the peer's disk is " + device->peer_disk + ", " + device->replication);
  }
  if (begun || turn.BackingOff() || (!lacks && state.phase == Phase::kHeal)) {
    return turn.Wait(kPoll, "resyncing " + name);
  }
  if (!lacks) {
    return end("Resync", "the peer's disk is " + device->peer_disk + ", " + device->replication);
  }
  if (const Obstacle obstacle = CheckHeal(turn.status, *connection, state.request.volume);
      !obstacle.none()) {
    return end(obstacle.code, obstacle.reason);
  }
  if (!turn.Fresh()) {
    return turn.Wait(std::chrono::milliseconds(0), "looks again");
  }
  return turn.Run({.kind = DrbdCommand::Kind::kInvalidateRemote,
                   .peer_id = connection->peer_node_id,
                   .volume = state.request.volume},
                  Phase::kHeal, "resyncing " + name);
}

}  // namespace breakwater::replication
