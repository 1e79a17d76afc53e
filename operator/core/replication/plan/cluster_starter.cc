#include "operator/core/replication/plan/cluster_starter.h"

#include <algorithm>

namespace breakwater::replication::internal {

bool Runs(const ResourceObservation& seen, const ConnectionView& connection) {
  if (connection.BothKnown() && connection.a.tls != connection.b.tls) {
    return Effective(seen.levels, connection.pair.ToString());
  }
  if (connection.a.known && connection.a.tls) {
    return *connection.a.tls;
  }
  if (connection.b.known && connection.b.tls) {
    return *connection.b.tls;
  }
  return Effective(seen.levels, connection.pair.ToString());
}

bool NeedsPin(const ResourceObservation& seen, std::optional<bool> cluster) {
  const ResourceLevels coming = WithComingGroup(seen.levels);
  return std::any_of(seen.connections.begin(), seen.connections.end(), [&](const auto& item) {
    const bool runs = Runs(seen, item.second);
    const std::string key = item.first.ToString();
    return Effective(seen.levels, key) != runs || Effective(seen.levels, key, cluster) != runs ||
           Effective(coming, key) != runs;
  });
}

std::optional<bool> ClusterFor(const ClusterInput& input,
                               const ResourceObservation& seen,
                               std::optional<bool> cluster) {
  const auto own = input.cluster_for.find(seen.resource);
  return own == input.cluster_for.end() ? cluster : own->second;
}

Starter::Starter(const ClusterInput& input, std::optional<bool> cluster)
    : input_(input), cluster_(cluster) {
  goal_.strategy = input.policy.strategy;
  goal_.allow_single_copy = input.policy.allow_single_copy;
  goal_.unfit = input.unfit;
  for (const auto& seen : input.resources) {
    if (input.in_flight.contains(seen->resource)) {
      Take(*seen);
    }
  }
  for (const auto& [pair, reason] : input.failed_pairs) {
    ++failed_partners_[pair.a];
    ++failed_partners_[pair.b];
  }
}

std::optional<std::string> Starter::Policy(const ResourceObservation& seen) const {
  if (input_.policy.paused) {
    return "paused";
  }
  if (input_.policy.manual && !input_.policy.release_all &&
      !input_.policy.released.contains(seen.resource)) {
    return "not released (policy Manual)";
  }
  return std::nullopt;
}

std::optional<std::string> Starter::GoOn(const ResourceObservation& seen,
                                         const std::map<Pair, bool>& wanted) const {
  const std::optional<std::string> why = Policy(seen);
  return why ? why : FailedElsewhere(seen, wanted);
}

// One volume that failed is enough to know: the others on these nodes would be cut and taken back
// in turn (REVIEW-1 R5).
std::optional<std::string> Starter::FailedElsewhere(const ResourceObservation& seen,
                                                    const std::map<Pair, bool>& wanted) const {
  if (input_.failed_pairs.empty()) {
    return std::nullopt;
  }
  for (const auto& [pair, want] : wanted) {
    if (!want || Runs(seen, seen.connections.at(pair))) {
      continue;
    }
    if (const auto failed = input_.failed_pairs.find(pair); failed != input_.failed_pairs.end()) {
      return "a connection with TLS between " + pair.a + " and " + pair.b +
             " failed: " + failed->second;
    }
    for (const std::string& node : {pair.a, pair.b}) {
      if (const auto partners = failed_partners_.find(node);
          partners != failed_partners_.end() && partners->second >= 2) {
        return "connections with TLS from node " + node +
               " failed with several partners; look at " +
               "its container ktls-utils and its certificate";
      }
    }
  }
  return std::nullopt;
}

std::optional<std::string> Starter::NoPlace(const ResourceObservation& seen) const {
  if (running_ >= input_.policy.max_parallel_resources) {
    return "waits for its turn";
  }
  for (const auto& [node, view] : seen.nodes) {
    if (const auto it = per_node_.find(node);
        it != per_node_.end() && it->second >= input_.policy.max_parallel_per_node) {
      return "waits for its turn on node " + node;
    }
  }
  return std::nullopt;
}

std::optional<std::string> Starter::Start(const ResourceObservation& seen,
                                          const std::map<Pair, bool>& wanted,
                                          bool differs) {
  if (std::optional<std::string> why = Policy(seen)) {
    return why;
  }
  if (const auto it = input_.backing_off.find(seen.resource); it != input_.backing_off.end()) {
    return it->second;
  }
  if (NeedsPin(seen, cluster_)) {
    return "not pinned yet";
  }
  if (std::optional<std::string> why = FailedElsewhere(seen, wanted)) {
    return why;
  }
  if (std::optional<std::string> why = NoPlace(seen)) {
    return why;
  }
  if (differs) {
    goal_.wanted = wanted;
    if (const auto obstacle = FindSwitchObstacle(seen, goal_, input_.agents)) {
      return obstacle->reason;
    }
  } else if (!seen.AllKnown() || seen.SuspendedUser()) {
    return "waits until every node answers and I/O flows";
  }
  Take(seen);
  return std::nullopt;
}

std::optional<std::string> Starter::StartRekey(const ResourceObservation& seen,
                                               const std::map<Pair, bool>& wanted,
                                               const std::map<Pair, std::string>& due) {
  if (std::optional<std::string> why = Policy(seen)) {
    return why;
  }
  if (const auto it = input_.backing_off.find(seen.resource); it != input_.backing_off.end()) {
    return it->second;
  }
  if (const auto it = input_.untouchable.find(seen.resource); it != input_.untouchable.end()) {
    return it->second;
  }
  goal_.wanted = wanted;
  std::optional<std::string> first;
  for (const auto& [pair, session] : due) {
    if (const auto failed = input_.failed_pairs.find(pair); failed != input_.failed_pairs.end()) {
      first = first.value_or("a connection with TLS between " + pair.a + " and " + pair.b +
                             " failed: " + failed->second);
      continue;
    }
    const auto obstacle = FindRekeyObstacle(seen, goal_, input_.agents, pair);
    if (!obstacle) {
      Take(seen);
      return std::nullopt;
    }
    first = first.value_or(obstacle->reason);
  }
  return first.value_or("nothing is due");
}

void Starter::Take(const ResourceObservation& seen) {
  ++running_;
  for (const auto& [node, view] : seen.nodes) {
    ++per_node_[node];
  }
}

namespace {

class RepairBudget {
 public:
  explicit RepairBudget(const ClusterPolicy& policy) : policy_(policy) {}

  bool HasPlace(const ResourceObservation& seen) const {
    return used_ < policy_.max_parallel_repairs &&
           std::none_of(seen.nodes.begin(), seen.nodes.end(), [&](const auto& item) {
             const auto it = per_node_.find(item.first);
             return it != per_node_.end() && it->second >= policy_.max_repairs_per_node;
           });
  }

  void Take(const ResourceObservation& seen) {
    ++used_;
    for (const auto& [node, view] : seen.nodes) {
      ++per_node_[node];
    }
  }

 private:
  const ClusterPolicy& policy_;
  int used_ = 0;
  std::map<std::string, int> per_node_{};
};

}  // namespace

namespace {

bool EndsDiffer(const ResourceObservation& seen) {
  return std::any_of(seen.connections.begin(), seen.connections.end(), [](const auto& item) {
    return item.second.BothKnown() && item.second.a.tls != item.second.b.tls;
  });
}

}  // namespace

// A fault of the certificates breaks every connection at once (REVIEW-1 M1). Those that failed
// lately leave their place to others. While paused only what a crash left half done is mended.
void PlanRepairs(const ClusterInput& input, ClusterPlan* plan) {
  static const std::map<Pair, std::string> kNone;
  RepairBudget budget(input.policy);
  for (const auto& seen : input.resources) {
    if (input.repairing.contains(seen->resource)) {
      budget.Take(*seen);
      plan->repair_allowed.insert(seen->resource);
    }
  }
  for (const auto& seen : input.resources) {
    const std::string& name = seen->resource;
    if (input.repairing.contains(name) || input.backing_off.contains(name)) {
      continue;
    }
    const auto hold = input.hold.find(name);
    if (NeedsRepair(*seen, hold == input.hold.end() ? kNone : hold->second) &&
        (!input.policy.paused || EndsDiffer(*seen)) && budget.HasPlace(*seen)) {
      budget.Take(*seen);
      plan->repair_allowed.insert(name);
    }
  }
}

}  // namespace breakwater::replication::internal
