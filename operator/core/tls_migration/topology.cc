#include <algorithm>

#include "operator/core/tls_migration/gate.h"
#include "operator/core/tls_migration/text.h"

namespace breakwater::tls_migration {
namespace {

// What a node can reach when the connection of `lost` is gone.
struct Reach {
  int diskful_total = 0;
  int diskful = 0;         // reachable, the node itself included
  bool tie_break = false;  // a diskless node takes part
  bool copy = false;       // an up-to-date copy: its own or that of a connected peer
};

Reach ReachOf(const ResourceObservation& seen, const std::string& from, const Pair& lost) {
  Reach reach;
  for (const auto& [name, node] : seen.nodes) {
    const bool diskless = node.known && node.Diskless();
    reach.diskful_total += diskless ? 0 : 1;
    const Pair pair = Pair::Of(from, name);
    const ConnectionView* connection = seen.Connection(pair);
    const bool self = name == from;
    const bool connected =
        !self && pair != lost && connection != nullptr && connection->End(from).connected();
    if (!self && !connected) {
      continue;
    }
    if (diskless) {
      reach.tie_break = true;
      continue;
    }
    ++reach.diskful;
    if (self) {
      reach.copy = reach.copy || node.AllUpToDate();
      continue;
    }
    const std::vector<PeerDevice>& devices = connection->End(from).devices;
    reach.copy = reach.copy || std::all_of(devices.begin(), devices.end(), [](const PeerDevice& d) {
                   return d.peer_disk == "UpToDate" && d.replication == "Established";
                 });
  }
  return reach;
}

// DRBD's rule for the voters of a majority; a diskless node breaks a tie. That a peer which was cut
// in an orderly way counts as Outdated and leaves the vote (F4.7) is not relied on.
bool HasQuorum(const std::string& quorum, const Reach& reach) {
  if (quorum == "off") {
    return true;
  }
  if (quorum == "all") {
    return reach.diskful == reach.diskful_total;
  }
  if (const std::optional<std::int64_t> number = ToInteger(quorum)) {
    return reach.diskful >= *number;
  }
  return reach.diskful * 2 > reach.diskful_total ||
         (reach.diskful * 2 == reach.diskful_total && reach.tie_break);
}

}  // namespace

std::optional<std::string> CutObstacle(const ResourceObservation& seen, const Pair& pair) {
  for (const std::string& primary : seen.Primaries()) {
    if (!pair.Has(primary)) {
      continue;
    }
    const Reach reach = ReachOf(seen, primary, pair);
    if (!HasQuorum(seen.nodes.at(primary).quorum, reach)) {
      return "without connection " + pair.ToString() + " the Primary " + primary +
             " would lose quorum";
    }
    if (!reach.copy) {
      return "without connection " + pair.ToString() + " the Primary " + primary +
             " would lose its last up-to-date copy";
    }
  }
  return std::nullopt;
}

std::optional<std::string> HealObstacle(const ResourceObservation& seen, const StalePeer& stale) {
  const Reach reach = ReachOf(seen, stale.primary, stale.pair);
  if (!reach.copy) {
    return "there is no other up-to-date copy while " + stale.peer + " heals";
  }
  const NodeView& primary = seen.nodes.at(stale.primary);
  if (!primary.HasQuorum() || !HasQuorum(primary.quorum, reach)) {
    return "there is no quorum without " + stale.peer + " while it heals";
  }
  for (const ConnectionView* connection : seen.ConnectionsOf(stale.primary)) {
    for (const PeerDevice& device : connection->End(stale.primary).devices) {
      if (connection->End(stale.primary).connected() && device.replication != "Established" &&
          device.replication != "Off") {
        return "another resync runs";
      }
    }
  }
  return std::nullopt;
}

}  // namespace breakwater::tls_migration
