// What status and events2 have in common: the numbers shown per peer device.
#include <algorithm>
#include <cstdio>

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

std::string Events2(World& world, Kernel& kernel, Node& node, Resource& resource) {
  const auto yes_no = [](bool value) { return std::string(value ? "yes" : "no"); };
  const auto number = [](std::uint64_t value) { return std::to_string(value); };
  const bool primary = resource.role == Role::kPrimary;
  std::string out = "exists resource name:" + resource.name +
                    " role:" + std::string(Name(resource.role)) +
                    " suspended:" + SuspendedText(kernel, resource) +
                    " force-io-failures:no write-ordering:flush may_promote:" + yes_no(!primary) +
                    " promotion_score:10103\n";
  for (const auto& [id, c] : resource.connections) {
    out += "exists connection name:" + resource.name + " peer-node-id:" + std::to_string(id) +
           " conn-name:" + c.peer + " connection:" + std::string(Name(c.state)) +
           " role:" + std::string(Name(c.peer_role)) +
           " congested:no ap-in-flight:0 rs-in-flight:0\n";
  }
  for (const auto& [volume, d] : resource.devices) {
    out += "exists device name:" + resource.name + " volume:" + std::to_string(volume) +
           " minor:" + std::to_string(d.minor) + " backing_dev:" + d.backing +
           " disk:" + std::string(Name(d.disk)) + " client:" + yes_no(d.client()) +
           " open:" + yes_no(resource.openers > 0) + " quorum:" + yes_no(d.quorum) +
           " size:" + number(SizeKib(world, node, resource, volume)) +
           " read:" + number(d.read_kib) + " written:" + number(d.written_kib) +
           " al-writes:" + number(d.al_writes) + " bm-writes:" + number(d.bm_writes) +
           " upper-pending:0 lower-pending:0 al-suspended:no blocked:" +
           (kernel.Frozen(resource) ? "upper" : "no") + "\n";
  }
  for (auto& [id, c] : resource.connections) {
    const std::string head =
        " name:" + resource.name + " peer-node-id:" + std::to_string(id) + " conn-name:" + c.peer;
    for (const auto& [volume, device] : c.volumes) {
      const PeerView view = ViewPeer(world, kernel, {&node, &resource, &c}, volume);
      char done[32] = "";
      if (view.syncing) {
        std::snprintf(done, sizeof(done), " done:%.2f", view.done_percent());
      }
      out += "exists peer-device" + head + " volume:" + std::to_string(volume) +
             " replication:" + std::string(Name(view.repl)) +
             " peer-disk:" + std::string(Name(view.disk)) + " peer-client:" + yes_no(view.client) +
             " resync-suspended:" + view.resync_suspended + done +
             " received:" + number(view.received) + " sent:" + number(view.sent) +
             " out-of-sync:" + number(view.out_of_sync) + " pending:0 unacked:0\n";
    }
    out += "exists path" + head + " local:ipv4:" + c.local.ip + ":" + std::to_string(c.local.port) +
           " peer:ipv4:" + c.remote.ip + ":" + std::to_string(c.remote.port) +
           " established:" + yes_no(c.state == ConnState::kConnected) + "\n";
  }
  return out;
}

}  // namespace breakwater::sim
