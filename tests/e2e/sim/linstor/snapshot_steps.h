#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "tests/e2e/sim/linstor/entry.h"
#include "tests/e2e/sim/linstor/model.h"

/// Making snapshots: LINSTOR suspends I/O of the resources on all their nodes, makes the snapshots,
/// resumes.
namespace breakwater::sim {

class Simulator;

struct SnapshotWish {
  std::string resource, name;
  std::set<std::string> nodes;  // keys; empty: every node that has data
  Props props;
};

struct SnapshotOutcome {
  bool failed = false;
  bool torn = false;  // I/O went on on a node
};

/// Runs the three steps for all wishes at once and says what the nodes said. Call without the
/// database lock.
SnapshotOutcome TakeSnapshots(Simulator& sim, const std::vector<SnapshotWish>& all, Entries& out);

/// Can a pool of that kind make snapshots? FILE_THIN needs a file system with reflinks.
bool CanSnapshot(const Simulator& sim, const std::string& kind);

/// Why the nodes cannot make a copy of the resource now: none has data, or one is away. Needs the
/// database lock.
std::optional<Entry> RefuseCopy(Simulator& sim,
                                const Definition& definition,
                                const SnapshotWish& wish,
                                std::uint64_t bits);

std::string SnapshotDetails(const std::string& resource, const std::string& snapshot);
nlohmann::json SnapshotRefs(const std::string& resource, const std::string& snapshot);
Entry SnapshotNotFound(std::uint64_t bits,
                       const std::string& resource,
                       const std::string& snapshot);

}  // namespace breakwater::sim
