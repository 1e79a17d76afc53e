#pragma once

/// Observations that tests start from. For tests only.

#include <string>
#include <vector>

#include "operator/base/clock.h"
#include "operator/core/replication/volume/gate.h"

namespace breakwater::replication::testing_seen {

inline const SystemTime kNow{std::chrono::seconds(1800000000)};

inline EndView GoodEnd(int peer_id, bool tls) {
  EndView end;
  end.known = true;
  end.peer_node_id = peer_id;
  end.state = "Connected";
  end.tls = tls;
  end.sockets = tls ? SocketProof::kEncrypted : SocketProof::kPlaintext;
  end.devices = {{.volume = 0, .replication = "Established", .peer_disk = "UpToDate"}};
  return end;
}

// A healthy resource on the given nodes; the first is Primary. Pinned to what it runs.
inline ResourceObservation Healthy(const std::vector<std::string>& names, bool tls = false) {
  ResourceObservation seen;
  seen.resource = "r0";
  for (std::size_t i = 0; i < names.size(); ++i) {
    NodeView& node = seen.nodes[names[i]];
    node.name = names[i];
    node.known = true;
    node.node_id = static_cast<int>(i);
    node.primary = i == 0;
    node.quorum = "majority";
    node.minimum_redundancy = "off";
    node.on_no_quorum = "suspend-io";
    node.on_no_data = "suspend-io";
    node.devices = {
        {.volume = 0, .minor = 1000, .disk = "UpToDate", .client = false, .quorum = true}};
    for (std::size_t k = 0; k < i; ++k) {
      const Pair pair = Pair::Of(names[i], names[k]);
      ConnectionView& view = seen.connections[pair];
      view.pair = pair;
      view.a = GoodEnd(static_cast<int>(pair.a == names[i] ? k : i), tls);
      view.b = GoodEnd(static_cast<int>(pair.b == names[i] ? k : i), tls);
    }
  }
  seen.levels.known = true;
  seen.levels.definition = Level{tls, true, tls};
  seen.levels.controller = !tls;
  return seen;
}

inline EndView& End(ResourceObservation& seen, const std::string& from, const std::string& to) {
  ConnectionView& view = seen.connections.at(Pair::Of(from, to));
  return view.pair.a == from ? view.a : view.b;
}

}  // namespace breakwater::replication::testing_seen
