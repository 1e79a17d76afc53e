#include "tests/e2e/sim/drbd/kernel.h"

#include <algorithm>
#include <functional>
#include <utility>

namespace breakwater::sim {
namespace {

constexpr std::uint64_t kJustCreated = 4;  // of metadata without a generation

std::string TransportRefusal(const std::string& resource) {
  return resource +
         ": Failure: (162) Invalid configuration request\n"
         "additional info from kernel:\n"
         "transport net_conf_change failed: -22\n";
}

std::string TlsOf(const Options& net) {
  const auto it = net.find("tls");
  return it == net.end() ? "no" : it->second;
}

}  // namespace

// LINSTOR writes one common "day 0" generation into all new replicas, so that they need no
// initial resync. The same is derived here from the names.
std::uint64_t DayZero(const std::string& resource, int volume) {
  std::uint64_t hash = 1469598103934665603U;
  for (const char c : resource) {
    hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211U;
  }
  return ((hash ^ static_cast<std::uint64_t>(volume)) * 1099511628211U) & ~std::uint64_t{1};
}

bool IsDisklessPeer(const PeerDevice& device) {
  return device.client || device.disk == DiskState::kDiskless;
}

Resource* Kernel::Find(const std::string& node, const std::string& resource) {
  const auto n = world_.nodes.find(node);
  if (n == world_.nodes.end() || !n->second.up) {
    return nullptr;
  }
  const auto r = n->second.resources.find(resource);
  return r == n->second.resources.end() ? nullptr : &r->second;
}

End Kernel::FindEnd(const std::string& node, const std::string& resource, int peer_id) {
  Resource* found = Find(node, resource);
  if (found == nullptr) {
    return {};
  }
  const auto it = found->connections.find(peer_id);
  return it == found->connections.end() ? End{} : End{&world_.nodes.at(node), found, &it->second};
}

End Kernel::Opposite(const End& end) {
  return FindEnd(end.connection->peer, end.resource->name, end.resource->node_id);
}

Disk* Kernel::DiskOf(const End& end, int volume) {
  return end.node == nullptr ? nullptr : world_.FindDisk(*end.node, end.resource->name, volume);
}

bool Kernel::UsesTls(const End& end) const {
  return TlsOf(end.connection->net) == "yes" && end.node->transport == "tcp" &&
         AtLeast(end.node->drbd_version, "9.2.6");
}

Kernel::Key Kernel::KeyOf(const End& end) {
  return {end.node->name, end.resource->name, end.connection->peer_id};
}

End Kernel::EndOf(const Key& key) {
  return FindEnd(key.node, key.resource, key.peer_id);
}

void Kernel::AfterSame(const End& end, Time delay, std::function<void(const End&)> action) {
  world_.events.After(delay, [this, key = KeyOf(end), generation = end.connection->generation,
                              action = std::move(action)] {
    const End now = EndOf(key);
    if (now.connection != nullptr && now.connection->generation == generation) {
      action(now);
    }
  });
}

void Kernel::LogConn(const End& end, std::string_view text) {
  Touch(end);
  world_.Log(*end.node,
             "drbd " + end.resource->name + " " + end.connection->peer + ": " + std::string(text));
}

void Kernel::LogDisk(const End& end, int volume, std::string_view text) {
  Touch(end);
  const Device& device = end.resource->devices.at(volume);
  world_.Log(*end.node, "drbd " + end.resource->name + "/" + std::to_string(volume) + " drbd" +
                            std::to_string(device.minor) + " " + end.connection->peer + ": " +
                            std::string(text));
}

Resource& Kernel::NewResource(Node& node, const std::string& name, int node_id) {
  Resource& resource = node.resources[name];
  resource.name = name;
  resource.node_id = node_id;
  world_.Touch(node.name, name);
  return resource;
}

void Kernel::Attach(Node& node, Resource& resource, int volume) {
  Device& device = resource.devices.at(volume);
  if (device.client() || device.disk != DiskState::kDiskless) {
    return;
  }
  auto [it, fresh] = node.disks.try_emplace({resource.name, volume});
  Disk& disk = it->second;
  if (fresh) {
    disk.size_kib = world_.GetVolume(resource.name, volume).size_kib;
    disk.current_uuid = DayZero(resource.name, volume);
    // A replica that joins when the others have moved on holds no usable data yet.
    for (auto& [name, other] : world_.nodes) {
      const Disk* theirs = world_.FindDisk(other, resource.name, volume);
      const bool written = theirs != nullptr && theirs->blocks.size() > 0;
      if (theirs != nullptr && (theirs->current_uuid != disk.current_uuid || written)) {
        disk.recorded = DiskState::kInconsistent;
      }
      if (written && theirs->current_uuid == disk.current_uuid) {
        disk.current_uuid = kJustCreated;  // nobody set a generation, and the first one has data
      }
    }
  }
  if (fresh || std::exchange(disk.made_now, false)) {
    SetDisk(node, resource, volume, disk.recorded, "attach");
    FillAttached(node, resource, volume);
    return;
  }
  // After a restart the disk is as good as metadata says, but the peers must confirm it.
  const DiskState state =
      disk.recorded == DiskState::kUpToDate ? DiskState::kConsistent : disk.recorded;
  SetDisk(node, resource, volume, state, "attach");
  if (resource.connections.empty()) {
    SetDisk(node, resource, volume, disk.recorded, "attach");
  }
}

// A disk that comes while its peers are connected is filled from one that is UpToDate.
void Kernel::FillAttached(Node& node, Resource& resource, int volume) {
  for (auto& [id, connection] : resource.connections) {
    const End self{&node, &resource, &connection};
    const End peer = Opposite(self);
    if (resource.devices.at(volume).disk != DiskState::kInconsistent ||
        connection.state != ConnState::kConnected || peer.connection == nullptr ||
        !connection.volumes.contains(volume) || IsTarget(resource, volume) ||
        peer.resource->devices.at(volume).disk != DiskState::kUpToDate) {
      continue;
    }
    SyncHandshake(peer, self, volume);
  }
}

void Kernel::Detach(Node& node, Resource& resource, int volume) {
  SetDisk(node, resource, volume, DiskState::kDiskless, "detach");
  UpdateQuorum(node, resource);
}

KernelResult Kernel::NetOptions(const End& end, const Options& changes, bool set_defaults) {
  Connection& connection = *end.connection;
  Options wanted = set_defaults ? Options{} : connection.net;
  for (const auto& [key, value] : changes) {
    wanted[key] = value;
  }
  const bool tls_changes = TlsOf(wanted) != TlsOf(connection.net);
  if (tls_changes && end.node->transport == "tcp") {
    const bool connected = connection.state == ConnState::kConnected;
    const bool in_handshake =
        connection.attempt != 0 && world_.events.now() >= connection.refuse_from;
    if (connected || in_handshake) {
      world_.Log(*end.node, "drbd " + end.resource->name + " tcp:" + connection.peer +
                                ": cannot switch tls (" + TlsOf(connection.net) + " -> " +
                                TlsOf(wanted) + ") while connected");
      return KernelError{10, TransportRefusal(end.resource->name)};
    }
  }
  connection.net = std::move(wanted);
  if (tls_changes && connection.attempt != 0) {
    // The attempt had not begun to talk: it starts over with the new setting.
    CancelAttempt(end);
    AfterSame(end, Millis(20), [this](const End& e) { TryAttempt(e); });
  }
  return std::nullopt;
}

void Kernel::ResourceOptions(Node& node, Resource& resource, const Options& options) {
  resource.options = options;
  UpdateQuorum(node, resource);
}

void Kernel::DeleteConnection(const End& end) {
  if (end.connection->state != ConnState::kStandAlone) {
    (void)Disconnect(end, true);
  }
  Node& node = *end.node;
  Resource& resource = *end.resource;
  const int peer_id = end.connection->peer_id;
  world_.cuts.Forget(node.name, resource.name, end.connection->peer);
  resource.connections.erase(peer_id);
  world_.Touch(node.name, resource.name);
  UpdateQuorum(node, resource);
}

KernelResult Kernel::DeleteResource(Node& node, const std::string& name) {
  Resource* resource = Find(node.name, name);
  if (resource == nullptr) {
    return std::nullopt;
  }
  if (resource->openers > 0) {
    return KernelError{11, name + ": State change failed: (-12) Device is held open by someone\n"};
  }
  std::vector<int> peers;
  for (const auto& [id, connection] : resource->connections) {
    peers.push_back(id);
  }
  for (const int id : peers) {
    const End end = FindEnd(node.name, name, id);
    if (KernelResult refused = Disconnect(end, false)) {
      return refused;
    }
  }
  node.resources.erase(name);
  world_.cuts.Forget(node.name, name);
  world_.Touch(node.name, name);
  return std::nullopt;
}

}  // namespace breakwater::sim
