// The lines of drbdsetup events2, as the recorded samples have them.
#include <algorithm>
#include <cstdio>

#include "tests/e2e/sim/drbd/render.h"

namespace breakwater::sim {
namespace {

std::string YesNo(bool value) {
  return value ? "yes" : "no";
}

// Good copies in reach, for the promotion score.
int GoodCopies(const Resource& resource, int volume) {
  int good = resource.devices.at(volume).disk == DiskState::kUpToDate ? 1 : 0;
  for (const auto& [id, connection] : resource.connections) {
    const auto it = connection.volumes.find(volume);
    good += it != connection.volumes.end() && connection.state == ConnState::kConnected &&
                    it->second.disk == DiskState::kUpToDate
                ? 1
                : 0;
  }
  return good;
}

int PromotionScore(const Resource& resource) {
  int score = 0;
  for (const auto& [volume, device] : resource.devices) {
    const int good = GoodCopies(resource, volume);
    constexpr int kOwnGood = 10100;
    constexpr int kOwnInconsistent = 10000;
    const int base = device.disk == DiskState::kUpToDate                   ? kOwnGood
                     : device.disk == DiskState::kInconsistent && good > 0 ? kOwnInconsistent
                                                                           : 0;
    score = score == 0 ? base + good : std::min(score, base + good);
  }
  return score;
}

bool MayPromote(const Resource& resource) {
  const bool taken =
      std::any_of(resource.connections.begin(), resource.connections.end(),
                  [](const auto& entry) { return entry.second.peer_role == Role::kPrimary; });
  return resource.role != Role::kPrimary && !taken && PromotionScore(resource) > 0;
}

std::string SyncText(const PeerView& view) {
  char text[400] = "";
  const auto number = [](std::uint64_t value) { return static_cast<unsigned long long>(value); };
  if (view.syncing || view.verifying) {
    std::snprintf(text, sizeof(text),
                  " rs-total:%llu rs-dt-start-ms:%lld rs-paused-ms:0 rs-dt0-ms:%lld "
                  "rs-db0-sectors:%llu rs-dt1-ms:%lld rs-db1-sectors:%llu",
                  number(view.rs_total), static_cast<long long>(view.rs_ms),
                  static_cast<long long>(view.rs_ms), number(view.rs_done),
                  static_cast<long long>(view.rs_ms), number(view.rs_done));
  }
  std::string out = text;
  if (view.syncing) {
    out += " rs-failed:0 rs-same-csum:0";
  } else if (view.verifying) {
    std::snprintf(text, sizeof(text),
                  " ov-start-sector:0 ov-stop-sector:18446744073709551615 ov-position:%llu "
                  "ov-left:%llu ov-skipped:0 want:3.98",
                  number(view.rs_done), number(view.rs_total - view.rs_done));
    out += text;
  }
  if (!out.empty()) {
    const double rate = view.mib_per_second();
    std::snprintf(text, sizeof(text), " dbdt:%.2f dbdt0:%.2f dbdt1:%.2f eta:%s", rate, rate, rate,
                  rate > 0 ? "1" : "nan");
    out += text;
  }
  return out;
}

EventObject ConnectionObject(const Resource& resource, const Connection& connection) {
  const std::string state = " connection:" + std::string(Name(connection.state)) +
                            " role:" + std::string(Name(connection.peer_role));
  return {"connection",
          " name:" + resource.name + " peer-node-id:" + std::to_string(connection.peer_id) +
              " conn-name:" + connection.peer,
          state, state + " congested:no ap-in-flight:0 rs-in-flight:0"};
}

EventObject DeviceObject(
    World& world, Kernel& kernel, Node& node, const Resource& resource, int volume) {
  const Device& d = resource.devices.at(volume);
  const std::string state = " backing_dev:" + d.backing + " disk:" + std::string(Name(d.disk)) +
                            " client:" + YesNo(d.client()) +
                            " open:" + YesNo(resource.openers > 0) + " quorum:" + YesNo(d.quorum);
  return {"device",
          " name:" + resource.name + " volume:" + std::to_string(volume) +
              " minor:" + std::to_string(d.minor),
          state,
          state + " size:" + std::to_string(SizeKib(world, node, resource, volume)) +
              " read:" + std::to_string(d.read_kib) + " written:" + std::to_string(d.written_kib) +
              " al-writes:" + std::to_string(d.al_writes) + " bm-writes:" +
              std::to_string(d.bm_writes) + " upper-pending:0 lower-pending:0 al-suspended:no",
          std::string(" blocked:") + (kernel.Frozen(resource) ? "upper" : "no")};
}

EventObject PeerDeviceObject(const std::string& head, const PeerView& view, int volume) {
  char done[32] = "";
  if (view.syncing || view.verifying) {
    std::snprintf(done, sizeof(done), " done:%.2f", view.done_percent());
  }
  const std::string state = " replication:" + std::string(Name(view.repl)) +
                            " peer-disk:" + std::string(Name(view.disk)) +
                            " peer-client:" + YesNo(view.client) +
                            " resync-suspended:" + view.resync_suspended;
  // Progress of a resync is told every three seconds.
  constexpr std::int64_t kProgressMs = 3000;
  return {"peer-device", head + " volume:" + std::to_string(volume),
          state + std::to_string(view.rs_ms / kProgressMs),
          state + done + " received:" + std::to_string(view.received) + " sent:" +
              std::to_string(view.sent) + " out-of-sync:" + std::to_string(view.out_of_sync) +
              " pending:0 unacked:0" + SyncText(view)};
}

}  // namespace

std::vector<EventObject> EventObjects(World& world,
                                      Kernel& kernel,
                                      Node& node,
                                      Resource& resource) {
  std::vector<EventObject> objects;
  const std::string state = " role:" + std::string(Name(resource.role)) +
                            " suspended:" + SuspendedText(kernel, resource) +
                            " force-io-failures:no write-ordering:" + WriteOrdering(resource) +
                            " may_promote:" + YesNo(MayPromote(resource)) +
                            " promotion_score:" + std::to_string(PromotionScore(resource));
  objects.push_back({"resource", " name:" + resource.name, state, state});
  for (const auto& [id, connection] : resource.connections) {
    objects.push_back(ConnectionObject(resource, connection));
  }
  for (const auto& [volume, device] : resource.devices) {
    objects.push_back(DeviceObject(world, kernel, node, resource, volume));
  }
  for (auto& [id, c] : resource.connections) {
    const std::string head =
        " name:" + resource.name + " peer-node-id:" + std::to_string(id) + " conn-name:" + c.peer;
    for (const auto& [volume, device] : c.volumes) {
      const PeerView view = ViewPeer(world, kernel, {&node, &resource, &c}, volume);
      objects.push_back(PeerDeviceObject(head, view, volume));
    }
    const std::string up = " established:" + YesNo(c.state == ConnState::kConnected);
    objects.push_back({"path",
                       head + " local:ipv4:" + c.local.ip + ":" + std::to_string(c.local.port) +
                           " peer:ipv4:" + c.remote.ip + ":" + std::to_string(c.remote.port),
                       up, up});
  }
  return objects;
}

std::string EventLine(const std::string& action, const EventObject& object) {
  const std::string head = action + " " + object.kind + object.key;
  if (action == "destroy") {
    return head + "\n";
  }
  return head + object.text + (action == "change" ? "" : object.only_at_first) + "\n";
}

std::string Events2(World& world, Kernel& kernel, Node& node, Resource& resource) {
  std::string out;
  for (const EventObject& object : EventObjects(world, kernel, node, resource)) {
    out += EventLine("exists", object);
  }
  return out;
}

}  // namespace breakwater::sim
