// Disk states, what peers see of them, and quorum.
#include <cstdlib>

#include "tests/e2e/sim/drbd/kernel.h"

namespace breakwater::sim {
namespace {

struct Census {
  int up_to_date = 0;
  int present = 0;   // reachable, but not up to date
  int outdated = 0;  // away, and known not to hold the latest data
  int unknown = 0;   // away, in doubt
  int clients = 0;
  int clients_away = 0;
};

std::string Option(const Resource& resource, const char* key, const char* fallback) {
  const auto it = resource.options.find(key);
  return it == resource.options.end() ? fallback : it->second;
}

Census Count(const Resource& resource, int volume) {
  Census census;
  const Device& own = resource.devices.at(volume);
  if (own.client() || own.disk == DiskState::kDiskless) {
    ++census.clients;
  } else {
    ++(own.disk == DiskState::kUpToDate ? census.up_to_date : census.present);
  }
  for (const auto& [id, connection] : resource.connections) {
    const auto it = connection.volumes.find(volume);
    if (it == connection.volumes.end()) {
      continue;
    }
    const bool connected = connection.state == ConnState::kConnected;
    if (it->second.client) {
      ++(connected ? census.clients : census.clients_away);
    } else if (connected && it->second.disk != DiskState::kDiskless) {
      ++(it->second.disk == DiskState::kUpToDate ? census.up_to_date : census.present);
    } else if (it->second.disk == DiskState::kOutdated ||
               it->second.disk == DiskState::kInconsistent) {
      ++census.outdated;
    } else {
      ++census.unknown;
    }
  }
  return census;
}

}  // namespace

void Kernel::SetDisk(
    Node& node, Resource& resource, int volume, DiskState state, std::string_view why) {
  Device& device = resource.devices.at(volume);
  if (device.disk == state) {
    return;
  }
  world_.Log(node, "drbd " + resource.name + "/" + std::to_string(volume) + " drbd" +
                       std::to_string(device.minor) + ": disk( " + std::string(Name(device.disk)) +
                       " -> " + std::string(Name(state)) + " ) [" + std::string(why) + "]");
  device.disk = state;
  world_.Touch(node.name, resource.name);
  Disk* disk = world_.FindDisk(node, resource.name, volume);
  if (disk != nullptr && (state == DiskState::kUpToDate || state == DiskState::kOutdated ||
                          state == DiskState::kInconsistent)) {
    disk->recorded = state;
  }
  for (auto& [id, connection] : resource.connections) {
    const End peer = Opposite({&node, &resource, &connection});
    if (connection.state == ConnState::kConnected && peer.connection != nullptr &&
        peer.connection->state == ConnState::kConnected &&
        peer.connection->volumes.contains(volume) &&
        !peer.connection->volumes.at(volume).state_due) {
      SetPeerDisk(peer, volume, state, "peer-state");
      UpdateQuorum(*peer.node, *peer.resource);
    }
  }
  UpdateQuorum(node, resource);
}

void Kernel::SetPeerDisk(const End& end, int volume, DiskState state, std::string_view why) {
  PeerDevice& device = end.connection->volumes.at(volume);
  device.state_due = false;
  if (device.disk == state) {
    return;
  }
  LogDisk(end, volume,
          "pdsk( " + std::string(Name(device.disk)) + " -> " + std::string(Name(state)) + " )" +
              (why.empty() ? "" : " [" + std::string(why) + "]"));
  device.disk = state;
  device.changed = world_.events.now();
}

bool Kernel::QuorumOff(const Resource& resource) {
  return Option(resource, "quorum", "off") == "off";
}

// DRBD's calc_quorum(): peers known to be outdated do not vote when nobody is in doubt (F4.7), and
// diskless nodes break a tie.
bool Kernel::CalcQuorum(const Resource& resource, int volume) const {
  const std::string quorum = Option(resource, "quorum", "off");
  if (quorum == "off") {
    return true;
  }
  const Census census = Count(resource, volume);
  const int here = census.up_to_date + census.present;
  const int voters = here + (census.unknown > 0 ? census.outdated + census.unknown : 0);
  int needed = voters / 2 + 1;
  if (quorum == "all") {
    needed = voters;
  } else if (quorum != "majority") {
    needed = std::atoi(quorum.c_str());
  }
  if (here >= needed) {
    return true;
  }
  const bool tie = quorum == "majority" && voters % 2 == 0 && here * 2 == voters;
  return tie && census.clients > census.clients_away;
}

void Kernel::UpdateQuorum(Node& node, Resource& resource) {
  bool changed = false;
  for (auto& [volume, device] : resource.devices) {
    const bool quorum = CalcQuorum(resource, volume);
    if (quorum != device.quorum) {
      changed = true;
      device.quorum = quorum;
      world_.Touch(node.name, resource.name);
      world_.Log(node, "drbd " + resource.name + "/" + std::to_string(volume) + " drbd" +
                           std::to_string(device.minor) + ": quorum( " +
                           (quorum ? "no -> yes )" : "yes -> no )"));
      if (!quorum) {
        LoseQuorum(node, resource, volume);
      }
    }
    // Back from a restart: a majority that agrees is as good as a peer's word.
    if (quorum && device.disk == DiskState::kConsistent &&
        Option(resource, "quorum", "off") != "off" && Count(resource, volume).present > 1) {
      SetDisk(node, resource, volume, DiskState::kUpToDate, "quorum");
    }
  }
  // What resume-io has broken the kernel mends by itself once there is data again (F28).
  resource.no_data_resumed = resource.no_data_resumed && LacksData(resource);
  if (resource.suspend_pending && !SuspendedQuorum(resource)) {
    SuspendIo(node, resource);
  }
  if ((changed || resource.role == Role::kPrimary) && on_io_change) {
    on_io_change(node.name, resource.name);
  }
}

void Kernel::LoseQuorum(Node& node, Resource& resource, int volume) {
  if (resource.role != Role::kPrimary) {
    return;
  }
  Device& device = resource.devices.at(volume);
  if (!resource.suspended_user && !by_fault_) {
    world_.Violate("quorum-lost", resource.name, node.name, "volume " + std::to_string(volume));
  } else if (IoErrors(resource)) {
    device.generation_forgotten = true;
    device.new_uuid_pending = false;
  }
}

bool Kernel::SuspendedQuorum(const Resource& resource) const {
  for (const auto& [volume, device] : resource.devices) {
    if (!device.quorum) {
      return Option(resource, "on-no-quorum", "suspend-io") != "io-error";
    }
  }
  return false;
}

// Also without data, when the kernel does not hold I/O back: by policy, or since a resume-io (F28).
bool Kernel::IoErrors(const Resource& resource) const {
  if (resource.role == Role::kPrimary && LacksData(resource) && !SuspendedNoData(resource) &&
      !SuspendedQuorum(resource) && !resource.suspended_user) {
    return true;
  }
  for (const auto& [volume, device] : resource.devices) {
    if (!device.quorum) {
      return Option(resource, "on-no-quorum", "suspend-io") == "io-error";
    }
  }
  return false;
}

// Has this node no good copy in reach, its own included?
bool Kernel::LacksData(const Resource& resource) {
  for (const auto& [volume, device] : resource.devices) {
    bool data = device.disk == DiskState::kUpToDate;
    for (const auto& [id, connection] : resource.connections) {
      const auto it = connection.volumes.find(volume);
      data = data || (connection.state == ConnState::kConnected && it != connection.volumes.end() &&
                      it->second.disk == DiskState::kUpToDate);
    }
    if (!data) {
      return true;
    }
  }
  return false;
}

bool Kernel::SuspendedNoData(const Resource& resource) const {
  return resource.role == Role::kPrimary && !resource.no_data_resumed &&
         Option(resource, "on-no-data-accessible", "io-error") == "suspend-io" &&
         LacksData(resource);
}

}  // namespace breakwater::sim
