#include <utility>

#include "operator/core/tls_migration/planner_internal.h"

// The operations that SuspendIO is made of, from what the nodes show.

namespace breakwater::tls_migration::internal {

using Kind = NodeOp::Kind;

// On every node that answers: the Primary may have moved since the watchdog was armed.
Planner::Ops Planner::Disarms() const {
  Ops ops;
  for (const auto& [name, node] : seen_.nodes) {
    if (node.known) {
      ops.push_back({.kind = Kind::kDisarm, .node = name});
    }
  }
  return ops;
}

// Graceful, one end each. Only those that are up with the wrong setting.
Planner::Ops Planner::CutSecondaries(const std::string& primary) const {
  Ops ops;
  for (const auto& [pair, connection] : seen_.connections) {
    if (!pair.Has(primary) && connection.BothConnected() &&
        !connection.BothConfigured(Target(pair))) {
      ops.push_back({.kind = Kind::kDisconnect, .node = pair.a, .peer = pair.b});
    }
  }
  return ops;
}

Planner::Ops Planner::NetOptionsWhereWrong(bool also_connected) const {
  Ops ops;
  for (const auto& [pair, connection] : seen_.connections) {
    for (const std::string& node : {pair.a, pair.b}) {
      const EndView& end = connection.End(node);
      const bool want = Target(pair);
      if (end.known && end.tls != want && (also_connected || !end.connected())) {
        ops.push_back(
            {.kind = Kind::kNetOptions, .node = node, .peer_id = end.peer_node_id, .tls = want});
      }
    }
  }
  return ops;
}

// The Primary's connections first. `fast`: the Secondaries' right behind, while nothing can be
// written; else only when the Primary's are up: if I/O is resumed in between, a Secondary that got
// its data from another one would look complete to the Primary although it lacks the last writes.
void Planner::AddConnects(RunOnNodes* run, bool expect_all, bool fast) const {
  Ops of_primary = ConnectWhereStandAlone(Which::kOfPrimary, expect_all);
  Ops secondaries = ConnectWhereStandAlone(Which::kSecondaries, expect_all);
  bool primary_up = seen_.AllKnown();  // a silent node could be the Primary
  for (const auto& [pair, connection] : seen_.connections) {
    const bool primary = seen_.nodes.at(pair.a).primary || seen_.nodes.at(pair.b).primary;
    primary_up = primary_up && (!primary || connection.BothConnected());
  }
  if (!of_primary.empty()) {
    run->stages.push_back(std::move(of_primary));
  }
  if (!secondaries.empty() && (fast || primary_up)) {
    run->stages.push_back(std::move(secondaries));
  }
}

// `expect_all`: before the cuts, for the ends that will be StandAlone after them; connecting an end
// that is not StandAlone changes nothing.
Planner::Ops Planner::ConnectWhereStandAlone(Which which, bool expect_all) const {
  Ops ops;
  for (const auto& [pair, connection] : seen_.connections) {
    const bool of_primary = seen_.nodes.at(pair.a).primary || seen_.nodes.at(pair.b).primary;
    if (of_primary != (which == Which::kOfPrimary)) {
      continue;
    }
    for (const std::string& node : {pair.a, pair.b}) {
      const EndView& end = connection.End(node);
      const bool cutter = of_primary ? seen_.nodes.at(node).primary : node == pair.a;
      if (end.stand_alone() || (expect_all && cutter && end.known)) {
        ops.push_back({.kind = Kind::kConnect, .node = node, .peer_id = end.peer_node_id});
      }
    }
  }
  return ops;
}

}  // namespace breakwater::tls_migration::internal
