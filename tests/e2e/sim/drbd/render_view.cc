// What status and events2 have in common: the numbers shown per peer device.
#include <algorithm>

#include "tests/e2e/sim/drbd/render.h"

namespace breakwater::sim {
namespace {

bool IsTarget(const Connection& connection, int volume) {
  const auto it = connection.volumes.find(volume);
  return it != connection.volumes.end() &&
         (it->second.repl == ReplState::kSyncTarget || it->second.repl == ReplState::kWfBitMapT);
}

bool AnyTarget(const Resource& resource, int volume) {
  return std::any_of(resource.connections.begin(), resource.connections.end(),
                     [&](const auto& e) { return IsTarget(e.second, volume) && !e.second.stuck; });
}

// A resync elsewhere holds this pair back: "dependency" on the node that waits, "peer" on the
// other.
std::string ResyncSuspended(Kernel& kernel, const End& end, int volume) {
  const PeerDevice& device = end.connection->volumes.at(volume);
  const End peer = kernel.Opposite(end);
  if (device.repl != ReplState::kEstablished || peer.connection == nullptr ||
      IsDisklessPeer(device) || end.resource->devices.at(volume).disk == DiskState::kDiskless) {
    return "no";
  }
  const bool own = AnyTarget(*end.resource, volume);
  const bool theirs = AnyTarget(*peer.resource, volume);
  if (own && theirs) {
    return "peer,dependency";
  }
  return own ? "dependency" : (theirs ? "peer" : "no");
}

}  // namespace

double PeerView::done_percent() const {
  return rs_total == 0 ? 100.0
                       : 100.0 * static_cast<double>(rs_done) / static_cast<double>(rs_total);
}

double PeerView::in_sync_percent() const {
  return size == 0 ? 100.0
                   : 100.0 - 100.0 * static_cast<double>(std::min(out_of_sync, size)) /
                                 static_cast<double>(size);
}

double PeerView::mib_per_second() const {
  return rs_ms <= 0 ? 0.0
                    : static_cast<double>(rs_done) / 2048.0 * 1000.0 / static_cast<double>(rs_ms);
}

std::string WriteOrdering(const Resource& resource) {
  const bool disk =
      std::any_of(resource.devices.begin(), resource.devices.end(),
                  [](const auto& entry) { return entry.second.disk != DiskState::kDiskless; });
  return disk || resource.devices.empty() ? "flush" : "none";
}

std::uint64_t SizeKib(World& world, Node& node, const Resource& resource, int volume) {
  const Disk* disk = world.FindDisk(node, resource.name, volume);
  if (disk != nullptr && resource.devices.at(volume).disk != DiskState::kDiskless) {
    return disk->size_kib;
  }
  return world.GetVolume(resource.name, volume).size_kib;
}

PeerView ViewPeer(World& world, Kernel& kernel, const End& end, int volume) {
  const PeerDevice& device = end.connection->volumes.at(volume);
  PeerView view;
  view.repl = device.repl;
  view.disk = device.disk;
  view.client = device.client && device.disk == DiskState::kDiskless;
  view.received = device.received_kib;
  view.sent = device.sent_kib;
  view.size = SizeKib(world, *end.node, *end.resource, volume);
  view.resync_suspended = ResyncSuspended(kernel, end, volume);
  const bool target = device.repl == ReplState::kSyncTarget || device.repl == ReplState::kWfBitMapT;
  const End peer = kernel.Opposite(end);
  // The bits of a resync are kept by its source.
  const End holder = target && !end.connection->stuck && peer.connection != nullptr ? peer : end;
  if (holder.resource->devices.contains(volume) &&
      holder.resource->devices.at(volume).disk != DiskState::kDiskless) {
    const Disk* disk = kernel.DiskOf(holder, volume);
    const auto slot = disk->peers.find(holder.connection->peer_id);
    if (slot != disk->peers.end() && !device.client) {
      view.out_of_sync = slot->second.bitmap.kib() + slot->second.hearsay.size() * kBlockKib;
    }
  }
  view.syncing = device.repl == ReplState::kSyncSource || device.repl == ReplState::kSyncTarget;
  view.verifying = device.repl == ReplState::kVerifyS || device.repl == ReplState::kVerifyT;
  if (view.verifying) {
    constexpr std::uint64_t kSectorsPerBlock = 2 * kBlockKib;
    view.rs_ms = (world.events.now() - device.resync.started).count() / 1000;
    view.rs_total = device.resync.total_blocks * kSectorsPerBlock;
    view.rs_done = std::min(view.rs_total, static_cast<std::uint64_t>(view.rs_ms) *
                                               world.config.verify_kib_per_second * 2 / 1000);
  }
  if (view.syncing) {
    constexpr std::uint64_t kSectorsPerKib = 2;
    view.rs_total = device.resync.total_blocks * kBlockKib * kSectorsPerKib;
    const std::uint64_t left = std::min(view.rs_total, view.out_of_sync * kSectorsPerKib);
    view.rs_done = view.rs_total - left;
    view.rs_ms = (world.events.now() - device.resync.started).count() / 1000;
  }
  return view;
}

std::string SuspendedText(const Kernel& kernel, const Resource& resource) {
  std::string text;
  const auto add = [&text](const char* word) {
    text += (text.empty() ? "" : ",") + std::string(word);
  };
  if (resource.suspended_user) {
    add("user");
  }
  if (kernel.SuspendedNoData(resource)) {
    add("no-data");
  }
  if (kernel.SuspendedQuorum(resource)) {
    add("quorum");
  }
  return text.empty() ? "no" : text;
}

}  // namespace breakwater::sim
