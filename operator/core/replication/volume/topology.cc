#include <algorithm>
#include <set>

#include "operator/core/replication/node/text.h"
#include "operator/core/replication/volume/gate.h"

namespace breakwater::replication {
namespace {

// What a node can reach when the connections `lost` are gone.
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

Reach ReachOf(const ResourceObservation& seen,
              const std::string& from,
              const std::set<Pair>& lost) {
  Reach reach;
  for (const auto& [name, node] : seen.nodes) {
    const bool diskless = node.known && node.Diskless();
    reach.diskful_total += diskless ? 0 : 1;
    const Pair pair = Pair::Of(from, name);
    const ConnectionView* connection = seen.Connection(pair);
    const bool self = name == from;
    const bool connected =
        !self && !lost.contains(pair) && connection != nullptr && connection->End(from).connected();
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

// DRBD's rule for the voters of a majority; a diskless node breaks a tie. A value that is not known
// keeps no quorum.
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
                                           reach.diskful_total, /*tie_break=*/false));
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

AfterCut LookAfterCut(const ResourceObservation& seen,
                      const std::string& primary,
                      const std::set<Pair>& lost) {
  const NodeView& node = seen.nodes.at(primary);
  const Reach before = ReachOf(seen, primary, {});
  Reach after = ReachOf(seen, primary, lost);
  AfterCut result;
  result.copies = after.up_to_date;
  result.copies_before = before.up_to_date;
  if (node.quorum == "majority") {
    // Whoever is cut in an orderly way is Outdated then, cannot form a quorum of its own, and so
    // takes none away (F4.7, F26.2). For the other rules nobody has seen that.
    after.diskful = before.diskful;
    after.tie_break = before.tie_break;
  }
  result.quorum = HasQuorum(node, after);
  return result;
}

std::optional<PrimaryProblem> FindPrimaryProblem(const ResourceObservation& seen) {
  const std::set<std::string> primaries = PossiblePrimaries(seen);
  if (seen.Primaries().size() > 1) {
    return PrimaryProblem{"it has more than one Primary, as during a live migration", false};
  }
  if (primaries.size() != seen.Primaries().size()) {
    return PrimaryProblem{"the nodes do not agree on who is Primary", true};
  }
  return std::nullopt;
}

std::optional<std::string> CutObstacle(const ResourceObservation& seen,
                                       const Pair& pair,
                                       bool allow_single_copy) {
  if (const std::optional<PrimaryProblem> problem = FindPrimaryProblem(seen)) {
    return problem->reason;
  }
  for (const std::string& primary : seen.Primaries()) {
    if (!pair.Has(primary)) {
      continue;
    }
    const AfterCut after = LookAfterCut(seen, primary, {pair});
    const std::string who = "without connection " + pair.ToString() + " the Primary " + primary;
    if (!after.quorum) {
      const std::string& rule = seen.nodes.at(primary).quorum;
      return who + " would lose quorum (quorum " + (rule.empty() ? "unknown" : rule) + ")";
    }
    if (after.copies == 0) {
      return who + " would lose its last up-to-date copy";
    }
    const bool alone = seen.nodes.at(primary).AllUpToDate() && after.copies == 1;
    if (alone && after.copies_before > 1 && !allow_single_copy) {
      return who + " would be alone with its copy; spec.replicationTLS.migration.allowSingleCopy " +
             "accepts that";
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
    const Reach left = ReachOf(seen, name, {Pair::Of(name, stale.peer)});
    if (left.up_to_date == 0 || !HasQuorum(seen.nodes.at(name), left)) {
      return "the Primary " + name + " needs " + stale.peer + " while it heals";
    }
  }
  const Reach reach = ReachOf(seen, stale.primary, {stale.pair});
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
