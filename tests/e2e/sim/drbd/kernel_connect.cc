// Connections: how they come up, how they are cut, and who ends up where.
#include <algorithm>
#include <utility>

#include "tests/e2e/sim/drbd/kernel.h"

namespace breakwater::sim {
namespace {

bool CanCarryData(ConnState state) {
  return state == ConnState::kConnected;
}

std::string Transition(ConnState from, ConnState to, std::string_view why) {
  std::string text = "conn( ";
  text.append(Name(from)).append(" -> ").append(Name(to)).append(" )");
  if (!why.empty()) {
    text.append(" [").append(why).append("]");
  }
  return text;
}

}  // namespace

bool AllowsTwoPrimaries(const Connection& connection) {
  const auto it = connection.net.find("allow-two-primaries");
  return it != connection.net.end() && it->second == "yes";
}

void Kernel::SetState(const End& end, ConnState state, std::string_view why) {
  if (end.connection->state == state) {
    return;
  }
  LogConn(end, Transition(end.connection->state, state, why));
  NoteCut(end, state);
  end.connection->state = state;
  end.connection->changed = world_.events.now();
  ++end.connection->generation;
}

// Before the state changes. Without the other end nobody has cut anything: its node crashed.
void Kernel::NoteCut(const End& end, ConnState next) {
  const End peer = Opposite(end);
  if (peer.connection == nullptr) {
    return;
  }
  const std::string& name = end.resource->name;
  if (end.connection->state == ConnState::kConnected) {
    world_.cuts.Left(name, end.node->name, peer.node->name, world_.events.now());
  } else if (next == ConnState::kConnected && peer.connection->state == ConnState::kConnected) {
    world_.cuts.Joined(name, end.node->name, peer.node->name, world_.events.now());
  }
}

void Kernel::Connect(const End& end) {
  if (end.connection->state != ConnState::kStandAlone) {
    return;
  }
  SetState(end, ConnState::kUnconnected, "connect");
  LogConn(end, "Starting receiver thread (peer-node-id " + std::to_string(end.connection->peer_id) +
                   ")");
  AfterSame(end, Millis(3), [this](const End& e) { ToConnecting(e); });
}

void Kernel::ToConnecting(const End& end) {
  SetState(end, ConnState::kConnecting, "connecting");
  TryAttempt(end);
}

// Data stops flowing over this end. Everything that depends on it is told.
void Kernel::LeaveConnected(const End& end, DiskState peer_disk, std::string_view why) {
  Connection& connection = *end.connection;
  connection.encrypted = false;
  connection.out_port = 0;
  connection.in_port = 0;
  connection.sent_gib = 0;
  connection.peer_role = Role::kUnknown;
  connection.stuck = false;  // F4.9: it lasts as long as the connection
  StopResync(end);
  for (auto& [volume, device] : connection.volumes) {
    device.repl = ReplState::kOff;
    device.sent_kib = 0;
    device.received_kib = 0;
    DiskState shown = device.client ? DiskState::kUnknown : peer_disk;
    if (connection.cut.stale_victim && !device.client) {
      shown = DiskState::kOutdated;
    }
    if (device.disk != shown) {
      SetPeerDisk(end, volume, shown, why);
    }
    Device& own = end.resource->devices.at(volume);
    if (!device.client && end.resource->role == Role::kPrimary) {
      own.new_uuid_pending = true;
      own.generation_forgotten = false;
    }
  }
  if (on_cut) {
    on_cut(end.node->name, end.resource->name, connection.peer_id);
  }
  UpdateQuorum(*end.node, *end.resource);
}

void Kernel::PeerGoesConnecting(const End& end, ConnState via, std::string_view why) {
  SetState(end, via, why);
  AfterSame(end, world_.config.teardown, [this](const End& e) {
    LogConn(e, "Connection closed");
    CallHelper(e, "disconnected");
    SetState(e, ConnState::kUnconnected, "disconnected");
    AfterSame(e, Millis(20), [this](const End& again) { ToConnecting(again); });
  });
}

// A cut that would leave a resyncing peer without its source is declined by that peer (F4.4).
KernelResult Kernel::RefuseWhileResyncing(const End& end) {
  for (const End& side : {end, Opposite(end)}) {
    if (side.connection == nullptr) {
      continue;
    }
    for (const auto& [id, other] : side.resource->connections) {
      if (id == side.connection->peer_id) {
        continue;
      }
      for (const auto& [volume, device] : other.volumes) {
        if (device.repl == ReplState::kSyncSource || device.repl == ReplState::kWfBitMapS) {
          return KernelError{
              11, end.resource->name +
                      ": State change failed: (-10) State change was refused by peer node\n"
                      "additional info from kernel:\n"
                      "Declined by peer " +
                      other.peer + " (id: " + std::to_string(id) + "), see the kernel log there\n"};
        }
      }
    }
  }
  return std::nullopt;
}

// Is this Primary's I/O better off with the connection than without it? Why a graceful cut would
// be refused, or nothing.
const char* Kernel::NeedsConnection(const End& end) const {
  if (end.resource->role != Role::kPrimary) {
    return nullptr;
  }
  if (end.connection->peer_role == Role::kPrimary) {
    return "(-2) Need access to UpToDate data";  // the peer cannot become Outdated
  }
  Resource without = *end.resource;
  Connection& cut = without.connections.at(end.connection->peer_id);
  cut.state = ConnState::kStandAlone;
  for (auto& [volume, device] : cut.volumes) {
    device.disk = device.client ? DiskState::kUnknown : DiskState::kOutdated;
  }
  if (LacksData(without) && !LacksData(*end.resource)) {
    return "(-2) Need access to UpToDate data";
  }
  for (const auto& [volume, device] : end.resource->devices) {
    if (device.quorum && !CalcQuorum(without, volume)) {
      return "(-31) No quorum";
    }
  }
  return nullptr;
}

// F26.5, and the same for a cut that would take quorum away: the Primary's own kernel says why, a
// peer only hears that it declined.
KernelResult Kernel::RefuseGracefulCut(const End& end) {
  const std::string& name = end.resource->name;
  if (const char* why = NeedsConnection(end)) {
    return KernelError{17, name + ": State change failed: " + why + "\n"};
  }
  const End peer = Opposite(end);
  if (peer.connection != nullptr && NeedsConnection(peer) != nullptr) {
    return KernelError{11,
                       name +
                           ": State change failed: (-10) State change was refused by peer node\n"
                           "additional info from kernel:\nDeclined by peer " +
                           peer.node->name + " (id: " + std::to_string(peer.resource->node_id) +
                           "), see the kernel log there\n"};
  }
  return std::nullopt;
}

KernelResult Kernel::Disconnect(const End& end, bool force) {
  Connection& connection = *end.connection;
  if (connection.state == ConnState::kStandAlone || connection.state == ConnState::kDisconnecting) {
    if (force) {
      NoteForcedCut(end);
    }
    return std::nullopt;
  }
  const bool was_connected = CanCarryData(connection.state);
  if (was_connected && !force) {
    if (AskEverybody(*end.node, *end.resource).silent) {
      return TimedOut(end.resource->name);
    }
    for (const KernelResult& refused : {RefuseWhileResyncing(end), RefuseGracefulCut(end)}) {
      if (refused) {
        return refused;
      }
    }
  }
  if (force) {
    NoteForcedCut(end);
  }
  CancelAttempt(end);
  if (was_connected) {
    CheckCutInvariants(end, force);
    CutConnected(end, force);
  } else {
    SetState(end, ConnState::kDisconnecting, "disconnect");
  }
  AfterSame(end, world_.config.teardown, [this](const End& e) {
    LogConn(e, "Connection closed");
    CallHelper(e, "disconnected");
    SetState(e, ConnState::kStandAlone, "disconnected");
    LogConn(e, "Terminating receiver thread");
  });
  return std::nullopt;
}

void Kernel::CutConnected(const End& end, bool force) {
  const End peer = Opposite(end);
  DiskState own_view = DiskState::kUnknown;
  DiskState peer_view = DiskState::kUnknown;
  if (!force && peer.connection != nullptr) {
    const bool primary = end.resource->role == Role::kPrimary;
    NoteGracefulCut(primary ? end : peer);
    if (primary != (peer.resource->role == Role::kPrimary)) {
      AgreeOnOutdated(primary ? peer : end);
      // Without quorum nobody votes, and the Primary does not remember what was agreed (F26.2).
      const Resource& viewer = primary ? *end.resource : *peer.resource;
      (primary ? own_view : peer_view) =
          QuorumOff(viewer) ? DiskState::kUnknown : DiskState::kOutdated;
    }
  }
  if (end.connection->stuck) {  // F4.9: the cut on the Outdated side makes it good again
    for (auto& [volume, device] : end.resource->devices) {
      if (device.disk == DiskState::kOutdated) {
        SetDisk(*end.node, *end.resource, volume, DiskState::kUpToDate, "disconnect");
      }
    }
  }
  SetState(end, ConnState::kDisconnecting, "disconnect");
  LeaveConnected(end, own_view, "disconnect");
  if (peer.connection != nullptr && CanCarryData(peer.connection->state)) {
    PeerGoesConnecting(peer, force ? ConnState::kNetworkFailure : ConnState::kTearDown,
                       force ? "" : "remote");
    LeaveConnected(peer, peer_view, "remote");
  }
}

// Agreed in the cluster: the side that is not Primary knows that it is outdated from now on, and
// the Primary knows that too. A forced cut leaves both in doubt.
void Kernel::AgreeOnOutdated(const End& end) {
  for (auto& [volume, device] : end.resource->devices) {
    if (device.disk == DiskState::kUpToDate) {
      SetDisk(*end.node, *end.resource, volume, DiskState::kOutdated, "remote");
    }
  }
}

// Also when somebody ended it so lately that the one who cuts could not see that.
bool Kernel::SuspendedSomewhere(const std::string& resource) const {
  return std::any_of(world_.nodes.begin(), world_.nodes.end(), [&](const auto& entry) {
    const auto it = entry.second.resources.find(resource);
    return it != entry.second.resources.end() &&
           (it->second.suspended_user || world_.JustChanged(it->second.resumed));
  });
}

void Kernel::CheckCutInvariants(const End& end, bool force) {
  Resource& resource = *end.resource;
  const std::string pair = end.node->name + "-" + end.connection->peer;
  if (force && FailsWithoutQuorum(resource)) {
    world_.Violate("forced-cut-under-io-error", resource.name, end.node->name, pair);
  }
  const End primary_end = resource.role == Role::kPrimary ? end : Opposite(end);
  const bool primary =
      primary_end.connection != nullptr && primary_end.resource->role == Role::kPrimary;
  for (const auto& [volume, device] :
       primary ? primary_end.connection->volumes : std::map<int, PeerDevice>{}) {
    if (IsStale(device) && !world_.JustChanged(device.changed)) {
      world_.Violate("cut-while-stale", resource.name, end.node->name, pair);
    }
  }
  if (SuspendedSomewhere(resource.name)) {
    return;  // the suspended strategy cuts everything on purpose
  }
  for (auto& [name, node] : world_.nodes) {
    Resource* there = Find(name, resource.name);
    if (there == nullptr) {
      continue;
    }
    for (const auto& [id, other] : there->connections) {
      const bool same = (name == end.node->name && other.peer == end.connection->peer) ||
                        (name == end.connection->peer && other.peer == end.node->name);
      // Of those of other nodes the one who cuts knows only what it was told some time ago.
      const bool seen = name == end.node->name || other.peer == end.node->name;
      if (!same && name < other.peer && other.ever_connected &&
          other.state != ConnState::kConnected && !world_.JustChanged(other.changed, !seen) &&
          Find(other.peer, resource.name) != nullptr) {
        world_.Violate("two-cut-connections", resource.name, end.node->name,
                       pair + " cut while " + name + "-" + other.peer + " is down");
      }
    }
  }
  if (primary) {
    CheckLastCopy(primary_end);
  }
}

// With three replicas a cut may not take the last other good one away; with two it cannot help it.
void Kernel::CheckLastCopy(const End& primary_end) {
  for (const auto& [volume, device] : primary_end.connection->volumes) {
    int replicas = 0;
    int good = 0;
    for (const auto& [id, other] : primary_end.resource->connections) {
      const auto it = other.volumes.find(volume);
      if (it == other.volumes.end() || it->second.client) {
        continue;
      }
      ++replicas;
      const bool lately =
          world_.JustChanged(other.changed) || world_.JustChanged(it->second.changed);
      const bool fine =
          other.state == ConnState::kConnected && it->second.disk == DiskState::kUpToDate;
      good += id != primary_end.connection->peer_id && (fine || lately) ? 1 : 0;
    }
    if (replicas > 1 && good == 0 && !device.client) {
      world_.Violate("last-good-copy-cut", primary_end.resource->name, primary_end.node->name,
                     primary_end.connection->peer);
    }
  }
}

// A forced cut told to several nodes at about the same time, one of them a suspended Primary, can
// reach the cluster while the Primary still has quorum: one peer then stays marked outdated
// (F12.4).
void Kernel::NoteForcedCut(const End& end) {
  Resource* primary = end.resource->role == Role::kPrimary ? end.resource : nullptr;
  std::string primary_node = end.node->name;
  if (primary == nullptr) {
    for (const auto& [name, node] : world_.nodes) {
      Resource* there = Find(name, end.resource->name);
      if (there != nullptr && there->role == Role::kPrimary && name == end.connection->peer) {
        primary = there;
        primary_node = name;
      }
    }
  }
  if (primary == nullptr) {
    return;
  }
  const Time now = world_.events.now();
  const Time window = world_.config.parallel_window;
  const bool first_here =
      end.resource->forced_at < Time{0} || now - end.resource->forced_at > window;
  int others = 0;
  for (const auto& [name, node] : world_.nodes) {
    const Resource* there = Find(name, end.resource->name);
    if (there != nullptr && name != end.node->name && there->forced_at >= Time{0} &&
        now - there->forced_at <= window) {
      ++others;
    }
  }
  end.resource->forced_at = now;
  if (!first_here || others != 1 || !primary->suspended_user ||
      !world_.rng.Chance(world_.config.stale_after_parallel_forced)) {
    return;
  }
  std::vector<Connection*> candidates;
  for (auto& [id, connection] : primary->connections) {
    if (!connection.volumes.empty() && !connection.volumes.begin()->second.client) {
      candidates.push_back(&connection);
    }
  }
  if (candidates.empty()) {
    return;
  }
  Connection& victim = *candidates[world_.rng.Below(candidates.size())];
  victim.cut.stale_victim = true;
  if (victim.state != ConnState::kConnected) {
    for (const auto& [volume, device] : victim.volumes) {
      SetPeerDisk({&world_.nodes.at(primary_node), primary, &victim}, volume, DiskState::kOutdated,
                  "far-away");
    }
  }
}

void Kernel::NoteGracefulCut(const End& primary_end) {
  Cut& cut = primary_end.connection->cut;
  cut.graceful = true;
  cut.hot = false;
  cut.suspended = primary_end.resource->suspended_user;
  for (const auto& [volume, device] : primary_end.resource->devices) {
    cut.hot = cut.hot || (device.last_write >= Time{0} &&
                          world_.events.now() - device.last_write < world_.config.hot_window);
  }
}

// A peer that vanished never confirms the end of its sockets (F24.1).
void Kernel::LeaveOrphans(const End& end) {
  const Connection& c = *end.connection;
  const auto endpoint = [](const Address& address, int port) {
    return address.ip + ":" + std::to_string(port);
  };
  const Time until = world_.events.now() + world_.config.orphan_lifetime;
  end.node->orphans.push_back(
      {endpoint(c.local, c.local.port), endpoint(c.remote, c.in_port), c.encrypted, until});
  end.node->orphans.push_back(
      {endpoint(c.local, c.out_port), endpoint(c.remote, c.remote.port), c.encrypted, until});
}

// A handshake that runs goes on: it finds out itself whether the other one is there.
void Kernel::LoseConnection(const End& end, std::string_view why) {
  if (!CanCarryData(end.connection->state)) {
    return;
  }
  LogConn(end, why);
  LeaveOrphans(end);
  const bool primary = end.connection->peer_role == Role::kPrimary;
  const std::string name = end.resource->name;
  PeerGoesConnecting(end, ConnState::kNetworkFailure, "");
  by_fault_ = true;
  LeaveConnected(end, DiskState::kUnknown, "");
  by_fault_ = false;
  if (primary) {
    world_.events.After(Millis(5), [this, name] { PrimaryIsGone(name); });
  }
}

void Kernel::CrashNode(Node& node) {
  for (auto& [name, resource] : node.resources) {
    for (auto& [id, connection] : resource.connections) {
      CancelAttempt({&node, &resource, &connection});
      world_.events.After(
          world_.config.ping_timeout, [this, peer = connection.peer, resource_name = name,
                                       own_id = resource.node_id, crashed = node.name] {
            const End end = FindEnd(peer, resource_name, own_id);
            const End back = end.connection == nullptr ? End{} : Opposite(end);
            // A node that is back already has shaken hands anew: then nothing is left to time out.
            if (end.connection != nullptr &&
                (back.connection == nullptr || back.connection->state != ConnState::kConnected)) {
              LoseConnection(end, "PingAck did not arrive in time.");
            }
          });
    }
  }
  node.resources.clear();
  world_.cuts.Forget(node.name);
  node.tls_opened = 0;
  node.up = false;
}

void Kernel::TryAllConnections() {
  for (auto& [name, node] : world_.nodes) {
    for (auto& [resource_name, resource] : node.resources) {
      for (auto& [id, connection] : resource.connections) {
        TryAttempt({&node, &resource, &connection});
      }
    }
  }
}

void Kernel::MarkConnected(const End& end, const End& peer, bool encrypted) {
  Connection& connection = *end.connection;
  LogConn(end, "Handshake to peer " + std::to_string(connection.peer_id) +
                   " successful: Agreed network protocol version 124");
  SetState(end, ConnState::kConnected, "connected");
  connection.peer_role = peer.resource->role;
  connection.ever_connected = true;
  connection.encrypted = encrypted;
  if (encrypted) {
    end.node->tls_opened += 2;
  }
}

// A stranger that has a certificate, or needs none (F7.2), still does not know the secret.
bool Kernel::SecretsDiffer(const End& a, const End& b) {
  for (const char* key : {"cram-hmac-alg", "shared-secret"}) {
    const auto at_a = a.connection->net.find(key);
    const auto at_b = b.connection->net.find(key);
    const bool has_a = at_a != a.connection->net.end();
    const bool has_b = at_b != b.connection->net.end();
    if (has_a != has_b || (has_a && at_a->second != at_b->second)) {
      return true;
    }
  }
  return false;
}

void Kernel::Establish(const End& a, const End& b) {
  if (SecretsDiffer(a, b)) {
    constexpr int kAuthenticationFailed = -1;
    for (const End& end : {a, b}) {
      LogConn(end, "Authentication of peer failed");
      FailFatal(end, kAuthenticationFailed);
    }
    return;
  }
  if (a.resource->role == Role::kPrimary && b.resource->role == Role::kPrimary &&
      !AllowsTwoPrimaries(*a.connection)) {
    FailRetry(a, "Multiple primaries not allowed by config");
    FailRetry(b, "Multiple primaries not allowed by config");
    return;
  }
  const bool encrypted = UsesTls(a) && UsesTls(b);
  MarkConnected(a, b, encrypted);
  MarkConnected(b, a, encrypted);
  const auto ephemeral = [this] { return 32768 + static_cast<int>(world_.rng.Below(28000)); };
  a.connection->out_port = ephemeral();
  b.connection->out_port = ephemeral();
  a.connection->in_port = b.connection->out_port;
  b.connection->in_port = a.connection->out_port;
  for (auto& [volume, device] : a.connection->volumes) {
    if (b.connection->volumes.contains(volume)) {
      SyncHandshake(a, b, volume);
    }
  }
  UpdateQuorum(*a.node, *a.resource);
  UpdateQuorum(*b.node, *b.resource);
  for (const End& end : {a, b}) {
    for (auto& [volume, device] : end.resource->devices) {
      ResyncFromPeers(*end.node, *end.resource, volume);
    }
  }
}

}  // namespace breakwater::sim
