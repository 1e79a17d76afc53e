#include "operator/core/replication/volume/gate.h"

#include <algorithm>

#include "operator/core/replication/node/text.h"
#include "operator/core/replication/volume/evidence.h"

namespace breakwater::replication {
namespace {

using Kind = GateResult::Kind;

GateResult Fail(Kind kind,
                std::string reason,
                std::optional<Pair> pair = std::nullopt,
                std::string node = {}) {
  return {kind, std::move(reason), std::move(pair), std::move(node)};
}

std::string Shown(const std::string& state) {
  return state.empty() ? "unknown" : state;
}

GateResult CheckNodes(const ResourceObservation& seen, const GateCheck& check) {
  for (const auto& [name, node] : seen.nodes) {
    if (!node.known) {
      return Fail(Kind::kUnknown,
                  node.answers ? "the resource is not up on " + name
                               : "node " + name + " could not be observed",
                  std::nullopt, name);
    }
    if (node.suspended_user && !check.may_be_suspended) {
      return Fail(Kind::kSuspended, "I/O is suspended on " + name, std::nullopt, name);
    }
  }
  for (const auto& [name, node] : seen.nodes) {
    for (const DrbdDevice& device : node.devices) {
      if (device.disk != "UpToDate" &&
          !device.client) {  // a failed disk is Diskless, but no client
        return Fail(device.disk == "Inconsistent" ? Kind::kResync : Kind::kDisk,
                    "disk of volume " + std::to_string(device.volume) + " on " + name + " is " +
                        Shown(device.disk),
                    std::nullopt, name);
      }
    }
    if (!node.HasQuorum()) {
      return Fail(Kind::kQuorum, name + " has no quorum", std::nullopt, name);
    }
  }
  return {};
}

// Every volume of the node must be there, else what is missing would count as good.
bool HasAllVolumes(const NodeView& node, const EndView& end) {
  return !node.devices.empty() && node.devices.size() == end.devices.size() &&
         std::all_of(node.devices.begin(), node.devices.end(), [&](const DrbdDevice& own) {
           return std::any_of(end.devices.begin(), end.devices.end(),
                              [&](const PeerDevice& d) { return d.volume == own.volume; });
         });
}

// F4.9: comes before the disks, because one of the two calls itself Outdated.
GateResult CheckStuck(const ResourceObservation& seen) {
  for (const auto& [pair, connection] : seen.connections) {
    const bool secondaries = connection.BothConnected() && !seen.nodes.at(pair.a).primary &&
                             !seen.nodes.at(pair.b).primary;
    for (const std::string& node : {pair.a, pair.b}) {
      for (const PeerDevice& device : connection.End(node).devices) {
        if (secondaries && device.replication.starts_with("WFBitMap")) {
          return Fail(Kind::kStuck,
                      pair.ToString() + " volume " + std::to_string(device.volume) + " seen from " +
                          node + " is " + device.replication,
                      pair, node);
        }
      }
    }
  }
  return {};
}

GateResult CheckConnection(const ResourceObservation& seen,
                           const ConnectionView& connection,
                           const GateCheck& check) {
  for (const std::string& node : {connection.pair.a, connection.pair.b}) {
    const EndView& end = connection.End(node);
    const std::string where = connection.pair.ToString() + " seen from " + node;
    if (!end.known) {
      return Fail(Kind::kUnknown, "connection " + where + " could not be observed", connection.pair,
                  node);
    }
    if (end.state != "Connected") {
      return Fail(Kind::kNotConnected, "connection " + where + " is " + Shown(end.state),
                  connection.pair, node);
    }
  }
  for (const std::string& node : {connection.pair.a, connection.pair.b}) {
    if (!HasAllVolumes(seen.nodes.at(node), connection.End(node))) {
      return Fail(Kind::kUnknown,
                  "connection " + connection.pair.ToString() + " seen from " + node +
                      " does not show every volume",
                  connection.pair, node);
    }
  }
  if (!connection.a.tls || connection.a.tls != connection.b.tls) {
    return Fail(
        Kind::kNotConfigured,
        "the ends of connection " + connection.pair.ToString() + " are configured differently",
        connection.pair);
  }
  if (*connection.a.tls && !check.plaintext.contains(connection.pair) &&
      EvidenceOf(connection) != Evidence::kEncrypted) {
    return Fail(Kind::kNoProof, WhyNotEncrypted(connection), connection.pair);
  }
  return {};
}

// One volume of a connection, seen from a Primary: everything must be perfect.
GateResult CheckFromPrimary(const ConnectionView& connection, const std::string& primary) {
  for (const PeerDevice& device : connection.End(primary).devices) {
    const std::string where = connection.pair.ToString() + " volume " +
                              std::to_string(device.volume) + " seen from the Primary " + primary;
    if (device.replication != "Established") {
      return Fail(Kind::kResync, where + " is " + Shown(device.replication), connection.pair,
                  primary);
    }
    if (device.peer_client) {
      continue;
    }
    if (device.peer_disk == "Outdated") {
      return Fail(Kind::kStale, where + " is Established, but the peer disk is Outdated",
                  connection.pair, primary);
    }
    if (device.peer_disk != "UpToDate") {
      return Fail(Kind::kDisk, where + ": the peer disk is " + Shown(device.peer_disk),
                  connection.pair, primary);
    }
    if (device.out_of_sync_kib != 0) {
      return Fail(Kind::kOutOfSync,
                  where + " is out of sync by " + std::to_string(device.out_of_sync_kib) + " KiB",
                  connection.pair, primary);
    }
  }
  return {};
}

// Disks and replication states only; out-of-sync seen from a Secondary is no usable gate (F4.8).
GateResult CheckBothEnds(const ConnectionView& connection, bool has_primary) {
  for (const std::string& node : {connection.pair.a, connection.pair.b}) {
    for (const PeerDevice& device : connection.End(node).devices) {
      const std::string where = connection.pair.ToString() + " volume " +
                                std::to_string(device.volume) + " seen from " + node;
      if (device.replication != "Established") {
        return Fail(Kind::kResync, where + " is " + Shown(device.replication), connection.pair,
                    node);
      }
      const bool outdated = device.peer_disk == "Outdated" && !device.peer_client;
      if (!has_primary && outdated) {
        return Fail(Kind::kStale, where + " is Established, but the peer disk is Outdated",
                    connection.pair, node);
      }
    }
  }
  return {};
}

}  // namespace

GateResult CheckGate(const ResourceObservation& seen, const GateCheck& check) {
  if (seen.nodes.empty()) {
    return Fail(Kind::kUnknown, "no node reports the resource");
  }
  // What is dangerous is said first: a stale peer must be found even while something else is wrong.
  const std::vector<std::string> primaries = seen.Primaries();
  if (const std::vector<StalePeer> all = FindStale(seen); !all.empty()) {
    const StalePeer& stale = all.front();
    return Fail(stale.out_of_sync ? Kind::kOutOfSync : Kind::kStale,
                stale.pair.ToString() + " volume " + std::to_string(stale.volume) + " seen from " +
                    stale.primary + " is Established, but the peer " +
                    (stale.out_of_sync ? "is out of sync" : "disk is Outdated"),
                stale.pair, stale.primary);
  }
  if (GateResult stuck = CheckStuck(seen); !stuck.ok()) {
    return stuck;
  }
  if (GateResult nodes = CheckNodes(seen, check); !nodes.ok()) {
    return nodes;
  }
  for (const auto& [pair, connection] : seen.connections) {
    if (GateResult result = CheckConnection(seen, connection, check); !result.ok()) {
      return result;
    }
  }
  for (const auto& [pair, connection] : seen.connections) {
    for (const std::string& primary : primaries) {
      if (pair.Has(primary)) {
        if (GateResult result = CheckFromPrimary(connection, primary); !result.ok()) {
          return result;
        }
      }
    }
    if (GateResult result = CheckBothEnds(connection, !primaries.empty()); !result.ok()) {
      return result;
    }
  }
  return {};
}

namespace {

void AddStale(const ResourceObservation& seen,
              const ConnectionView& connection,
              const std::string& viewer,
              std::vector<StalePeer>* found) {
  const std::string& peer = connection.pair.Other(viewer);
  const EndView& end = connection.End(viewer);
  const NodeView* own = seen.Node(viewer);
  const NodeView* other = seen.Node(peer);
  if (!end.connected() || own == nullptr || other == nullptr) {
    return;
  }
  for (const PeerDevice& device : end.devices) {
    const auto disk = std::find_if(other->devices.begin(), other->devices.end(),
                                   [&](const DrbdDevice& d) { return d.volume == device.volume; });
    // An unobserved peer counts as stale too: the Primary's view alone is the danger.
    const bool peer_says_good =
        other->known ? disk != other->devices.end() && disk->disk == "UpToDate" : own->primary;
    if (device.replication != "Established" || device.peer_client || !peer_says_good) {
      continue;
    }
    // Between Secondaries blocks out of sync say nothing (F4.8).
    const bool behind =
        own->primary && device.out_of_sync_kib > 0 && device.peer_disk == "UpToDate";
    if (device.peer_disk == "Outdated" || behind) {
      found->push_back(
          {connection.pair, viewer, peer, device.volume, behind, device.out_of_sync_kib});
    }
  }
}

}  // namespace

std::vector<StalePeer> FindStale(const ResourceObservation& seen) {
  std::vector<StalePeer> found;
  for (const auto& [pair, connection] : seen.connections) {
    for (const std::string& viewer : {pair.a, pair.b}) {
      AddStale(seen, connection, viewer, &found);
    }
  }
  return found;
}

}  // namespace breakwater::replication
