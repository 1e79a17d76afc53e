#include <algorithm>
#include <set>

#include "operator/core/replication/volume/gate.h"
#include "operator/core/replication/node/text.h"

namespace breakwater::replication {
namespace {

// What a node can reach when the connection of `lost` is gone.
struct Reach {
  int diskful_total = 0;
  int diskful = 0;         // reachable, the node itself included
  int up_to_date = 0;      // of these
  bool tie_break = false;  // a diskless node takes part
};

// A peer whose data this end can use. No list of volumes is no copy.
bool GivesData(const EndView& end) {
  return !end.devices.empty() &&
         std::all_of(end.devices.begin(), end.devices.end(), [](const PeerDevice& d) {
           return d.peer_disk == "UpToDate" && d.replication == "Established";
         });
}

bool AnyDiskless(const NodeView& node) {
  return std::any_of(node.devices.begin(), node.devices.end(),
                     [](const DrbdDevice& d) { return d.disk == "Diskless"; });
}

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
    const bool copy = self ? node.AllUpToDate() : GivesData(connection->End(from));
    reach.diskful += copy || !AnyDiskless(node) ? 1 : 0;
    reach.up_to_date += copy ? 1 : 0;
  }
  return reach;
}

// DRBD's rule for the voters of a majority; a diskless node breaks a tie. That a peer which was cut
// in an orderly way counts as Outdated and leaves the vote (F4.7) is not relied on.
// A value that is not known keeps no quorum.
bool Suffices(const std::string& rule, int count, int total, bool tie_break) {
  if (rule == "off") {
    return true;
  }
  if (rule == "all") {
    return count == total;
  }
  if (rule == "majority") {
    return count * 2 > total || (count * 2 == total && tie_break);
  }
  const std::optional<std::int64_t> number = ToInteger(rule);
  return number && count >= *number;
}

bool HasQuorum(const NodeView& node, const Reach& reach) {
  return Suffices(node.quorum, reach.diskful, reach.diskful_total, reach.tie_break) &&
         (node.quorum == "off" || Suffices(node.minimum_redundancy, reach.up_to_date,
                                           reach.diskful_total, reach.tie_break));
}

// Who is Primary, as its own node or any connected peer says: during a promotion, and between the
// two ends of a live migration, the views differ for a moment.
std::set<std::string> PossiblePrimaries(const ResourceObservation& seen) {
  std::set<std::string> names;
  for (const std::string& name : seen.Primaries()) {
    names.insert(name);
  }
  for (const auto& [pair, connection] : seen.connections) {
    for (const std::string& node : {pair.a, pair.b}) {
      if (connection.End(node).connected() && connection.End(node).peer_role == "Primary") {
        names.insert(pair.Other(node));
      }
    }
  }
  return names;
}

}  // namespace

std::optional<std::string> CutObstacle(const ResourceObservation& seen, const Pair& pair) {
  const std::set<std::string> primaries = PossiblePrimaries(seen);
  if (primaries.size() > 1) {
    return "it has more than one Primary, as during a live migration";
  }
  if (primaries.size() != seen.Primaries().size()) {
    return "the nodes do not agree on who is Primary";
  }
  for (const std::string& primary : seen.Primaries()) {
    if (!pair.Has(primary)) {
      continue;
    }
    const Reach reach = ReachOf(seen, primary, pair);
    if (!HasQuorum(seen.nodes.at(primary), reach)) {
      return "without connection " + pair.ToString() + " the Primary " + primary +
             " would lose quorum";
    }
    if (reach.up_to_date == 0) {
      return "without connection " + pair.ToString() + " the Primary " + primary +
             " would lose its last up-to-date copy";
    }
  }
  return std::nullopt;
}

namespace {

// A copy that lacks writes itself calls itself UpToDate (F12): only who has all writes can tell.
std::optional<std::string> SourceObstacle(const ResourceObservation& seen,
                                          const std::string& source) {
  if (seen.nodes.at(source).primary) {
    return std::nullopt;
  }
  const std::vector<StalePeer> all = FindStale(seen);
  if (std::any_of(all.begin(), all.end(),
                  [&](const auto& other) { return other.peer == source; })) {
    return "the copy of " + source + " lacks writes itself";
  }
  for (const std::string& primary : seen.Primaries()) {
    const auto connection = seen.connections.find(Pair::Of(primary, source));
    if (connection == seen.connections.end()) {
      continue;  // two nodes that never had a connection, a diskless one among them
    }
    const EndView& end = connection->second.End(primary);
    const bool good =
        end.connected() &&
        std::all_of(end.devices.begin(), end.devices.end(), [](const PeerDevice& device) {
          return device.replication == "Established" && device.peer_disk == "UpToDate" &&
                 device.out_of_sync_kib == 0;
        });
    if (!good) {
      return "the Primary " + primary + " does not see that " + source + " has all writes";
    }
  }
  return std::nullopt;
}

}  // namespace

std::optional<std::string> HealObstacle(const ResourceObservation& seen, const StalePeer& stale) {
  if (std::optional<std::string> bad_source = SourceObstacle(seen, stale.primary)) {
    return bad_source;
  }
  const NodeView* peer = seen.Node(stale.peer);
  if (peer != nullptr && peer->primary) {
    return stale.peer + " itself is the Primary";
  }
  if (!seen.nodes.at(stale.primary).primary && !seen.nodes.at(stale.primary).AllUpToDate()) {
    return "the copy of " + stale.primary + " is not up to date";
  }
  for (const std::string& name : seen.Primaries()) {
    const Reach left = ReachOf(seen, name, Pair::Of(name, stale.peer));
    if (left.up_to_date == 0 || !HasQuorum(seen.nodes.at(name), left)) {
      return "the Primary " + name + " needs " + stale.peer + " while it heals";
    }
  }
  const Reach reach = ReachOf(seen, stale.primary, stale.pair);
  if (reach.up_to_date == 0) {
    return "there is no other up-to-date copy while " + stale.peer + " heals";
  }
  const NodeView& primary = seen.nodes.at(stale.primary);
  if (!primary.HasQuorum() || !HasQuorum(primary, reach)) {
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

}  // namespace breakwater::replication
