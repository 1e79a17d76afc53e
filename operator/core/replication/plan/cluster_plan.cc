#include "operator/core/replication/plan/cluster_plan.h"

#include <algorithm>

namespace breakwater::replication {
namespace {

// What a connection runs as configured in the kernel, as far as either end says; LINSTOR's present
// value for one that cannot be observed, and for one whose ends differ: which of them is right is
// LINSTOR's to say, so it must not be told what one of them has.
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

// Without a connection in the kernel (all nodes down) the members' pairs have nothing to go by.
std::map<Pair, bool> Wanted(const ResourceObservation& seen, std::optional<bool> cluster) {
  std::map<Pair, bool> wanted;
  for (const auto& [pair, connection] : seen.connections) {
    wanted[pair] = Desired(seen.levels, pair.ToString(), cluster);
  }
  return wanted;
}

ResourceLevels WithCluster(ResourceLevels levels, std::optional<bool> cluster) {
  levels.controller = cluster;
  return levels;
}

// LINSTOR's view must be what the connections run: now, and when the cluster's value is in LINSTOR.
bool NeedsPin(const ResourceObservation& seen, std::optional<bool> cluster) {
  const ResourceLevels then = WithCluster(seen.levels, cluster);
  return std::any_of(seen.connections.begin(), seen.connections.end(), [&](const auto& item) {
    const bool runs = Runs(seen, item.second);
    const std::string key = item.first.ToString();
    return Effective(seen.levels, key) != runs || Effective(then, key) != runs;
  });
}

void PinResource(const ResourceObservation& seen, std::vector<PinOp>* pins) {
  int with_tls = 0;
  for (const auto& [pair, connection] : seen.connections) {
    with_tls += Runs(seen, connection) ? 1 : 0;
  }
  const bool base = 2 * with_tls > static_cast<int>(seen.connections.size());
  ResourceLevels levels = seen.levels;
  const bool own_value = levels.definition.value && !levels.definition.ours;
  if (!own_value && levels.definition.value != base) {
    const SetPin pin{base, base};
    levels = After(levels, pin);
    pins->push_back({seen.resource, pin});
  }
  for (const auto& [pair, connection] : seen.connections) {
    const std::string key = pair.ToString();
    const bool runs = Runs(seen, connection);
    const Level own = PairLevel(levels, key);
    if (Effective(levels, key) != runs && (!own.value || own.ours)) {
      const SetPair pin{key, runs, runs};
      levels = After(levels, pin);
      pins->push_back({seen.resource, pin});
    }
  }
}

bool Differs(const ResourceObservation& seen, const std::map<Pair, bool>& wanted) {
  return std::any_of(seen.connections.begin(), seen.connections.end(), [&](const auto& item) {
    return Runs(seen, item.second) != wanted.at(item.first);
  });
}

// Values of ours that are left although nothing needs them: the run's last step takes them away.
bool HasLeftovers(const ResourceObservation& seen, std::optional<bool> linstor_value) {
  std::map<PairKey, bool> runs;
  for (const auto& [pair, connection] : seen.connections) {
    runs[pair.ToString()] = Runs(seen, connection);
  }
  return !CleanupOps(WithCluster(seen.levels, linstor_value), runs, false).empty();
}

class Starter {
 public:
  Starter(const ClusterInput& input, std::optional<bool> cluster)
      : input_(input), cluster_(cluster) {
    for (const ResourceObservation& seen : input.resources) {
      if (input.in_flight.contains(seen.resource)) {
        Take(seen);
      }
    }
  }

  /// Why it cannot start now, or nothing; takes a place when it can.
  std::optional<std::string> Start(const ResourceObservation& seen,
                                   const std::map<Pair, bool>& wanted) {
    if (const auto why = Obstacle(seen, wanted)) {
      return why;
    }
    if (running_ >= input_.policy.max_parallel_resources) {
      return "waits for its turn";
    }
    for (const auto& [node, view] : seen.nodes) {
      if (const auto it = per_node_.find(node);
          it != per_node_.end() && it->second >= input_.policy.max_parallel_per_node) {
        return "waits for its turn on node " + node;
      }
    }
    Take(seen);
    return std::nullopt;
  }

 private:
  std::optional<std::string> Obstacle(const ResourceObservation& seen,
                                      const std::map<Pair, bool>& wanted) const {
    if (input_.policy.paused) {
      return "paused";
    }
    if (input_.policy.manual && !input_.policy.release_all &&
        !input_.policy.released.contains(seen.resource)) {
      return "not released (policy Manual)";
    }
    for (const auto& [pair, want] : wanted) {
      for (const std::string& node : {pair.a, pair.b}) {
        const auto unfit = input_.unfit.find(node);
        if (want && unfit != input_.unfit.end() && Runs(seen, seen.connections.at(pair)) != want) {
          return "node " + node + " is not ready: " + unfit->second;
        }
      }
    }
    for (const auto& [pair, connection] : seen.connections) {
      const std::string& bad = connection.a.bad_transport.empty() ? connection.b.bad_transport
                                                                  : connection.a.bad_transport;
      if (wanted.at(pair) && !bad.empty() && !Runs(seen, connection)) {
        return "connection " + pair.ToString() + " uses transport " + bad +
               ", which ignores TLS silently; use tcp";
      }
    }
    for (const auto& [node, view] : seen.nodes) {
      if (!view.known) {
        return view.answers ? "the resource is not up on node " + node
                            : "node " + node + " does not answer";
      }
    }
    if (const auto it = input_.backing_off.find(seen.resource); it != input_.backing_off.end()) {
      return it->second;
    }
    if (NeedsPin(seen, cluster_)) {
      return "not pinned yet";
    }
    return std::nullopt;
  }

  void Take(const ResourceObservation& seen) {
    ++running_;
    for (const auto& [node, view] : seen.nodes) {
      ++per_node_[node];
    }
  }

  const ClusterInput& input_;
  const std::optional<bool> cluster_;
  int running_ = 0;
  std::map<std::string, int> per_node_{};
};

void PlanPush(const ClusterInput& input, std::optional<bool> cluster, ClusterPlan* plan) {
  const bool same = input.linstor_value == cluster;
  const bool leftover = !input.cluster_value && input.linstor_value_ours && input.linstor_value;
  if ((same && !leftover) || (!input.cluster_value && !leftover)) {
    return;
  }
  if (!plan->pins.empty()) {
    plan->push_held = "existing resources are being pinned first";
    return;
  }
  for (const ResourceObservation& seen : input.resources) {
    if (NeedsPin(seen, cluster)) {
      plan->push_held = "resource " + seen.resource + " is not pinned";
      return;
    }
  }
  if (cluster.value_or(false) && !input.unfit.empty()) {
    plan->push_held =
        "node " + input.unfit.begin()->first + " is not ready: " + input.unfit.begin()->second;
    return;
  }
  if (!input.journalled
           .empty()) {  // LINSTOR would adjust, and resume, what is in flight (L17, L24)
    plan->push_held = "volume " + *input.journalled.begin() + " is being switched";
    plan->push_next = true;
    return;
  }
  plan->push = ClusterPush{cluster};
}

}  // namespace

std::optional<bool> ClusterValue(const ClusterInput& input) {
  if (input.cluster_value) {
    return input.cluster_value;
  }
  return input.linstor_value_ours && !input.linstor_value.value_or(false) ? std::nullopt
                                                                          : input.linstor_value;
}

bool AnyTlsWanted(const ClusterInput& input) {
  const std::optional<bool> cluster = ClusterValue(input);
  if (cluster.value_or(false)) {
    return true;
  }
  const auto yes = [](const auto& item) { return item.second; };
  return std::any_of(input.resources.begin(), input.resources.end(), [&](const auto& seen) {
    const ResourceLevels& levels = seen.levels;
    const std::map<Pair, bool> wanted = Wanted(seen, cluster);
    return levels.group.value_or(false) || levels.definition.value.value_or(false) ||
           std::any_of(wanted.begin(), wanted.end(), yes) ||
           std::any_of(levels.node_connections.begin(), levels.node_connections.end(), yes);
  });
}

namespace {

ClusterProblem FindProblem(const ClusterInput& input) {
  if (input.invalid) {
    return {"InvalidValue", *input.invalid + "; nothing is changed until that is corrected"};
  }
  if (!input.cluster_value && input.linstor_value_ours && input.linstor_value.value_or(false)) {
    return {"ValueRemoved",
            "property " + std::string(kTlsProperty) +
                " was removed while it was yes; everything stays as it is: set it to yes again, or "
                "to no for the way back to plaintext"};
  }
  return {};
}

}  // namespace

ClusterPlan PlanCluster(const ClusterInput& input) {
  ClusterPlan plan;
  const std::optional<bool> cluster = ClusterValue(input);
  plan.problem = FindProblem(input);
  const bool may_change = input.linstor_known && plan.problem.reason.empty();
  Starter starter(input, cluster);
  for (const ResourceObservation& seen : input.resources) {
    std::map<Pair, bool> wanted = Wanted(seen, cluster);
    const bool in_flight = input.in_flight.contains(seen.resource);
    if (may_change && !in_flight && NeedsPin(seen, cluster)) {
      PinResource(seen, &plan.pins);
    }
    plan.wanted[seen.resource] = std::move(wanted);
  }
  if (may_change) {
    PlanPush(input, cluster, &plan);
  }
  for (const ResourceObservation& seen : input.resources) {
    const std::map<Pair, bool>& wanted = plan.wanted.at(seen.resource);
    if (seen.connections.empty() || input.in_flight.contains(seen.resource)) {
      continue;
    }
    const bool differs = Differs(seen, wanted);
    const bool leftovers =
        may_change && plan.pins.empty() && !plan.push && HasLeftovers(seen, input.linstor_value);
    (differs ? plan.pending : plan.migrated) += 1;
    if (!differs && !leftovers) {
      continue;
    }
    if (!input.linstor_known) {
      plan.held[seen.resource] = "LINSTOR cannot be reached";
    } else if (!plan.problem.reason.empty()) {
      plan.held[seen.resource] = plan.problem.message;
    } else if (plan.push_next) {
      plan.held[seen.resource] = "waits until LINSTOR has the cluster's value";
    } else if (const std::optional<std::string> why = starter.Start(seen, wanted)) {
      plan.held[seen.resource] = *why;
    } else {
      plan.start.push_back(seen.resource);
    }
  }
  return plan;
}

}  // namespace breakwater::replication
