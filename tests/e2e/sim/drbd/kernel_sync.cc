// Comparing two replicas when they meet.
#include <algorithm>

#include "tests/e2e/sim/drbd/kernel.h"

namespace breakwater::sim {
namespace {

bool InHistory(const Disk& disk, std::uint64_t uuid) {
  return std::find(disk.history.begin(), disk.history.end(), uuid) != disk.history.end();
}

}  // namespace

void Kernel::SyncHandshake(const End& a, const End& b, int volume) {
  PeerDevice& at_a = a.connection->volumes.at(volume);
  PeerDevice& at_b = b.connection->volumes.at(volume);
  at_a.repl = ReplState::kEstablished;
  at_b.repl = ReplState::kEstablished;
  Disk* disk_a = DiskOf(a, volume);
  Disk* disk_b = DiskOf(b, volume);
  if (a.resource->devices.at(volume).disk == DiskState::kDiskless ||
      b.resource->devices.at(volume).disk == DiskState::kDiskless) {
    MeetDiskless(a, b, volume);
    MeetDiskless(b, a, volume);
    ShowPeerDisks(a, b, volume);
    return;
  }
  if (IsTarget(*a.resource, volume) || IsTarget(*b.resource, volume)) {
    const bool first = IsTarget(*a.resource, volume);
    CompareLater(first ? a : b, first ? b : a, volume);
    return;
  }
  const PeerSlot& slot_a = disk_a->peers[a.connection->peer_id];
  const PeerSlot& slot_b = disk_b->peers[b.connection->peer_id];
  LogDisk(a, volume, "drbd_sync_handshake:");
  LogDisk(a, volume, "self " + GenerationText(*disk_a, slot_a));
  LogDisk(a, volume, "peer " + GenerationText(*disk_b, slot_b));
  const std::uint64_t current_a = disk_a->current_uuid;
  const std::uint64_t current_b = disk_b->current_uuid;
  if (current_a == current_b) {
    LogDisk(a, volume, "uuid_compare()=no-sync by rule=reconnected");
    LogDisk(b, volume, "uuid_compare()=no-sync by rule=reconnected");
    NoSync(a, b, volume);
  } else if (slot_a.bitmap_uuid == current_b) {
    LogDisk(a, volume, "uuid_compare()=source-use-bitmap by rule=bitmap-self");
    StartResync(a, b, volume, true);
  } else if (slot_b.bitmap_uuid == current_a) {
    LogDisk(a, volume, "uuid_compare()=target-use-bitmap by rule=bitmap-peer");
    StartResync(b, a, volume, true);
  } else if (InHistory(*disk_a, current_b) || disk_b->recorded == DiskState::kInconsistent) {
    LogDisk(a, volume, "uuid_compare()=source-set-bitmap by rule=history-self");
    MarkFullSync(a, b, volume);
    StartResync(a, b, volume, true);
  } else if (InHistory(*disk_b, current_a) || disk_a->recorded == DiskState::kInconsistent) {
    LogDisk(a, volume, "uuid_compare()=target-set-bitmap by rule=history-peer");
    MarkFullSync(b, a, volume);
    StartResync(b, a, volume, true);
  } else {
    SplitBrain(a, b);
  }
}

// `b` has no disk. A copy that was restarted is good when the Primary works with its generation, or
// when there is no other copy that could be better.
void Kernel::MeetDiskless(const End& a, const End& b, int volume) {
  const Disk* disk = DiskOf(a, volume);
  if (disk == nullptr || a.resource->devices.at(volume).disk != DiskState::kConsistent ||
      b.resource->devices.at(volume).disk != DiskState::kDiskless) {
    return;
  }
  const bool same = b.resource->role == Role::kPrimary &&
                    b.resource->devices.at(volume).exposed_uuid == disk->current_uuid;
  const bool only = b.resource->role != Role::kPrimary &&
                    std::none_of(a.resource->connections.begin(), a.resource->connections.end(),
                                 [volume](const auto& entry) {
                                   const auto it = entry.second.volumes.find(volume);
                                   return it != entry.second.volumes.end() && !it->second.client;
                                 });
  if (same || only) {
    SetDisk(*a.node, *a.resource, volume, DiskState::kUpToDate, "connected");
  }
}

// Was as good as its metadata says, and nobody whom it meets is better.
void Kernel::TrustRestarted(const End& a, const End& b, int volume) {
  const DiskState state_a = a.resource->devices.at(volume).disk;
  const DiskState state_b = b.resource->devices.at(volume).disk;
  const auto lift = [volume, this](const End& end, DiskState own, DiskState other) {
    if (own == DiskState::kConsistent &&
        (other == DiskState::kInconsistent || other == DiskState::kOutdated)) {
      SetDisk(*end.node, *end.resource, volume, DiskState::kUpToDate, "connected");
    }
  };
  lift(a, state_a, state_b);
  lift(b, state_b, state_a);
}

// A target of a resync is on its way to another generation; what it is then is compared then. When
// it is Primary, the other one is behind already.
void Kernel::CompareLater(const End& target, const End& other, int volume) {
  const Disk& disk = *DiskOf(other, volume);
  const DiskState state = other.resource->devices.at(volume).disk;
  if (target.resource->role == Role::kPrimary &&
      target.resource->devices.at(volume).exposed_uuid != disk.current_uuid &&
      (state == DiskState::kUpToDate || state == DiskState::kConsistent)) {
    SetDisk(*other.node, *other.resource, volume, DiskState::kOutdated, "peer-uuids");
  }
  ShowPeerDisks(target, other, volume);
}

void Kernel::CompareNow(const End& target, int volume) {
  for (auto& [id, connection] : target.resource->connections) {
    const End self{target.node, target.resource, &connection};
    const End peer = Opposite(self);
    const auto it = connection.volumes.find(volume);
    if (id == target.connection->peer_id || connection.state != ConnState::kConnected ||
        peer.connection == nullptr || it == connection.volumes.end() ||
        it->second.repl != ReplState::kEstablished || IsTarget(*target.resource, volume) ||
        IsTarget(*peer.resource, volume)) {
      continue;
    }
    const Disk* own = DiskOf(self, volume);
    const Disk* theirs = DiskOf(peer, volume);
    if (own != nullptr && theirs != nullptr && own->current_uuid != theirs->current_uuid) {
      SyncHandshake(self, peer, volume);
    }
  }
}

void Kernel::SplitBrain(const End& a, const End& b) {
  for (const End& end : {a, b}) {
    LogConn(end, "Split-Brain detected but unresolved, dropping connection!");
    SetState(end, ConnState::kDisconnecting, "");
    LeaveConnected(end, DiskState::kUnknown, "");
    AfterSame(end, world_.config.teardown,
              [this](const End& e) { SetState(e, ConnState::kStandAlone, "disconnected"); });
  }
}

// Equal generations: nothing is transferred, and what the bitmaps recorded is forgotten, also when
// it was the only trace of a real difference (F2.8, F3.2, F12.3).
void Kernel::NoSync(const End& a, const End& b, int volume) {
  TrustRestarted(a, b, volume);
  if (ResumeUnfinished(a, b, volume) || ResumeUnfinished(b, a, volume)) {
    return;
  }
  const bool secondaries = a.resource->role != Role::kPrimary && b.resource->role != Role::kPrimary;
  const PeerSlot& slot_a = DiskOf(a, volume)->peers[a.connection->peer_id];
  const PeerSlot& slot_b = DiskOf(b, volume)->peers[b.connection->peer_id];
  const bool bits = !slot_a.bitmap.empty() || !slot_b.bitmap.empty();
  const bool injected = a.connection->will_stick || b.connection->will_stick;
  if (secondaries && (bits || injected)) {
    Reconcile(a, b, volume);
    return;
  }
  Settle(a, b, volume);
}

// A resync between equal generations (F14's heal) that was interrupted goes on with what is left;
// anybody else who meets such a target has to copy everything.
bool Kernel::ResumeUnfinished(const End& source, const End& target, int volume) {
  if (target.resource->devices.at(volume).disk != DiskState::kInconsistent ||
      source.resource->devices.at(volume).disk != DiskState::kUpToDate) {
    return false;
  }
  if (!DiskOf(source, volume)->peers[source.connection->peer_id].unfinished) {
    MarkFullSync(source, target, volume);
  }
  StartResync(source, target, volume, true);
  return true;
}

void Kernel::Settle(const End& a, const End& b, int volume) {
  for (const End& end : {a, b}) {
    Disk& disk = *DiskOf(end, volume);
    PeerSlot& slot = disk.peers[end.connection->peer_id];
    slot.bitmap.Clear();
    slot.hearsay.clear();
    slot.late = false;
    slot.bitmap_uuid = 0;
    LogDisk(end, volume, "cleared bm UUID and bitmap " + GenerationText(disk, slot));
  }
  const DiskState state_a = a.resource->devices.at(volume).disk;
  const DiskState state_b = b.resource->devices.at(volume).disk;
  const bool both_restarted =
      state_a == DiskState::kConsistent && state_b == DiskState::kConsistent;
  const bool lift_a = both_restarted || (state_b == DiskState::kUpToDate && MayFollow(a, b));
  const bool lift_b = both_restarted || (state_a == DiskState::kUpToDate && MayFollow(b, a));
  // Each side learns about the other's disk below, and not by the change itself.
  const bool stale_a = LosesPeerStateRace(a, volume);
  const bool stale_b = LosesPeerStateRace(b, volume);
  a.connection->volumes.at(volume).state_due = true;
  b.connection->volumes.at(volume).state_due = true;
  if (lift_a) {
    SetDisk(*a.node, *a.resource, volume, DiskState::kUpToDate, "connected");
  }
  if (lift_b) {
    SetDisk(*b.node, *b.resource, volume, DiskState::kUpToDate, "connected");
  }
  ShowPeerDisk(a, b, volume, stale_a);
  ShowPeerDisk(b, a, volume, stale_b);
}

// Equal generations make a replica good again, unless its source listens to a Primary that the
// replica itself does not hear.
bool Kernel::MayFollow(const End& target, const End& source) const {
  for (const auto& [id, connection] : source.resource->connections) {
    if (connection.state != ConnState::kConnected || connection.peer_role != Role::kPrimary ||
        connection.peer == target.node->name) {
      continue;
    }
    const auto own = target.resource->connections.find(id);
    if (own == target.resource->connections.end() || own->second.state != ConnState::kConnected) {
      return false;
    }
  }
  return true;
}

bool Kernel::LosesPeerStateRace(const End& viewer, int volume) {
  const Cut cut = viewer.connection->cut;
  viewer.connection->cut = {};
  if (viewer.resource->role != Role::kPrimary) {
    return false;
  }
  if (cut.stale_victim) {
    return true;
  }
  if (!cut.graceful || viewer.connection->volumes.at(volume).disk != DiskState::kOutdated) {
    return false;
  }
  if (cut.suspended) {
    return world_.rng.Chance(world_.config.stale_after_suspended_cut);
  }
  return cut.hot && world_.rng.Chance(world_.config.stale_after_graceful);
}

void Kernel::ShowPeerDisks(const End& a, const End& b, int volume) {
  a.connection->cut = {};
  b.connection->cut = {};
  ShowPeerDisk(a, b, volume, false);
  ShowPeerDisk(b, a, volume, false);
}

void Kernel::ShowPeerDisk(const End& viewer, const End& peer, int volume, bool stale) {
  PeerDevice& seen = viewer.connection->volumes.at(volume);
  seen.state_due = false;
  if (stale) {
    seen.disk = DiskState::kOutdated;
    seen.changed = world_.events.now();
    Touch(viewer);
    viewer.resource->devices.at(volume).new_uuid_pending = true;
    return;
  }
  if (viewer.resource->role != Role::kPrimary || seen.disk != DiskState::kOutdated) {
    SetPeerDisk(viewer, volume, peer.resource->devices.at(volume).disk, "connected");
    return;
  }
  seen.state_due = true;
  AfterSame(viewer, world_.config.peer_state, [this, volume](const End& end) {
    const End other = Opposite(end);
    if (end.connection->volumes.at(volume).state_due && other.connection != nullptr) {
      SetPeerDisk(end, volume, other.resource->devices.at(volume).disk, "peer-state");
      UpdateQuorum(*end.node, *end.resource);
    }
  });
}

bool Kernel::HearsPrimary(const End& end) {
  return std::any_of(end.resource->connections.begin(), end.resource->connections.end(),
                     [](const auto& entry) {
                       return entry.second.state == ConnState::kConnected &&
                              entry.second.peer_role == Role::kPrimary;
                     });
}

// Two Secondaries of one generation that hold bits against each other (F4.3, F4.9). While both hear
// the Primary their data is equal and the bits are leftovers; otherwise the bits are all that tells
// the late one what it missed (F3.2).
void Kernel::Reconcile(const End& a, const End& b, int volume) {
  const auto bits = [&](const End& end) {
    return DiskOf(end, volume)->peers[end.connection->peer_id].bitmap.blocks();
  };
  const bool a_knows_more = bits(a) >= bits(b);
  const End& source = a_knows_more ? a : b;
  const End& target = a_knows_more ? b : a;
  const bool injected = a.connection->will_stick || b.connection->will_stick;
  if (injected || world_.rng.Chance(world_.config.stuck_wfbitmap)) {
    a.connection->will_stick = false;
    b.connection->will_stick = false;
    GetStuck(source, target, volume);
    return;
  }
  if (HearsPrimary(target)) {
    Settle(a, b, volume);
    return;
  }
  LogDisk(target, volume,
          "strategy = target-use-bitmap to reconcile equal-UUID peers holding out-of-sync bits");
  StartResync(source, target, volume, false);
}

// Only this pair sees it: the Primary goes on to show both as UpToDate.
void Kernel::GetStuck(const End& source, const End& target, int volume) {
  PeerDevice& at_target = target.connection->volumes.at(volume);
  at_target.repl = ReplState::kWfBitMapT;
  at_target.disk = DiskState::kUpToDate;
  target.connection->stuck = true;
  target.resource->devices.at(volume).disk = DiskState::kOutdated;
  source.connection->volumes.at(volume).disk = DiskState::kOutdated;
  LogDisk(target, volume, "pdsk( DUnknown -> UpToDate ) repl( Off -> WFBitMapT ) [remote]");
}

}  // namespace breakwater::sim
