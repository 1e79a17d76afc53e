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

std::uint64_t Content(const Disk& disk, std::uint64_t block) {
  const auto it = disk.blocks.find(block);
  return it == disk.blocks.end() ? 0 : it->second;
}

void Compare(World& world,
             ResourceReport& report,
             int volume,
             const std::set<std::pair<int, std::uint64_t>>& in_flight) {
  const std::vector<Replica> good = GoodReplicas(world, report.name, volume);
  std::set<std::uint64_t> blocks;
  for (const Replica& replica : good) {
    for (const auto& [block, number] : replica.disk->blocks) {
      blocks.insert(block);
    }
  }
  const Volume& truth = world.GetVolume(report.name, volume);
  for (const std::uint64_t block : blocks) {
    if (in_flight.contains({volume, block})) {
      continue;
    }
    const std::uint64_t expected = Content(*good.front().disk, block);
    const auto acknowledged = truth.acknowledged.find(block);
    bool differs = false;
    bool lost = false;
    for (const Replica& replica : good) {
      const std::uint64_t content = Content(*replica.disk, block);
      differs = differs || content != expected;
      lost = lost || (acknowledged != truth.acknowledged.end() && content < acknowledged->second);
    }
    report.diverged_blocks += differs ? 1 : 0;
    report.lost_writes += lost ? 1 : 0;
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

std::map<std::string, ResourceReport> Cluster::Summaries() {
  std::map<std::string, ResourceReport> reports;
  for (auto& [node_name, node] : world_.nodes) {
    for (auto& [name, resource] : node.resources) {
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
  for (auto& [name, report] : Summaries()) {
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
  auto reports = Summaries();
  const auto it = reports.find(resource);
  return it == reports.end() ? ResourceReport{.name = resource} : it->second;
}

void Cluster::ResetStatistics() {
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
