// Copying what a replica misses.
#include <algorithm>
#include <cstdio>
#include <utility>

#include "tests/e2e/sim/drbd/kernel.h"

namespace breakwater::sim {
namespace {

// Progress is made, and shown, in steps of this length.
constexpr Millis kTick{50};

// Exchange of the bitmaps before a resync starts.
constexpr Millis kBitmapExchange{10};

bool Syncing(ReplState state) {
  return state != ReplState::kOff && state != ReplState::kEstablished;
}

std::uint64_t HistoryAt(const Disk& disk, std::size_t index) {
  return index < disk.history.size() ? disk.history[index] : 0;
}

}  // namespace

void PushHistory(Disk& disk, std::uint64_t uuid) {
  constexpr std::size_t kSlots = 32;
  if (uuid == 0 ||
      std::find(disk.history.begin(), disk.history.end(), uuid) != disk.history.end()) {
    return;
  }
  disk.history.insert(disk.history.begin(), uuid);
  disk.history.resize(std::min(disk.history.size(), kSlots));
}

std::string GenerationText(const Disk& disk, const PeerSlot& slot) {
  char text[120];
  std::snprintf(text, sizeof(text), "%016llX:%016llX:%016llX:%016llX bits:%llu flags:120",
                static_cast<unsigned long long>(disk.current_uuid),
                static_cast<unsigned long long>(slot.bitmap_uuid),
                static_cast<unsigned long long>(HistoryAt(disk, 0)),
                static_cast<unsigned long long>(HistoryAt(disk, 1)),
                static_cast<unsigned long long>(slot.bitmap.blocks()));
  return text;
}

void Kernel::MarkFullSync(const End& source, const End& target, int volume) {
  Disk& from = *DiskOf(source, volume);
  const Disk& to = *DiskOf(target, volume);
  Bitmap& bitmap = from.peers[source.connection->peer_id].bitmap;
  for (const Disk* disk : {&std::as_const(from), &to}) {
    for (const auto& [block, number] : disk->blocks) {
      bitmap.bits.insert(block);
    }
  }
  const std::uint64_t all = from.size_kib / kBlockKib;
  bitmap.phantom = all > bitmap.bits.size() ? all - bitmap.bits.size() : 0;
}

// The source's bitmap is the one that counts; it takes over what the target recorded.
void Kernel::StartResync(const End& source, const End& target, int volume, bool exact) {
  PeerSlot& from = DiskOf(source, volume)->peers[source.connection->peer_id];
  PeerSlot& to = DiskOf(target, volume)->peers[target.connection->peer_id];
  from.unfinished = true;
  from.late = false;
  if (source.resource->devices.at(volume).disk == DiskState::kConsistent) {
    SetDisk(*source.node, *source.resource, volume, DiskState::kUpToDate, "connected");
  }
  from.bitmap.bits.insert(to.bitmap.bits.begin(), to.bitmap.bits.end());
  to.bitmap.Clear();
  // Which of its bits are leftovers the source cannot tell (F4.3).
  from.bitmap.bits.insert(from.hearsay.begin(), from.hearsay.end());
  from.hearsay.clear();
  PeerDevice& at_source = source.connection->volumes.at(volume);
  PeerDevice& at_target = target.connection->volumes.at(volume);
  at_source.repl = ReplState::kWfBitMapS;
  at_target.repl = ReplState::kWfBitMapT;
  at_source.state_due = false;
  at_target.state_due = false;
  source.connection->cut = {};
  target.connection->cut = {};
  Touch(source);
  Touch(target);
  SetPeerDisk(target, volume, source.resource->devices.at(volume).disk, "connected");
  SetPeerDisk(source, volume, target.resource->devices.at(volume).disk, "connected");
  const std::uint64_t id = next_resync_++;
  at_source.resync = {.id = id, .exact = exact};
  at_target.resync = at_source.resync;
  world_.events.After(kBitmapExchange, [this, s = KeyOf(source), t = KeyOf(target), volume, id] {
    const End from_end = EndOf(s);
    const End to_end = EndOf(t);
    if (from_end.connection == nullptr || to_end.connection == nullptr ||
        from_end.connection->volumes.at(volume).resync.id != id) {
      return;
    }
    if (HelperRefuses(from_end, volume, "before-resync-source")) {
      DropBeforeResync(from_end, to_end, to_end, volume);
      return;
    }
    if (HelperRefuses(to_end, volume, "before-resync-target")) {
      DropBeforeResync(to_end, from_end, to_end, volume);
      return;
    }
    const std::uint64_t total =
        DiskOf(from_end, volume)->peers[from_end.connection->peer_id].bitmap.blocks();
    const Time length =
        world_.config.resync_base +
        Time(static_cast<std::int64_t>(
            static_cast<double>(Time(world_.config.resync_spread).count()) * world_.rng.Unit())) +
        Millis(total * kBlockKib * 1000 /
               std::max<std::uint64_t>(1, world_.config.resync_kib_per_second));
    const auto ticks = static_cast<std::uint64_t>(std::max<std::int64_t>(1, length / kTick));
    for (const End& end : {from_end, to_end}) {
      Resync& resync = end.connection->volumes.at(volume).resync;
      resync.total_blocks = total;
      resync.blocks_per_tick = total / ticks + 1;
      resync.started = world_.events.now();
    }
    Touch(from_end);
    Touch(to_end);
    from_end.connection->volumes.at(volume).repl = ReplState::kSyncSource;
    to_end.connection->volumes.at(volume).repl = ReplState::kSyncTarget;
    SetDisk(*to_end.node, *to_end.resource, volume, DiskState::kInconsistent, "receive-bitmap");
    // Also when the disk was so already: only a peer seen as Inconsistent gets the new writes.
    SetPeerDisk(from_end, volume, DiskState::kInconsistent, "receive-bitmap");
    LogDisk(from_end, volume,
            "Began resync as SyncSource (will sync " + std::to_string(total * kBlockKib) + " KB [" +
                std::to_string(total) + " bits set]).");
    world_.events.After(kTick, [this, s, t, volume, id] { ResyncTick(s, t, volume, id); });
  });
}

void Kernel::CallHelper(const End& end, const std::string& name) {
  const bool off = end.node->usermode_helper.find("drbdadm") == std::string::npos;
  if (on_helper) {
    const bool fails = config_broken && config_broken(*end.node);
    on_helper(end, name, off ? "4294967294" : (fails ? "10" : "0"));  // -2: there is none
  }
}

// F33: the helper is drbdadm, which reads all files of the node and fails by any of them.
bool Kernel::HelperRefuses(const End& end, int volume, const std::string& handler) {
  CallHelper(end, handler);
  if (end.node->usermode_helper.find("drbdadm") == std::string::npos || !config_broken ||
      !config_broken(*end.node)) {
    return false;
  }
  LogDisk(end, volume,
          "helper command: " + end.node->usermode_helper + " " + handler + " exit code 10");
  LogDisk(end, volume, handler + " handler returned 10, dropping connection.");
  return true;
}

void Kernel::DropBeforeResync(const End& refusing,
                              const End& other,
                              const End& target,
                              int volume) {
  SetDisk(*target.node, *target.resource, volume, DiskState::kInconsistent, "receive-bitmap");
  const auto view = [&](const End& end) {
    return end.node == target.node ? DiskState::kUnknown : DiskState::kInconsistent;
  };
  SetState(refusing, ConnState::kDisconnecting, "disconnect");
  LeaveConnected(refusing, view(refusing), "disconnect");
  AfterSame(refusing, world_.config.teardown, [this](const End& e) {
    LogConn(e, "Connection closed");
    SetState(e, ConnState::kStandAlone, "disconnected");
  });
  PeerGoesConnecting(other, ConnState::kTearDown, "remote");
  LeaveConnected(other, view(other), "remote");
}

void Kernel::ResyncTick(const Key& source, const Key& target, int volume, std::uint64_t id) {
  const End from = EndOf(source);
  const End to = EndOf(target);
  if (from.connection == nullptr || to.connection == nullptr ||
      from.connection->volumes.at(volume).resync.id != id ||
      to.connection->volumes.at(volume).resync.id != id) {
    return;
  }
  CopyBlocks(from, to, volume, from.connection->volumes.at(volume).resync.blocks_per_tick);
  const Bitmap& left = DiskOf(from, volume)->peers[from.connection->peer_id].bitmap;
  const Time passed = world_.events.now() - from.connection->volumes.at(volume).resync.started;
  if (left.empty() && passed >= world_.config.resync_base) {
    FinishResync(from, to, volume);
    return;
  }
  world_.events.After(
      kTick, [this, source, target, volume, id] { ResyncTick(source, target, volume, id); });
}

// What a target receives by resync, its other peers may be missing: without these bits it would be
// a bad source later on. For peers in good state they are the leftovers of F4.3.
void Kernel::MarkCopied(const End& target, int volume, std::uint64_t block) {
  Disk& disk = *DiskOf(target, volume);
  for (const auto& [id, connection] : target.resource->connections) {
    const auto it = connection.volumes.find(volume);
    if (id == target.connection->peer_id || it == connection.volumes.end() || it->second.client) {
      continue;
    }
    PeerSlot& slot = disk.peers[id];
    const bool fine = connection.state == ConnState::kConnected && slot.bitmap_uuid == 0 &&
                      it->second.disk == DiskState::kUpToDate;
    (fine ? slot.hearsay : slot.bitmap.bits).insert(block);
  }
}

void Kernel::CopyBlocks(const End& source, const End& target, int volume, std::uint64_t count) {
  Disk& from = *DiskOf(source, volume);
  Disk& to = *DiskOf(target, volume);
  Bitmap& left = from.peers[source.connection->peer_id].bitmap;
  // A Secondary does not overwrite what the target got from the Primary meanwhile.
  const bool exact = source.connection->volumes.at(volume).resync.exact &&
                     (source.resource->role == Role::kPrimary || !HearsPrimary(target));
  const auto& in_doubt = world_.GetVolume(source.resource->name, volume).in_doubt;
  std::uint64_t copied = 0;
  while (copied < count && !left.bits.empty()) {
    const std::uint64_t block = *left.bits.begin();
    left.bits.erase(left.bits.begin());
    const std::uint64_t number = from.blocks.Get(block);
    // A write that nobody was told the end of is undone like any other that the source has not.
    const bool undone = !HearsPrimary(target) && in_doubt.contains(block);
    if (exact || undone || to.blocks.Get(block) < number) {
      to.blocks.Put(block, number);
    }
    MarkCopied(target, volume, block);
    ++copied;
  }
  const std::uint64_t rest = std::min(left.phantom, count - copied);
  left.phantom -= rest;
  const std::uint64_t kib = (copied + rest) * kBlockKib;
  world_.GetVolume(source.resource->name, volume).resync_kib += kib;
  source.connection->volumes.at(volume).sent_kib += kib;
  source.resource->devices.at(volume).read_kib += kib;
  target.connection->volumes.at(volume).received_kib += kib;
  target.resource->devices.at(volume).written_kib += kib;
  target.resource->devices.at(volume).bm_writes += 1;
}

void Kernel::FinishResync(const End& source, const End& target, int volume) {
  Disk& from = *DiskOf(source, volume);
  Disk& to = *DiskOf(target, volume);
  from.peers[source.connection->peer_id].unfinished = false;
  // A target that does not hear the source's Primary is already behind again: it must not take the
  // generation that the Primary goes on writing in.
  const bool stable = MayFollow(target, source);
  if (stable) {
    from.peers[source.connection->peer_id].bitmap_uuid = 0;
    to.peers[target.connection->peer_id] = {};
  }
  if (stable && to.current_uuid != from.current_uuid) {
    // It inherits what its source has been through.
    for (auto it = from.history.rbegin(); it != from.history.rend(); ++it) {
      PushHistory(to, *it);
    }
    for (const auto& [id, slot] : from.peers) {
      PushHistory(to, slot.bitmap_uuid);
    }
    PushHistory(to, to.current_uuid);
    to.current_uuid = from.current_uuid;
  }
  LogDisk(source, volume,
          "updated UUIDs " + GenerationText(from, from.peers[target.resource->node_id]));
  for (const End& end : {source, target}) {
    PeerDevice& device = end.connection->volumes.at(volume);
    device.repl = ReplState::kEstablished;
    device.resync = {};
  }
  LogDisk(source, volume, "Resync done");
  Touch(target);
  const bool another = std::any_of(target.resource->connections.begin(),
                                   target.resource->connections.end(), [volume](const auto& entry) {
                                     const auto it = entry.second.volumes.find(volume);
                                     return it != entry.second.volumes.end() &&
                                            (it->second.repl == ReplState::kSyncTarget ||
                                             it->second.repl == ReplState::kWfBitMapT);
                                   });
  if (!another) {
    const DiskState state =
        stable ? source.resource->devices.at(volume).disk : DiskState::kOutdated;
    SetDisk(*target.node, *target.resource, volume, state, "resync-finished");
  }
  CompareNow(target, volume);
}

void Kernel::StopResync(const End& end) {
  const End peer = Opposite(end);
  for (auto& [volume, device] : end.connection->volumes) {
    if (device.resync.id == 0 && !Syncing(device.repl)) {
      continue;
    }
    device.resync = {};
    if (peer.connection != nullptr && peer.connection->volumes.contains(volume)) {
      peer.connection->volumes.at(volume).resync = {};
    }
  }
}

// With a diskless Primary the two replicas have to notice by themselves that one is behind.
void Kernel::ResyncFromPeers(Node& node, Resource& resource, int volume) {
  const auto behind = [&] {
    for (const auto& [id, connection] : resource.connections) {
      const auto it = connection.volumes.find(volume);
      if (it != connection.volumes.end() &&
          (it->second.repl == ReplState::kWfBitMapT || it->second.repl == ReplState::kSyncTarget)) {
        return false;
      }
    }
    const DiskState disk = resource.devices.at(volume).disk;
    return disk == DiskState::kOutdated || disk == DiskState::kInconsistent ||
           disk == DiskState::kConsistent;
  };
  for (auto& [id, connection] : resource.connections) {
    const auto it = connection.volumes.find(volume);
    if (!behind() || connection.state != ConnState::kConnected || it == connection.volumes.end() ||
        it->second.repl != ReplState::kEstablished) {
      continue;
    }
    const End self{&node, &resource, &connection};
    const End peer = Opposite(self);
    if (peer.connection == nullptr || !MayFollow(self, peer) ||
        peer.resource->devices.at(volume).disk != DiskState::kUpToDate) {
      continue;
    }
    SyncHandshake(peer, self, volume);
  }
}

// Who was the neighbour of a Primary is a good source only now (see MayFollow).
void Kernel::PrimaryIsGone(const std::string& name) {
  for (auto& [node_name, node] : world_.nodes) {
    Resource* resource = Find(node_name, name);
    if (resource == nullptr) {
      continue;
    }
    for (const auto& [volume, device] : resource->devices) {
      ResyncFromPeers(node, *resource, volume);
      ReconcileLate(node, *resource, volume);
    }
  }
}

// The last writes of a Primary that is gone may have reached only some of its Secondaries, which
// have recorded that: they are passed on.
void Kernel::ReconcileLate(Node& node, Resource& resource, int volume) {
  for (auto& [id, connection] : resource.connections) {
    const End self{&node, &resource, &connection};
    const End peer = Opposite(self);
    Disk* own = DiskOf(self, volume);
    Disk* theirs = peer.connection == nullptr ? nullptr : DiskOf(peer, volume);
    const auto it = connection.volumes.find(volume);
    if (own == nullptr || theirs == nullptr || it == connection.volumes.end() ||
        connection.state != ConnState::kConnected || it->second.repl != ReplState::kEstablished ||
        own->current_uuid != theirs->current_uuid || resource.role == Role::kPrimary ||
        peer.resource->role == Role::kPrimary || HearsPrimary(self) || HearsPrimary(peer) ||
        resource.devices.at(volume).disk != DiskState::kUpToDate) {
      continue;
    }
    if (own->peers[id].late && !own->peers[id].bitmap.empty()) {
      Reconcile(self, peer, volume);
    }
  }
}

KernelResult Kernel::InvalidateRemote(const End& end, int volume, bool reset_bitmap) {
  const End peer = Opposite(end);
  if (!reset_bitmap && end.connection->state != ConnState::kConnected) {
    return KernelError{10, end.resource->name +
                               ": Failure: (175) A higher DRBD protocol level is required for this "
                               "operation\n\nadditional info from kernel:\n"
                               "Need protocol level 120 to initiate bitmap based resync\n"};
  }
  if (IsDisklessPeer(end.connection->volumes.at(volume))) {
    return std::nullopt;  // F32: accepted, and there is nothing to do
  }
  if (end.connection->state != ConnState::kConnected || peer.connection == nullptr ||
      end.connection->volumes.at(volume).repl != ReplState::kEstablished ||
      DiskOf(end, volume) == nullptr || DiskOf(peer, volume) == nullptr) {
    return KernelError{11, end.resource->name +
                               ": State change failed: (-15) Need a connection to start verify or "
                               "resync\n"};
  }
  if (reset_bitmap) {
    MarkFullSync(end, peer, volume);
  }
  StartResync(end, peer, volume, true);
  return std::nullopt;
}

KernelResult Kernel::Invalidate(Node& node, Resource& resource, int volume, bool reset_bitmap) {
  End best;
  for (auto& [id, connection] : resource.connections) {
    const End self{&node, &resource, &connection};
    const End peer = Opposite(self);
    if (connection.state != ConnState::kConnected || peer.connection == nullptr ||
        !connection.volumes.contains(volume) ||
        peer.resource->devices.at(volume).disk != DiskState::kUpToDate) {
      continue;
    }
    if (best.connection == nullptr || connection.peer_role == Role::kPrimary) {
      best = peer;
    }
  }
  if (best.connection == nullptr) {
    return KernelError{
        11, resource.name + ": State change failed: (-2) Need access to UpToDate data\n"};
  }
  return InvalidateRemote(best, volume, reset_bitmap);
}

bool Kernel::InjectStale(const End& primary_end) {
  if (primary_end.connection->state != ConnState::kConnected) {
    primary_end.connection->cut.stale_victim = true;
    return false;
  }
  for (auto& [volume, device] : primary_end.connection->volumes) {
    if (device.repl == ReplState::kEstablished) {
      device.disk = DiskState::kOutdated;
      device.changed = world_.events.now();
      Touch(primary_end);
      primary_end.resource->devices.at(volume).new_uuid_pending = true;
    }
  }
  return true;
}

}  // namespace breakwater::sim
