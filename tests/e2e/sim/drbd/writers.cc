#include "tests/e2e/sim/drbd/writers.h"

#include <algorithm>

namespace breakwater::sim {

Writers::Writers(World& world, Kernel& kernel) : world_(world), kernel_(kernel) {
  kernel_.on_io_change = [this](const std::string& node, const std::string& resource) {
    OnIoChange(node, resource);
  };
  kernel_.on_cut = [this](const std::string& node, const std::string& resource, int peer_id) {
    OnCut(node, resource, peer_id);
  };
  kernel_.in_flight = [this](const std::string& resource, int volume, std::uint64_t block) {
    return InFlight(resource).contains({volume, block});
  };
}

KernelResult Writers::Start(const std::string& resource, const std::string& node, Millis interval) {
  Resource* found = kernel_.Find(node, resource);
  if (found == nullptr || found->devices.empty()) {
    return KernelError{10, resource + ": Failure: (158) Unknown resource\n"};
  }
  Writer& writer = writers_[{resource, node}];
  writer.interval = interval;
  if (writer.running) {
    return std::nullopt;
  }
  if (KernelResult error = kernel_.Promote(world_.nodes.at(node), *found, false)) {
    return error;
  }
  ++found->openers;
  world_.Touch(node, resource);
  writer.running = true;
  ++writer.session;
  Issue({resource, node}, writer.session);
  return std::nullopt;
}

void Writers::Stop(const std::string& resource, const std::string& node) {
  const auto it = writers_.find({resource, node});
  if (it == writers_.end() || !it->second.running) {
    return;
  }
  // What is under way reaches the peers before the device is closed.
  if (it->second.pending && it->second.pending->submitted) {
    const std::uint64_t round = it->second.pending->round;
    Arrive({resource, node}, round);
    LoseSilentPeers({resource, node});
    Complete({resource, node}, round);
  }
  Doubt(resource, it->second);
  it->second.running = false;
  it->second.pending.reset();
  Resource* found = kernel_.Find(node, resource);
  if (found != nullptr && found->openers > 0) {
    --found->openers;
    world_.Touch(node, resource);
    if (found->openers == 0 && !found->explicit_primary) {
      (void)kernel_.Demote(world_.nodes.at(node), *found);
    }
  }
}

// A close waits for the last write, and that one for peers that do not answer until they are given
// up. Here that takes no time.
void Writers::LoseSilentPeers(const Key& key) {
  const std::set<int> silent = writers_.at(key).pending->waiting;
  for (const int id : silent) {
    const End end = kernel_.FindEnd(key.second, key.first, id);
    if (end.connection == nullptr) {
      continue;
    }
    const End peer = kernel_.Opposite(end);
    kernel_.LoseConnection(end, "PingAck did not arrive in time.");
    if (peer.connection != nullptr) {
      kernel_.LoseConnection(peer, "PingAck did not arrive in time.");
    }
  }
}

void Writers::NodeCrashed(const std::string& node) {
  for (auto& [key, writer] : writers_) {
    if (key.second != node || !writer.running) {
      continue;
    }
    // Who has it records who has not, and passes it on once the Primary is gone.
    if (writer.pending && writer.pending->submitted) {
      std::set<int> without = writer.pending->waiting;
      without.insert(writer.pending->missing.begin(), writer.pending->missing.end());
      for (const int id : without) {
        const End end = kernel_.FindEnd(node, key.first, id);
        for (const int holder : writer.pending->holders) {
          if (end.connection != nullptr && holder != id) {
            kernel_.MarkMissingAt(end, holder, writer.pending->volume, writer.pending->block, true);
          }
        }
      }
    }
    // DRBD's activity log makes a crashed Primary resync what it may have been writing.
    if (writer.pending && writer.pending->submitted) {
      Disk* disk = world_.FindDisk(world_.nodes.at(node), key.first, writer.pending->volume);
      if (disk != nullptr) {
        for (auto& [id, slot] : disk->peers) {
          slot.bitmap.bits.insert(writer.pending->block);
        }
      }
    }
    Doubt(key.first, writer);
    writer.running = false;
    writer.pending.reset();
  }
}

// Nobody will ever say how this write ended; replicas may or may not have it.
void Writers::Doubt(const std::string& resource, const Writer& writer) {
  if (writer.pending && writer.pending->round != 0) {
    world_.GetVolume(resource, writer.pending->volume).in_doubt.insert(writer.pending->block);
  }
}

bool Writers::Running(const std::string& resource, const std::string& node) const {
  const auto it = writers_.find({resource, node});
  return it != writers_.end() && it->second.running;
}

WriterStats Writers::StatsOf(const std::string& resource, const std::string& node) const {
  const auto it = writers_.find({resource, node});
  if (it == writers_.end()) {
    return {};
  }
  WriterStats stats = it->second.stats;
  if (it->second.pending) {
    const Stall now{it->second.pending->issued, world_.events.now()};
    stats.longest_stall = std::max(stats.longest_stall, now.length());
    if (now.length() >= world_.config.stall_threshold) {
      stats.stalls.push_back(now);
    }
  }
  return stats;
}

WriterStats Writers::Stats(const std::string& resource) const {
  WriterStats total;
  for (auto it = writers_.lower_bound({resource, ""});
       it != writers_.end() && it->first.first == resource; ++it) {
    const WriterStats one = StatsOf(resource, it->first.second);
    total.writes += one.writes;
    total.errors += one.errors;
    total.longest_stall = std::max(total.longest_stall, one.longest_stall);
    total.last_error = std::max(total.last_error, one.last_error);
    total.stalls.insert(total.stalls.end(), one.stalls.begin(), one.stalls.end());
  }
  return total;
}

void Writers::ResetStats() {
  for (auto& [key, writer] : writers_) {
    writer.stats = {};
  }
}

std::set<std::pair<int, std::uint64_t>> Writers::InFlight(const std::string& resource) const {
  std::set<std::pair<int, std::uint64_t>> result;
  for (const auto& [key, writer] : writers_) {
    if (key.first == resource && writer.pending) {
      result.emplace(writer.pending->volume, writer.pending->block);
    }
  }
  return result;
}

void Writers::Issue(const Key& key, std::uint64_t session) {
  Writer& writer = writers_.at(key);
  Resource* resource = kernel_.Find(key.second, key.first);
  if (!writer.running || writer.session != session || resource == nullptr) {
    return;
  }
  auto device = resource->devices.begin();
  std::advance(device, world_.rng.Below(resource->devices.size()));
  Volume& volume = world_.GetVolume(key.first, device->first);
  Pending pending;
  pending.volume = device->first;
  pending.block = world_.rng.Below(volume.size_kib / kBlockKib);
  pending.number = ++volume.next_write;
  pending.issued = world_.events.now();
  writer.pending = pending;
  Submit(key);
}

void Writers::Submit(const Key& key) {
  Writer& writer = writers_.at(key);
  Resource* resource = kernel_.Find(key.second, key.first);
  if (resource == nullptr || !writer.pending) {
    return;
  }
  if (kernel_.IoErrors(*resource)) {
    Finish(key, false);  // also while suspended by the user (F3.1)
    return;
  }
  if (kernel_.Frozen(*resource)) {
    return;  // OnIoChange comes back to it
  }
  Pending& pending = *writer.pending;
  const bool own_disk = resource->devices.at(pending.volume).disk != DiskState::kDiskless;
  if (pending.unprotected && own_disk && LoseInFlight(key, *resource)) {
    return;
  }
  Node& node = world_.nodes.at(key.second);
  if (Disk* disk = world_.FindDisk(node, key.first, pending.volume);
      disk != nullptr && disk->blocks.Get(pending.block) != pending.number) {
    pending.previous = disk->blocks.Get(pending.block);
  }
  const Kernel::Receivers receivers =
      kernel_.BeginWrite(node, *resource, pending.volume, pending.block, pending.number);
  pending.submitted = true;
  pending.round = next_round_++;
  pending.waiting = {receivers.get.begin(), receivers.get.end()};
  pending.missing = {receivers.missing.begin(), receivers.missing.end()};
  pending.holders.clear();
  const Time latency = world_.config.write_latency;
  const std::uint64_t round = pending.round;
  world_.events.After(latency / 2, [this, key, round] { Arrive(key, round); });
  world_.events.After(latency, [this, key, round] { Complete(key, round); });
}

// F2.8: a forced cut of everything under load can lose track of the very write that was under way:
// it stays recorded as out-of-sync on a connection that looks healthy.
bool Writers::LoseInFlight(const Key& key, Resource& resource) {
  Pending& pending = *writers_.at(key).pending;
  pending.unprotected = false;
  if (!world_.rng.Chance(world_.config.lost_in_flight)) {
    return false;
  }
  Node& node = world_.nodes.at(key.second);
  for (auto& [id, connection] : resource.connections) {
    if (connection.volumes.contains(pending.volume) &&
        !connection.volumes.at(pending.volume).client) {
      kernel_.MarkMissing({&node, &resource, &connection}, pending.volume, pending.block);
    }
  }
  Finish(key, true);
  return true;
}

void Writers::Arrive(const Key& key, std::uint64_t round) {
  Writer& writer = writers_.at(key);
  if (!writer.pending || writer.pending->round != round) {
    return;
  }
  Pending& pending = *writer.pending;
  std::set<int> lost;
  for (const int id : pending.waiting) {
    const End end = kernel_.FindEnd(key.second, key.first, id);
    // A crashed peer confirms nothing; the write waits until the connection is given up.
    if (end.connection == nullptr ||
        !kernel_.Deliver(end, pending.volume, pending.block, pending.number)) {
      lost.insert(id);
    } else {
      pending.holders.insert(id);
      TellHolder(key, id);
    }
  }
  pending.waiting = std::move(lost);
}

// DRBD's peer ack: who has a write learns who has not, and records it.
void Writers::TellHolder(const Key& key, int holder) {
  const Pending& pending = *writers_.at(key).pending;
  for (const int id : pending.missing) {
    if (const End end = kernel_.FindEnd(key.second, key.first, id); end.connection != nullptr) {
      kernel_.MarkMissingAt(end, holder, pending.volume, pending.block);
    }
  }
}

void Writers::Complete(const Key& key, std::uint64_t round) {
  Writer& writer = writers_.at(key);
  Resource* resource = kernel_.Find(key.second, key.first);
  if (!writer.pending || writer.pending->round != round || resource == nullptr) {
    return;
  }
  Pending& pending = *writer.pending;
  if (!pending.waiting.empty()) {
    return;  // OnCut ends the wait
  }
  if (kernel_.IoErrors(*resource)) {
    Finish(key, false);
  } else if (kernel_.SuspendedQuorum(*resource) || kernel_.SuspendedNoData(*resource)) {
    pending.submitted = false;  // sent again when quorum is back
    pending.unprotected = !resource->suspended_user;
    pending.round = 0;
  } else if (pending.holders.empty() &&
             resource->devices.at(pending.volume).disk == DiskState::kDiskless) {
    // The only peer that it was sent to is lost, and another one has the data by now. Nobody has
    // it, so that it is no success; not measured, taken as if on-no-data held it back.
    pending.submitted = false;
    pending.round = 0;
    Submit(key);
  } else {
    Device& device = resource->devices.at(pending.volume);
    if (pending.peer_lost && device.new_uuid_pending) {
      kernel_.NewGeneration(world_.nodes.at(key.second), *resource, pending.volume);
    }
    Finish(key, true);
  }
}

void Writers::Finish(const Key& key, bool ok) {
  Writer& writer = writers_.at(key);
  Pending& pending = *writer.pending;
  const Stall took{pending.issued, world_.events.now()};
  writer.stats.longest_stall = std::max(writer.stats.longest_stall, took.length());
  if (took.length() >= world_.config.stall_threshold) {
    writer.stats.stalls.push_back(took);
  }
  Volume& volume = world_.GetVolume(key.first, pending.volume);
  if (ok) {
    ++writer.stats.writes;
    volume.acknowledged.Put(pending.block, pending.number);
    volume.in_doubt.erase(pending.block);
  } else {
    ++writer.stats.errors;
    writer.stats.last_error = world_.events.now();
    volume.in_doubt.insert(pending.block);
    Revert(key);
  }
  const Time next = pending.issued + writer.interval;
  const Time delay = std::max<Time>(next - world_.events.now(), ok ? Time{0} : Millis(5));
  writer.pending.reset();
  world_.events.After(delay, [this, key, session = writer.session] { Issue(key, session); });
}

// A failed write may or may not be on disk; the simulator decides for "not", everywhere, so that
// only acknowledged writes can count as diverged.
void Writers::Revert(const Key& key) {
  const Pending& pending = *writers_.at(key).pending;
  for (auto& [name, node] : world_.nodes) {
    Disk* disk = world_.FindDisk(node, key.first, pending.volume);
    if (disk == nullptr) {
      continue;
    }
    if (disk->blocks.Get(pending.block) == pending.number) {
      disk->blocks.Put(pending.block, pending.previous);
    }
  }
}

void Writers::OnIoChange(const std::string& node, const std::string& resource) {
  const Key key{resource, node};
  const auto it = writers_.find(key);
  if (it == writers_.end() || !it->second.pending || it->second.pending->submitted) {
    return;
  }
  // Not at once: the state change that allows it may still be under way.
  world_.events.After(Time{0}, [this, key, session = it->second.session] {
    Writer& writer = writers_.at(key);
    if (writer.session == session && writer.running && writer.pending &&
        !writer.pending->submitted) {
      Submit(key);
    }
  });
}

void Writers::OnCut(const std::string& node, const std::string& resource, int peer_id) {
  const Key key{resource, node};
  const auto it = writers_.find(key);
  if (it == writers_.end() || !it->second.pending || !it->second.pending->submitted) {
    return;
  }
  Pending& pending = *it->second.pending;
  const End end = kernel_.FindEnd(node, resource, peer_id);
  const bool replica = end.connection != nullptr &&
                       end.connection->volumes.contains(pending.volume) &&
                       !end.connection->volumes.at(pending.volume).client;
  if (replica) {
    pending.peer_lost = true;
    pending.missing.insert(peer_id);
    kernel_.MarkMissing(end, pending.volume, pending.block);
    for (const int holder : pending.holders) {
      if (holder != peer_id) {
        kernel_.MarkMissingAt(end, holder, pending.volume, pending.block);
      }
    }
  }
  if (pending.waiting.erase(peer_id) > 0 && pending.waiting.empty()) {
    world_.events.After(Millis(1), [this, key, round = pending.round] { Complete(key, round); });
  }
}

}  // namespace breakwater::sim
