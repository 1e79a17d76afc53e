#include "tests/walks/limits.h"

#include <algorithm>
#include <chrono>

namespace breakwater::walks {

using replication::Pair;

namespace {

/// F18: most reconnects are back after 15 s, wait at least 30.
constexpr Millis kReconnectTime{30000};
/// A container that was killed as a whole is back within a second.
constexpr Millis kFreezeSlack{1000};

}  // namespace

void Limits::Suspended(const std::string& node) {
  frozen_[node] = scene_->cluster.now();
  scene_->Say("suspended by the agent of " + node);
}

void Limits::Cut(const std::string& node, int peer_id) {
  const sim::Resource* resource = scene_->ResourceOn(node);
  if (resource != nullptr && resource->connections.contains(peer_id)) {
    const Pair pair = Pair::Of(node, resource->connections.at(peer_id).peer);
    cut_.emplace(pair, scene_->cluster.now());
    scene_->Say("cut by the agent of " + node + ": " + pair.ToString());
  }
}

bool Limits::Check() {
  CheckFreezes();
  CheckCuts();
  CheckData();
  return result.broken.empty();
}

void Limits::Break(const std::string& what) {
  if (result.broken.empty()) {
    result.broken = what;
    scene_->Say("BROKEN: " + what);
    scene_->SayState();
  }
}

void Limits::CheckFreezes() {
  for (auto it = frozen_.begin(); it != frozen_.end();) {
    const sim::Resource* resource = scene_->ResourceOn(it->first);
    // One that began later is somebody else's, a snapshot's for example.
    const bool frozen =
        resource != nullptr && resource->suspended_user && resource->suspended_since <= it->second;
    const auto time = std::chrono::duration_cast<Millis>(scene_->cluster.now() - it->second);
    result.longest_freeze = std::max(result.longest_freeze, time);
    if (frozen && time > scene_->suspend_timeout + kFreezeSlack) {
      Break("frozen by the agent of " + it->first + " for " + std::to_string(time.count()) + " ms");
    }
    it = frozen ? std::next(it) : frozen_.erase(it);
  }
}

bool Limits::Connected(const Pair& pair) const {
  return StateOf(pair.a, pair.b) == sim::ConnState::kConnected &&
         StateOf(pair.b, pair.a) == sim::ConnState::kConnected;
}

sim::ConnState Limits::StateOf(const std::string& node, const std::string& peer) const {
  if (const sim::Resource* resource = scene_->ResourceOn(node)) {
    for (const auto& [id, connection] : resource->connections) {
      if (connection.peer == peer) {
        return connection.state;
      }
    }
  }
  return sim::ConnState::kStandAlone;
}

/// Whether a fault that no agent can help keeps the two apart.
bool Limits::Excused(const Pair& pair) const {
  if (scene_->links_cut.contains(pair)) {
    return true;
  }
  for (const std::string& node : {pair.a, pair.b}) {
    const sim::Node& state = scene_->cluster.world().GetNode(node);
    if (!state.up || !scene_->agents.at(node)->container_up() || !state.tlshd.running ||
        state.tlshd.hung) {
      return true;
    }
  }
  return false;
}

void Limits::CheckCuts() {
  const Millis limit = std::max(scene_->lead_timeout, scene_->suspend_timeout) + kReconnectTime;
  for (auto it = cut_.begin(); it != cut_.end();) {
    if (Connected(it->first)) {
      it = cut_.erase(it);
      continue;
    }
    if (Excused(it->first)) {
      it->second = scene_->cluster.now();
    }
    const auto time = std::chrono::duration_cast<Millis>(scene_->cluster.now() - it->second);
    result.longest_cut = std::max(result.longest_cut, time);
    if (time > limit) {
      Break("connection " + it->first.ToString() + " cut by us for " +
            std::to_string(time.count()) + " ms");
    }
    ++it;
  }
}

/// A peer may lack writes, when it has come back stale (F12) or is being resynced; as long as
/// somebody who has them has recorded that, nothing is lost. What nobody knows of is lost.
void Limits::CheckData() {
  const std::string& name = scene_->spec.name;
  const bool intact = scene_->cluster.DataIntact(name);
  if (scene_->options.trace && intact != intact_) {
    scene_->Say(intact ? "DATA equal again" : "DATA differ");
    if (!intact) {
      SayDifferences();
    }
  }
  intact_ = intact;
  if (intact) {
    return;
  }
  const auto in_flight = scene_->cluster.writers().InFlight(name);
  for (const std::uint64_t block : Blocks()) {
    if (!in_flight.contains({0, block}) && !IsRecorded(block)) {
      Break("block " + std::to_string(block) + " differs, and nobody has recorded it");
      return;
    }
  }
}

const sim::Disk* Limits::DiskOf(const std::string& node) const {
  sim::World& world = scene_->cluster.world();
  return world.FindDisk(world.GetNode(node), scene_->spec.name, 0);
}

std::uint64_t Limits::Acknowledged(std::uint64_t block) const {
  return scene_->cluster.world().GetVolume(scene_->spec.name, 0).acknowledged.Get(block);
}

std::set<std::uint64_t> Limits::Blocks() const {
  std::set<std::uint64_t> blocks;
  for (const auto& [block, number] :
       scene_->cluster.world().GetVolume(scene_->spec.name, 0).acknowledged) {
    blocks.insert(block);
  }
  return blocks;
}

/// Every disk that calls itself good has what was acknowledged, or one that has it knows better.
bool Limits::IsRecorded(std::uint64_t block) const {
  const std::uint64_t wanted = Acknowledged(block);
  return std::all_of(
      scene_->spec.nodes.begin(), scene_->spec.nodes.end(), [&](const std::string& node) {
        const sim::Resource* resource = scene_->ResourceOn(node);
        const sim::Disk* disk = DiskOf(node);
        return resource == nullptr || disk == nullptr || disk->blocks.Get(block) >= wanted ||
               resource->devices.at(0).disk != sim::DiskState::kUpToDate ||
               IsRecordedFor(block, resource->node_id);
      });
}

bool Limits::IsRecordedFor(std::uint64_t block, int node_id) const {
  const std::uint64_t wanted = Acknowledged(block);
  return std::any_of(
      scene_->spec.nodes.begin(), scene_->spec.nodes.end(), [&](const std::string& other) {
        const sim::Disk* holder = DiskOf(other);
        if (holder == nullptr || holder->blocks.Get(block) < wanted) {
          return false;
        }
        const auto slot = holder->peers.find(node_id);
        return slot != holder->peers.end() &&
               (slot->second.bitmap.bits.contains(block) || slot->second.hearsay.contains(block));
      });
}

void Limits::SayDifferences() const {
  constexpr int kMost = 8;
  const sim::Volume& truth = scene_->cluster.world().GetVolume(scene_->spec.name, 0);
  int said = 0;
  for (const std::uint64_t block : Blocks()) {
    std::set<std::uint64_t> numbers = {truth.acknowledged.Get(block)};
    std::string text = "  block " + std::to_string(block) + ": acknowledged " +
                       std::to_string(truth.acknowledged.Get(block)) +
                       (truth.in_doubt.contains(block) ? " (in doubt)" : "");
    for (const std::string& name : scene_->spec.nodes) {
      const sim::Disk* disk = DiskOf(name);
      if (disk == nullptr) {
        continue;
      }
      numbers.insert(disk->blocks.Get(block));
      text += ", " + name + " " + std::to_string(disk->blocks.Get(block));
      for (const auto& [id, slot] : disk->peers) {
        text += slot.bitmap.bits.contains(block) ? " bit" + std::to_string(id) : "";
        text += slot.hearsay.contains(block) ? " hearsay" + std::to_string(id) : "";
      }
    }
    if (numbers.size() > 1 && ++said <= kMost) {
      scene_->Say(text);
    }
  }
}

void Limits::Judge() {
  const sim::ResourceReport report = scene_->cluster.Report(scene_->spec.name);
  result.kills = scene_->stage.kills;
  result.lost = report.lost_writes;
  result.diverged = report.diverged_blocks;
  result.errors = scene_->linstor->resumed_without_data() ? 0 : report.errors;
  const std::vector<sim::Violation> violations = scene_->cluster.Check();
  result.violations = violations.size();
  for (const sim::Violation& violation : violations) {
    Break("violation " + violation.kind + " on " + violation.node + ": " + violation.detail);
  }
  if (result.lost + result.diverged + result.errors > 0) {
    Break("lost " + std::to_string(result.lost) + ", diverged " + std::to_string(result.diverged) +
          ", I/O errors " + std::to_string(result.errors));
  }
}

}  // namespace breakwater::walks
