// Roles, suspension, and what a write does to peers, bitmaps and data generations.
#include <algorithm>
#include <cstdio>
#include <set>

#include "tests/e2e/sim/drbd/kernel.h"

namespace breakwater::sim {
namespace {

std::string Hex(std::uint64_t value) {
  char text[17];
  std::snprintf(text, sizeof(text), "%016llX", static_cast<unsigned long long>(value));
  return text;
}

// Does a write go to this peer, or is it only recorded for it? A connected peer that the Primary
// believes to be Outdated gets nothing: that is the heart of F12.
bool Receives(const Connection& connection, const PeerDevice& device) {
  return connection.state == ConnState::kConnected && device.repl != ReplState::kOff &&
         device.repl != ReplState::kWfBitMapS &&
         (device.disk == DiskState::kUpToDate || device.disk == DiskState::kInconsistent);
}

void PushGeneration(Disk& disk, std::uint64_t uuid) {
  PushHistory(disk, disk.current_uuid);
  disk.current_uuid = uuid;
}

}  // namespace

bool FailsWithoutQuorum(const Resource& resource) {
  const auto policy = resource.options.find("on-no-quorum");
  return policy != resource.options.end() && policy->second == "io-error";
}

bool IsStale(const PeerDevice& device) {
  return device.repl == ReplState::kEstablished && device.disk == DiskState::kOutdated &&
         !device.state_due;
}

bool Kernel::Frozen(const Resource& resource) const {
  return resource.suspended_user || SuspendedQuorum(resource) || SuspendedNoData(resource);
}

// A change of the cluster is agreed on by everybody who can be reached, over others too: a node
// that is cut off from the Primary alone is told by a third one. One that does not answer, but is
// not given up yet, stops it.
Kernel::Answer Kernel::AskEverybody(const Node& node, const Resource& resource) {
  Answer result;
  std::set<std::string>& reached = result.reached;
  reached = {node.name};
  std::vector<std::pair<std::string, const Resource*>> left = {{node.name, &resource}};
  while (!left.empty()) {
    const auto [name, here] = left.back();
    left.pop_back();
    for (const auto& [id, connection] : here->connections) {
      if (connection.state != ConnState::kConnected || reached.contains(connection.peer)) {
        continue;
      }
      const Resource* there = Find(connection.peer, resource.name);
      if (there == nullptr || !world_.LinkUp(name, connection.peer)) {
        result.silent = true;
        continue;
      }
      reached.insert(connection.peer);
      result.primary =
          result.primary || (there->role == Role::kPrimary && !AllowsTwoPrimaries(connection));
      left.emplace_back(connection.peer, there);
    }
  }
  return result;
}

KernelError Kernel::TimedOut(const std::string& resource) {
  return {11, resource + ": State change failed: (-23) Timeout in operation\n"};
}

KernelResult Kernel::Promote(Node& node, Resource& resource, bool force) {
  if (resource.role == Role::kPrimary) {
    return std::nullopt;
  }
  const Answer others = AskEverybody(node, resource);
  if (others.silent) {
    return TimedOut(resource.name);
  }
  if (others.primary) {
    return KernelError{
        11,
        resource.name + ": State change failed: (-1) Multiple primaries not allowed by config\n"};
  }
  for (auto& [volume, device] : resource.devices) {
    if (force && !device.client() && device.disk != DiskState::kUpToDate) {
      SetDisk(node, resource, volume, DiskState::kUpToDate, "primary");
    }
    if (LacksData(resource) || !device.quorum) {
      const char* why = device.quorum ? "(-2) Need access to UpToDate data\n" : "(-31) No quorum\n";
      return KernelError{17, resource.name + ": State change failed: " + why};
    }
  }
  resource.role = Role::kPrimary;
  resource.no_data_resumed = false;
  world_.Touch(node.name, resource.name);
  world_.Log(node, "drbd " + resource.name + ": role( Secondary -> Primary ) [auto-promote]");
  for (auto& [volume, device] : resource.devices) {
    device.new_uuid_pending = true;  // spent at the first write that somebody misses
    device.exposed_uuid = BestGeneration(resource, volume);
    OutdateFarAway(node, resource, volume);
  }
  for (auto& [id, connection] : resource.connections) {
    const End peer = Opposite({&node, &resource, &connection});
    if (connection.state == ConnState::kConnected && peer.connection != nullptr) {
      peer.connection->peer_role = Role::kPrimary;
      Touch(peer);
    }
  }
  return std::nullopt;
}

KernelResult Kernel::Demote(Node& node, Resource& resource) {
  if (resource.role != Role::kPrimary) {
    return std::nullopt;
  }
  if (resource.openers > 0) {
    return KernelError{
        11, resource.name + ": State change failed: (-12) Device is held open by someone\n"};
  }
  NoteFreeze(resource);
  resource.role = Role::kSecondary;
  resource.explicit_primary = false;
  world_.Touch(node.name, resource.name);
  world_.Log(node, "drbd " + resource.name + ": role( Primary -> Secondary ) [auto-demote]");
  for (auto& [id, connection] : resource.connections) {
    const End peer = Opposite({&node, &resource, &connection});
    if (connection.state == ConnState::kConnected && peer.connection != nullptr) {
      peer.connection->peer_role = Role::kSecondary;
      Touch(peer);
    }
  }
  PrimaryIsGone(resource.name);
  return std::nullopt;
}

// Of the good copies that a Primary can reach.
std::uint64_t Kernel::BestGeneration(Resource& resource, int volume) {
  for (auto& [id, connection] : resource.connections) {
    const Resource* there = Find(connection.peer, resource.name);
    if (connection.state == ConnState::kConnected && there != nullptr &&
        there->devices.contains(volume) && there->devices.at(volume).disk == DiskState::kUpToDate) {
      return world_.FindDisk(world_.nodes.at(connection.peer), resource.name, volume)->current_uuid;
    }
  }
  return 0;
}

void Kernel::SuspendIo(Node& node, Resource& resource) {
  resource.suspend_pending = false;
  if (resource.suspended_user) {
    return;
  }
  resource.suspended_user = true;
  resource.suspended_since = world_.events.now();
  resource.suspension_reported = false;
  world_.Touch(node.name, resource.name);
  world_.Log(node, "drbd " + resource.name + ": susp-io( no -> user ) [suspend-io]");
  if (resource.role == Role::kPrimary && FailsWithoutQuorum(resource)) {
    world_.Violate("suspend-under-io-error", resource.name, node.name, "");
  }
  if (on_io_change) {
    on_io_change(node.name, resource.name);
  }
}

void Kernel::ResumeIo(Node& node, Resource& resource, bool watchdog) {
  resource.suspend_pending = false;
  const bool no_data = SuspendedNoData(resource);
  if (no_data) {
    // F28: the kernel forgets its own suspension, too, and I/O fails until there is data again.
    resource.no_data_resumed = true;
    world_.Violate("resume-without-data", resource.name, node.name, "");
  }
  if (!resource.suspended_user) {
    if (no_data && on_io_change) {
      world_.Touch(node.name, resource.name);
      on_io_change(node.name, resource.name);
    }
    return;
  }
  NoteFreeze(resource);
  resource.suspended_user = false;
  resource.resumed = world_.events.now();
  world_.Touch(node.name, resource.name);
  const Time length = world_.events.now() - resource.suspended_since;
  if (length > world_.config.suspend_limit && resource.role == Role::kPrimary) {
    world_.Violate("suspended-too-long", resource.name, node.name,
                   std::to_string(length.count() / 1000) + " ms");
  }
  for (auto& [volume, device] : resource.devices) {
    if (resource.role != Role::kPrimary) {
      continue;
    }
    CheckResume(node, resource, volume, watchdog);
    if (device.new_uuid_pending && device.quorum && SomebodyMissing(resource, volume) &&
        !LacksData(resource)) {
      NewGeneration(node, resource, volume);
    }
  }
  world_.Log(node, "drbd " + resource.name + ": susp-io( user -> no ) [resume-io]");
  if (on_io_change) {
    on_io_change(node.name, resource.name);
  }
}

void Kernel::NoteFreeze(const Resource& resource) {
  if (resource.suspended_user && resource.role == Role::kPrimary) {
    Time& longest = world_.longest_freeze[resource.name];
    longest = std::max(longest, world_.events.now() - resource.suspended_since);
  }
}

// A resume is safe when this Primary has quorum: after graceful cuts it goes on alone in a new
// generation, and the others follow by their bitmaps (F26.4). Not so with a stale peer, which would
// be left behind for good (F27.2), nor under io-error (F3.2). Without quorum I/O only stays frozen:
// that a watchdog, which cannot look, may risk. It may also meet a stale peer (DESIGN I3): what
// that one lacks is recorded, and the next worker heals it before anything reconnects.
void Kernel::CheckResume(const Node& node, const Resource& resource, int volume, bool watchdog) {
  for (const auto& [id, connection] : resource.connections) {
    if (const auto it = connection.volumes.find(volume); it != connection.volumes.end() &&
                                                         IsStale(it->second) && !watchdog &&
                                                         !world_.JustChanged(it->second.changed)) {
      world_.Violate("resume-before-gate", resource.name, node.name, connection.peer + " is stale");
    }
  }
  if (SomebodyMissing(resource, volume) && FailsWithoutQuorum(resource)) {
    world_.Violate("resume-before-gate", resource.name, node.name, "io-error, a peer is missing");
  } else if (!resource.devices.at(volume).quorum && !watchdog) {
    world_.Violate("resume-before-gate", resource.name, node.name, "no quorum");
  }
}

bool Kernel::SomebodyMissing(const Resource& resource, int volume) const {
  return std::any_of(
      resource.connections.begin(), resource.connections.end(), [&](const auto& entry) {
        const auto it = entry.second.volumes.find(volume);
        return it != entry.second.volumes.end() && !it->second.client &&
               (entry.second.state != ConnState::kConnected ||
                (it->second.disk != DiskState::kUpToDate &&
                 it->second.disk != DiskState::kInconsistent && !it->second.state_due));
      });
}

bool Kernel::IsTarget(const Resource& resource, int volume) {
  return std::any_of(
      resource.connections.begin(), resource.connections.end(), [volume](const auto& entry) {
        const auto it = entry.second.volumes.find(volume);
        return it != entry.second.volumes.end() && (it->second.repl == ReplState::kWfBitMapT ||
                                                    it->second.repl == ReplState::kSyncTarget);
      });
}

void Kernel::NewGeneration(Node& node, Resource& resource, int volume) {
  Device& device = resource.devices.at(volume);
  device.new_uuid_pending = false;
  const std::uint64_t uuid = world_.rng.Next() & ~std::uint64_t{1};
  std::uint64_t old = 0;
  // Only a disk that is up to date takes it: one that is behind still has to be told from it.
  Disk* const own =
      device.disk == DiskState::kUpToDate ? world_.FindDisk(node, resource.name, volume) : nullptr;
  if (own != nullptr) {
    old = own->current_uuid;
    PushGeneration(*own, uuid);
  }
  world_.Log(node, "drbd " + resource.name + "/" + std::to_string(volume) + " drbd" +
                       std::to_string(device.minor) + ": new current UUID: " + Hex(uuid | 1U) +
                       " weak: FFFFFFFFFFFFFFFA");
  std::vector<Disk*> followers;
  std::vector<int> away;
  for (auto& [id, connection] : resource.connections) {
    const auto it = connection.volumes.find(volume);
    if (it == connection.volumes.end() || it->second.client) {
      continue;
    }
    const End end{&node, &resource, &connection};
    const End peer = Opposite(end);
    // A stale peer follows too: equal generations make the next reconnect skip the resync.
    if (connection.state != ConnState::kConnected || peer.connection == nullptr) {
      away.push_back(id);
    } else if (peer.resource->devices.at(volume).disk == DiskState::kUpToDate &&
               !IsTarget(*peer.resource, volume)) {
      if (Disk* theirs = DiskOf(peer, volume)) {
        old = theirs->current_uuid;
        PushGeneration(*theirs, uuid);
        followers.push_back(theirs);
      }
    }
  }
  if (own != nullptr) {
    followers.push_back(own);
  }
  for (Disk* disk : followers) {
    for (const int id : away) {
      std::uint64_t& remembered = disk->peers[id].bitmap_uuid;
      remembered = remembered == 0 ? old : remembered;
    }
  }
  device.exposed_uuid = uuid;
  OutdateFarAway(node, resource, volume);
}

// A node that the Primary reaches over others only, diskless ones too, will miss what is written:
// it agrees to be behind, and cannot be opened next. DRBD's own tests demand it from 9.1 on, of a
// Primary that loses a replica and of a node that is promoted when it has lost it.
void Kernel::OutdateFarAway(const Node& node, const Resource& resource, int volume) {
  std::set<std::string> far = AskEverybody(node, resource).reached;
  far.erase(node.name);
  for (const auto& [id, connection] : resource.connections) {
    if (connection.state == ConnState::kConnected) {
      far.erase(connection.peer);
    }
  }
  for (const std::string& name : far) {
    Resource* behind = Find(name, resource.name);
    if (behind == nullptr || !behind->devices.contains(volume)) {
      continue;
    }
    const DiskState disk = behind->devices.at(volume).disk;
    if (disk == DiskState::kUpToDate || disk == DiskState::kConsistent) {
      SetDisk(world_.nodes.at(name), *behind, volume, DiskState::kOutdated, "far-away");
    }
  }
}

void Kernel::ApplyLocally(
    Node& node, Resource& resource, int volume, std::uint64_t block, std::uint64_t number) {
  Device& device = resource.devices.at(volume);
  device.written_kib += kBlockKib;
  device.al_writes += device.written_kib % 4096 == 0 ? 1U : 0U;
  if (device.disk != DiskState::kDiskless) {
    Disk* disk = world_.FindDisk(node, resource.name, volume);
    disk->blocks.Put(block, number);
  }
}

Kernel::Receivers Kernel::BeginWrite(
    Node& node, Resource& resource, int volume, std::uint64_t block, std::uint64_t number) {
  Device& device = resource.devices.at(volume);
  for (auto& [id, connection] : resource.connections) {
    const auto it = connection.volumes.find(volume);
    const End end{&node, &resource, &connection};
    if (it != connection.volumes.end() && it->second.state_due) {
      const End peer = Opposite(end);
      if (peer.connection != nullptr) {
        SetPeerDisk(end, volume, peer.resource->devices.at(volume).disk, "peer-state");
      }
    }
  }
  if (device.new_uuid_pending) {
    if (SomebodyMissing(resource, volume)) {
      NewGeneration(node, resource, volume);
    }
    device.new_uuid_pending = false;
  }
  device.last_write = world_.events.now();
  ApplyLocally(node, resource, volume, block, number);
  Receivers result;
  for (auto& [id, connection] : resource.connections) {
    const auto it = connection.volumes.find(volume);
    if (it == connection.volumes.end() || it->second.client) {
      continue;
    }
    if (Receives(connection, it->second)) {
      result.get.push_back(id);
    } else {
      result.missing.push_back(id);
      MarkMissing({&node, &resource, &connection}, volume, block);
    }
  }
  return result;
}

void Kernel::MarkMissing(const End& end, int volume, std::uint64_t block) {
  if (Disk* own = DiskOf(end, volume); own != nullptr) {
    own->peers[end.connection->peer_id].bitmap.bits.insert(block);
  }
}

void Kernel::MarkMissingAt(const End& end, int holder, int volume, std::uint64_t block, bool lost) {
  const int missing = end.connection->peer_id;
  const End there = Opposite(FindEnd(end.node->name, end.resource->name, holder));
  Disk* disk = DiskOf(there, volume);
  if (disk == nullptr) {
    return;
  }
  // One that resyncs the other takes this along, as what nobody else will send.
  const auto link = there.resource->connections.find(missing);
  const bool source = link != there.resource->connections.end() &&
                      link->second.volumes.contains(volume) &&
                      (link->second.volumes.at(volume).repl == ReplState::kWfBitMapS ||
                       link->second.volumes.at(volume).repl == ReplState::kSyncSource);
  const bool connected = end.connection->state == ConnState::kConnected;
  PeerSlot& slot = disk->peers[missing];
  slot.late = slot.late || lost;
  (connected && !source && !lost ? slot.hearsay : slot.bitmap.bits).insert(block);
}

bool Kernel::Deliver(const End& end, int volume, std::uint64_t block, std::uint64_t number) {
  PeerDevice& device = end.connection->volumes.at(volume);
  const End peer = Opposite(end);
  if (end.connection->state != ConnState::kConnected || peer.connection == nullptr ||
      peer.connection->state != ConnState::kConnected ||
      !world_.LinkUp(end.node->name, peer.node->name)) {
    return false;
  }
  device.sent_kib += kBlockKib;
  peer.connection->volumes.at(volume).received_kib += kBlockKib;
  ApplyLocally(*peer.node, *peer.resource, volume, block, number);
  return true;
}

}  // namespace breakwater::sim
