// Copies of disks that stay on their node, as thin pools and file systems with reflinks make them.
#pragma once

#include <string>

#include "tests/e2e/sim/drbd/world.h"

namespace breakwater::sim {

struct SnapshotName {
  std::string node;
  std::string resource;
  int volume = 0;
  std::string name;
};

// Keeps what the disk holds at this moment; nothing for a disk that is not there. Whether I/O goes
// on is the caller's business.
void TakeSnapshot(World& world, const SnapshotName& snapshot);

// Gives the same volume of another resource a disk with those blocks: before it is attached, and
// after create-md. Replicas that start from copies of one snapshot have one generation, which no
// new disk has: who joins later copies everything. False: no such snapshot.
bool RestoreSnapshot(World& world, const SnapshotName& snapshot, const std::string& to_resource);

// The disks of a deleted resource are gone from the node; with the last ones also what applications
// wrote. Snapshots stay.
void RemoveDisks(World& world, const std::string& node, const std::string& resource);

// Of all volumes.
void DropSnapshot(World& world,
                  const std::string& node,
                  const std::string& resource,
                  const std::string& name);

}  // namespace breakwater::sim
