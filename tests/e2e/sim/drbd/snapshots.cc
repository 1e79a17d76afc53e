#include "tests/e2e/sim/drbd/snapshots.h"

#include <algorithm>

#include "tests/e2e/sim/drbd/kernel.h"

namespace breakwater::sim {

void TakeSnapshot(World& world, const SnapshotName& snapshot) {
  Node& node = world.GetNode(snapshot.node);
  const Disk* disk = world.FindDisk(node, snapshot.resource, snapshot.volume);
  node.snapshots[{snapshot.resource, snapshot.volume}][snapshot.name] =
      disk == nullptr ? Contents() : disk->blocks;
}

bool RestoreSnapshot(World& world, const SnapshotName& snapshot, const std::string& to_resource) {
  Node& node = world.GetNode(snapshot.node);
  const auto volume = node.snapshots.find({snapshot.resource, snapshot.volume});
  if (volume == node.snapshots.end() || !volume->second.contains(snapshot.name)) {
    return false;
  }
  const Contents& blocks = volume->second.at(snapshot.name);
  Volume& truth = world.GetVolume(to_resource, snapshot.volume);
  truth.acknowledged = blocks;
  truth.in_doubt.clear();
  for (const auto& [block, number] : blocks) {
    truth.next_write = std::max(truth.next_write, number);
  }
  const std::uint64_t new_disk = DayZero(to_resource, snapshot.volume);
  Disk disk;
  disk.size_kib = truth.size_kib;
  disk.current_uuid = new_disk ^ 0x100U;
  disk.history = {new_disk};
  disk.blocks = blocks;
  disk.made_now = true;
  node.disks.insert_or_assign({to_resource, snapshot.volume}, std::move(disk));
  return true;
}

void RemoveDisks(World& world, const std::string& node, const std::string& resource) {
  std::erase_if(world.GetNode(node).disks,
                [&](const auto& item) { return item.first.first == resource; });
  for (auto& [name, volume] : world.volumes) {
    const bool held =
        std::any_of(world.nodes.begin(), world.nodes.end(),
                    [&key = name](auto& item) { return item.second.disks.contains(key); });
    if (name.first == resource && !held) {
      volume.acknowledged = {};
      volume.in_doubt.clear();
    }
  }
}

void DropSnapshot(World& world,
                  const std::string& node,
                  const std::string& resource,
                  const std::string& name) {
  for (auto& [volume, snapshots] : world.GetNode(node).snapshots) {
    if (volume.first == resource) {
      snapshots.erase(name);
    }
  }
}

}  // namespace breakwater::sim
