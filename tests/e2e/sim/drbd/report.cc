// The numbers a migration is judged by, and the invariants it broke.
#include <algorithm>

#include "tests/e2e/sim/drbd/cluster.h"

namespace breakwater::sim {
namespace {

struct Replica {
  Node* node = nullptr;
  Resource* resource = nullptr;
  Disk* disk = nullptr;
};

// Replicas that call themselves UpToDate and that the first of them (the Primary's, if it has one)
// is connected to. One that is cut off is allowed to be behind: the cluster knows.
std::vector<Replica> GoodReplicas(World& world, const std::string& name, int volume) {
  std::vector<Replica> good;
  for (auto& [node_name, node] : world.nodes) {
    const auto it = node.resources.find(name);
    if (!node.up || it == node.resources.end() || !it->second.devices.contains(volume) ||
        it->second.devices.at(volume).disk != DiskState::kUpToDate) {
      continue;
    }
    const Replica replica{&node, &it->second, world.FindDisk(node, name, volume)};
    if (it->second.role == Role::kPrimary) {
      good.insert(good.begin(), replica);
    } else {
      good.push_back(replica);
    }
  }
  if (good.empty()) {
    return good;
  }
  const Replica first = good.front();
  std::erase_if(good, [&first](const Replica& replica) {
    if (replica.node == first.node) {
      return false;
    }
    const auto it = first.resource->connections.find(replica.resource->node_id);
    return it == first.resource->connections.end() || it->second.state != ConnState::kConnected;
  });
  return good;
}

// Blocks about which nothing can be said now: a write of them is under way, or its end is unknown.
using Excluded = std::set<std::uint64_t>;

std::uint64_t DigestWithout(const Contents& contents, const Excluded& excluded) {
  std::uint64_t digest = contents.digest();
  for (const std::uint64_t block : excluded) {
    digest ^= BlockDigest(block, contents.Get(block));
  }
  return digest;
}

// The common case: everybody holds exactly what was acknowledged.
bool AllHoldTheTruth(const std::vector<Replica>& good,
                     const Volume& truth,
                     const Excluded& excluded) {
  const std::uint64_t expected = DigestWithout(truth.acknowledged, excluded);
  return std::all_of(good.begin(), good.end(), [&](const Replica& replica) {
    return DigestWithout(replica.disk->blocks, excluded) == expected;
  });
}

void CompareBlock(const std::vector<Replica>& good,
                  const Volume& truth,
                  std::uint64_t block,
                  ResourceReport& report) {
  const std::uint64_t expected = good.front().disk->blocks.Get(block);
  bool differs = false;
  bool lost = false;
  for (const Replica& replica : good) {
    const std::uint64_t content = replica.disk->blocks.Get(block);
    differs = differs || content != expected;
    lost = lost || content < truth.acknowledged.Get(block);
  }
  report.diverged_blocks += differs ? 1 : 0;
  report.lost_writes += lost ? 1 : 0;
}

void Compare(World& world,
             ResourceReport& report,
             int volume,
             const std::set<std::pair<int, std::uint64_t>>& in_flight) {
  const std::vector<Replica> good = GoodReplicas(world, report.name, volume);
  if (good.empty()) {
    return;
  }
  const Volume& truth = world.GetVolume(report.name, volume);
  Excluded under_way;
  for (const auto& [v, block] : in_flight) {
    if (v == volume) {
      under_way.insert(block);
    }
  }
  Excluded open = under_way;
  open.insert(truth.in_doubt.begin(), truth.in_doubt.end());
  std::set<std::uint64_t> blocks(truth.in_doubt.begin(), truth.in_doubt.end());
  if (!AllHoldTheTruth(good, truth, open)) {
    for (const Replica& replica : good) {
      for (const auto& [block, number] : replica.disk->blocks) {
        blocks.insert(block);
      }
    }
    for (const auto& [block, number] : truth.acknowledged) {
      blocks.insert(block);
    }
  }
  for (const std::uint64_t block : blocks) {
    if (!under_way.contains(block)) {
      CompareBlock(good, truth, block, report);
    }
  }
}

void CountConnections(Kernel& kernel, Node& node, Resource& resource, ResourceReport& report) {
  for (auto& [id, connection] : resource.connections) {
    for (const auto& [volume, device] : connection.volumes) {
      if (resource.role == Role::kPrimary && IsStale(device)) {
        ++report.stale_peers;
      }
    }
    // Each pair once; the side whose peer is away counts, too.
    const End peer = kernel.Opposite({&node, &resource, &connection});
    if (peer.connection != nullptr && connection.peer < node.name) {
      continue;
    }
    ++report.connections;
    report.connected += connection.state == ConnState::kConnected ? 1 : 0;
    report.encrypted += connection.encrypted ? 1 : 0;
  }
}

}  // namespace

// `only` empty: all.
std::map<std::string, ResourceReport> Cluster::Summaries(const std::string& only) {
  std::map<std::string, ResourceReport> reports;
  for (auto& [node_name, node] : world_.nodes) {
    auto it = only.empty() ? node.resources.begin() : node.resources.find(only);
    for (; it != node.resources.end() && (only.empty() || it->first == only); ++it) {
      const std::string& name = it->first;
      Resource& resource = it->second;
      ResourceReport& report = reports[name];
      report.name = name;
      report.suspended_user = report.suspended_user || resource.suspended_user;
      if (resource.role == Role::kPrimary) {
        report.primary = node_name;
      }
      CountConnections(kernel_, node, resource, report);
    }
  }
  for (auto& [name, report] : reports) {
    const WriterStats stats = writers_.Stats(name);
    report.longest_stall = stats.longest_stall;
    report.stalls = stats.stalls;
    const auto since = FrozenSince(name);
    report.frozen = since ? now() - *since : Time{0};
    report.longest_freeze = LongestFreeze(name);
    report.errors = stats.errors;
    report.writes = stats.writes;
  }
  for (const auto& [key, volume] : world_.volumes) {
    if (const auto it = reports.find(key.first); it != reports.end()) {
      it->second.resync_kib += volume.resync_kib;
    }
  }
  return reports;
}

std::vector<ResourceReport> Cluster::ReportAll() {
  std::vector<ResourceReport> result;
  for (auto& [name, report] : Summaries("")) {
    const auto in_flight = writers_.InFlight(name);
    for (const auto& [key, volume] : world_.volumes) {
      if (key.first == name) {
        Compare(world_, report, key.second, in_flight);
      }
    }
    result.push_back(report);
  }
  return result;
}

ResourceReport Cluster::Report(const std::string& resource) {
  ResourceReport report = Summary(resource);
  const auto in_flight = writers_.InFlight(resource);
  for (const auto& [key, volume] : world_.volumes) {
    if (key.first == resource) {
      Compare(world_, report, key.second, in_flight);
    }
  }
  return report;
}

ResourceReport Cluster::Summary(const std::string& resource) {
  auto reports = Summaries(resource);
  const auto it = reports.find(resource);
  return it == reports.end() ? ResourceReport{.name = resource} : it->second;
}

bool Cluster::DataIntact(const std::string& resource) {
  ResourceReport report{.name = resource};
  const auto in_flight = writers_.InFlight(resource);
  for (auto it = world_.volumes.lower_bound({resource, 0});
       it != world_.volumes.end() && it->first.first == resource; ++it) {
    Compare(world_, report, it->first.second, in_flight);
  }
  return report.diverged_blocks == 0 && report.lost_writes == 0;
}

std::optional<Time> Cluster::FrozenSince(const std::string& resource) {
  std::optional<Time> since;
  for (const auto& [name, node] : world_.nodes) {
    const auto it = node.resources.find(resource);
    if (it != node.resources.end() && it->second.suspended_user &&
        it->second.role == Role::kPrimary) {
      since = since ? std::min(*since, it->second.suspended_since) : it->second.suspended_since;
    }
  }
  return since;
}

Time Cluster::LongestFreeze(const std::string& resource) {
  const auto it = world_.longest_freeze.find(resource);
  const auto since = FrozenSince(resource);
  return std::max(it == world_.longest_freeze.end() ? Time{0} : it->second,
                  since ? now() - *since : Time{0});
}

void Cluster::ResetStatistics() {
  world_.longest_freeze.clear();
  for (auto& [key, volume] : world_.volumes) {
    volume.resync_kib = 0;
  }
  writers_.ResetStats();
}

std::vector<Violation> Cluster::Check() {
  for (auto& [node_name, node] : world_.nodes) {
    for (auto& [name, resource] : node.resources) {
      const Time length = now() - resource.suspended_since;
      if (resource.suspended_user && !resource.suspension_reported &&
          resource.role == Role::kPrimary && length > world_.config.suspend_limit) {
        resource.suspension_reported = true;
        world_.Violate("suspended-too-long", name, node_name,
                       std::to_string(length.count() / 1000) + " ms and counting");
      }
    }
  }
  return world_.violations;
}

}  // namespace breakwater::sim
