#include "operator/core/replication/plan/cluster_plan.h"

#include <algorithm>

#include "operator/core/replication/plan/cluster_starter.h"

namespace breakwater::replication {
namespace {

using internal::Runs;

// Without a connection in the kernel (all nodes down) the members' pairs have nothing to go by.
std::map<Pair, bool> Wanted(const ResourceObservation& seen, std::optional<bool> cluster) {
  std::map<Pair, bool> wanted;
  for (const auto& [pair, connection] : seen.connections) {
    wanted[pair] = Desired(seen.levels, pair.ToString(), cluster);
  }
  return wanted;
}

// Pairs first that the definition's pin would change: at no moment does LINSTOR say what a
// connection does not run, or its adjust fails there (F1).
void PinResource(const ResourceObservation& seen, std::vector<PinOp>* pins) {
  int with_tls = 0;
  for (const auto& [pair, connection] : seen.connections) {
    with_tls += Runs(seen, connection) ? 1 : 0;
  }
  const bool base = 2 * with_tls > static_cast<int>(seen.connections.size());
  const SetPin definition{base, base};
  ResourceLevels levels = seen.levels;
  const bool own_value = levels.definition.value && !Replaceable(levels, levels.definition);
  const bool repin = !own_value && levels.definition.value != base;
  for (const auto& [pair, connection] : seen.connections) {
    const std::string key = pair.ToString();
    const bool runs = Runs(seen, connection);
    const Level own = PairLevel(levels, key);
    const bool then = Effective(repin ? After(levels, definition) : levels, key);
    if (then != runs && (!own.value || Replaceable(levels, own))) {
      const SetPair pin{key, runs, runs};
      levels = After(levels, pin);
      pins->push_back({seen.resource, pin});
    }
  }
  if (repin) {
    pins->push_back({seen.resource, definition});
  }
}

bool Differs(const ResourceObservation& seen, const std::map<Pair, bool>& wanted) {
  return std::any_of(seen.connections.begin(), seen.connections.end(), [&](const auto& item) {
    return Runs(seen, item.second) != wanted.at(item.first);
  });
}

bool AnyOfOurs(const ResourceLevels& levels) {
  return levels.definition.ours || std::any_of(levels.pairs.begin(), levels.pairs.end(),
                                               [](const auto& item) { return item.second.ours; });
}

// Values of ours that are left although nothing needs them: the volume's last step takes them away.
bool HasLeftovers(const ResourceObservation& seen, std::optional<bool> linstor_value) {
  if (!AnyOfOurs(seen.levels)) {
    return false;
  }
  std::map<PairKey, bool> runs;
  for (const auto& [pair, connection] : seen.connections) {
    runs[pair.ToString()] = Runs(seen, connection);
  }
  ResourceLevels levels = seen.levels;
  levels.controller = linstor_value;
  // What the group's value to come still needs stays.
  return !CleanupOps(levels, runs).empty() && !CleanupOps(WithComingGroup(levels), runs).empty();
}

// LINSTOR's nodes would adjust: connect what is StandAlone, and resume what is suspended.
std::optional<std::string> Untouchable(const ClusterInput& input, const ResourceObservation& seen) {
  if (seen.SuspendedUser()) {
    return "I/O of volume " + seen.resource + " is suspended by somebody else";
  }
  if (const auto it = input.untouchable.find(seen.resource); it != input.untouchable.end()) {
    return "volume " + seen.resource + ": " + it->second;
  }
  return std::nullopt;
}

// A node on its way to ONLINE does not get what is set now (L33).
std::optional<std::string> NotOnline(const ClusterInput& input, const ResourceObservation& seen) {
  for (const auto& [node, view] : seen.nodes) {
    if (!input.online_nodes.contains(node) && !input.offline_nodes.contains(node)) {
      return "node " + node + " is not ONLINE in LINSTOR yet";
    }
  }
  return std::nullopt;
}

// Connections that only values of ours keep from the cluster's value, as it is or will be.
std::vector<const ConnectionView*> Relying(const ClusterInput& input,
                                           const ResourceObservation& seen,
                                           std::optional<bool> cluster) {
  std::vector<const ConnectionView*> relying;
  if (!AnyOfOurs(seen.levels)) {
    return relying;
  }
  const std::optional<bool> own = internal::ClusterFor(input, seen, cluster);
  ResourceLevels coming = seen.levels;
  coming.controller = cluster;
  for (const auto& [pair, connection] : seen.connections) {
    const std::string key = pair.ToString();
    const bool effective = Effective(coming, key);
    // An exempt volume wants what its pin says, and needs it all the same.
    if (Desired(seen.levels, key, own) != effective ||
        EffectiveWithoutOurs(coming, key) != effective) {
      relying.push_back(&connection);
    }
  }
  return relying;
}

// What a node's .res file would have to say and does not, as long as that matters: without what we
// set, the new cluster-wide value would reach the connection there.
std::optional<std::string> Unsettled(const ClusterInput& input,
                                     const ResourceObservation& seen,
                                     std::optional<bool> cluster) {
  for (const ConnectionView* connection : Relying(input, seen, cluster)) {
    const bool effective = Effective(seen.levels, connection->pair.ToString(), cluster);
    for (const std::string& node : {connection->pair.a, connection->pair.b}) {
      const std::optional<bool>& res = connection->End(node).res_tls;
      if (res && *res != effective && !input.offline_nodes.contains(node)) {
        return node;
      }
    }
  }
  return std::nullopt;
}

// A node that LINSTOR speaks with and we do not: its satellite acts on the cluster's value at once,
// and nobody can say whether its .res file has what protects the volume (R2, L33). One that is
// OFFLINE in LINSTOR gets everything together when it is back (L27).
std::optional<std::string> SilentNode(const ClusterInput& input,
                                      const ResourceObservation& seen,
                                      std::optional<bool> cluster) {
  for (const ConnectionView* connection : Relying(input, seen, cluster)) {
    for (const std::string& node : {connection->pair.a, connection->pair.b}) {
      const auto view = seen.nodes.find(node);
      const bool silent = view != seen.nodes.end() && !view->second.known && !view->second.answers;
      if (silent && !input.offline_nodes.contains(node)) {
        return node;
      }
    }
  }
  return std::nullopt;
}

// The same values once more, with another marker: that is a change, and the nodes write the file.
void TouchPins(const ResourceObservation& seen, std::vector<PinOp>* pins) {
  if (const Level& own = seen.levels.definition; own.ours && own.value) {
    const SetPin pin{*own.value, own.previous.value_or(*own.value), own.touches + 1};
    pins->push_back({seen.resource, pin});
    return;
  }
  for (const auto& [key, level] : seen.levels.pairs) {
    if (level.ours && level.value) {
      pins->push_back({seen.resource, SetPair{key, *level.value, !level.previous.value_or(false)}});
      return;  // LINSTOR writes the whole file
    }
  }
}

void PlanPins(const ClusterInput& input, std::optional<bool> cluster, ClusterPlan* plan) {
  for (const auto& pointer : input.resources) {
    const ResourceObservation& seen = *pointer;
    if (!seen.levels.known || input.in_flight.contains(seen.resource)) {
      continue;
    }
    const bool needs_pin = internal::NeedsPin(seen, cluster);
    const auto unsettled = needs_pin ? std::nullopt : Unsettled(input, seen, cluster);
    if (unsettled) {
      plan->unsettled[seen.resource] = *unsettled;
    }
    const bool touch = unsettled && input.touch.contains(seen.resource);
    if ((!needs_pin && !touch) || input.journalled.contains(seen.resource)) {
      continue;
    }
    std::optional<std::string> held = Untouchable(input, seen);
    if (!held) {
      held = NotOnline(input, seen);
    }
    if (held) {
      plan->held[seen.resource] = "not pinned yet: " + *held;
      plan->pins_held = plan->pins_held.empty() ? *held : plan->pins_held;
    } else if (needs_pin) {
      PinResource(seen, &plan->pins);
    } else {
      TouchPins(seen, &plan->pins);
    }
  }
}

std::optional<std::string> PushObstacle(const ClusterInput& input,
                                        std::optional<bool> cluster,
                                        ClusterPlan* plan) {
  if (!plan->pins_held.empty()) {
    return plan->pins_held;
  }
  if (!plan->pins.empty()) {
    return "existing resources are being pinned first";
  }
  for (const auto& seen : input.resources) {
    if (internal::NeedsPin(*seen, cluster)) {
      return "resource " + seen->resource + " is not pinned";
    }
    if (std::optional<std::string> why = Untouchable(input, *seen)) {
      return why;
    }
    if (std::optional<std::string> why =
            AnyOfOurs(seen->levels) ? NotOnline(input, *seen) : std::nullopt) {
      return why;
    }
  }
  if (!plan->unsettled.empty()) {
    const auto& [resource, node] = *plan->unsettled.begin();
    return "the .res file of " + resource + " on node " + node +
           " does not say yet what its pin says";
  }
  for (const auto& seen : input.resources) {
    if (const std::optional<std::string> node = SilentNode(input, *seen, cluster)) {
      plan->push_unfit = cluster.value_or(false) ? *node : "";
      return "node " + *node + " does not answer, so nobody knows whether volume " +
             seen->resource +
             " is protected there; mend its satellite pod (a node that LINSTOR shows OFFLINE is "
             "not waited for)";
    }
  }
  if (cluster.value_or(false) && !input.unfit.empty()) {
    plan->push_unfit = input.unfit.begin()->first;
    return "node " + input.unfit.begin()->first + " is not ready: " + input.unfit.begin()->second;
  }
  return std::nullopt;
}

void PlanPush(const ClusterInput& input, std::optional<bool> cluster, ClusterPlan* plan) {
  const bool same = input.linstor_value == cluster;
  const bool leftover = !input.cluster_value && input.linstor_value_ours && input.linstor_value;
  if ((same && !leftover) || (!input.cluster_value && !leftover)) {
    return;
  }
  if (std::optional<std::string> why = PushObstacle(input, cluster, plan)) {
    plan->push_held = std::move(*why);
  } else if (!input.journalled.empty()) {
    // LINSTOR would adjust, and resume, what is in flight (L17, L24).
    plan->push_held = "volume " + *input.journalled.begin() + " is being switched";
    plan->push_next = true;
  } else {
    plan->push = ClusterPush{cluster};
  }
}

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

// What holds back everything, or nothing.
std::optional<std::string> HeldByAll(const ClusterInput& input, const ClusterPlan& plan) {
  if (!input.linstor_known) {
    return "LINSTOR cannot be reached";
  }
  if (!plan.problem.reason.empty()) {
    return plan.problem.message;
  }
  if (plan.push_next || plan.push) {
    return "waits until LINSTOR has the cluster's value";
  }
  return std::nullopt;
}

void PlanStarts(const ClusterInput& input, bool may_change, ClusterPlan* plan) {
  internal::Starter starter(input, ClusterValue(input));
  const std::optional<std::string> all = HeldByAll(input, *plan);
  const bool may_clean = may_change && plan->pins.empty() && !plan->push;
  for (const auto& pointer : input.resources) {
    const ResourceObservation& seen = *pointer;
    if (seen.connections.empty()) {
      continue;
    }
    const std::map<Pair, bool>& wanted = plan->wanted.at(seen.resource);
    const bool differs = Differs(seen, wanted);
    const bool leftovers = !differs && HasLeftovers(seen, input.linstor_value);
    plan->differing += differs ? 1 : 0;
    plan->cleaning += leftovers ? 1 : 0;
    if (input.in_flight.contains(seen.resource)) {
      if (may_change) {
        if (const std::optional<std::string> why = starter.GoOn(seen, wanted)) {
          plan->held[seen.resource] = *why;
        } else {
          plan->may_switch.insert(seen.resource);
        }
      }
      continue;
    }
    (differs ? plan->pending : plan->migrated) += 1;
    if (!differs && !(leftovers && may_clean)) {
      continue;
    }
    if (all) {
      plan->held[seen.resource] = *all;
    } else if (plan->held.contains(seen.resource)) {
      continue;  // not pinned
    } else if (const std::optional<std::string> why = starter.Start(seen, wanted, differs)) {
      plan->held[seen.resource] = *why;
    } else {
      plan->start.push_back(seen.resource);
      plan->may_switch.insert(seen.resource);
    }
  }
}

// One volume at a time: nothing waits for it.
void PlanRekeys(const ClusterInput& input, bool may_change, ClusterPlan* plan) {
  const bool idle = may_change && input.in_flight.empty() && plan->start.empty() &&
                    plan->differing == 0 && plan->cleaning == 0 && plan->pins.empty() &&
                    !plan->push && plan->push_held.empty();
  if (input.rekey.empty() || !idle) {
    return;
  }
  internal::Starter starter(input, ClusterValue(input));
  for (const auto& pointer : input.resources) {
    const ResourceObservation& seen = *pointer;
    const auto due = input.rekey.find(seen.resource);
    if (due == input.rekey.end()) {
      continue;
    }
    if (std::optional<std::string> why =
            starter.StartRekey(seen, plan->wanted.at(seen.resource), due->second)) {
      plan->rekey_held[seen.resource] = *std::move(why);
      continue;
    }
    plan->start.push_back(seen.resource);
    plan->may_switch.insert(seen.resource);
    return;
  }
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
    const ResourceLevels& levels = seen->levels;
    const std::map<Pair, bool> wanted = Wanted(*seen, internal::ClusterFor(input, *seen, cluster));
    return levels.group.value_or(false) || levels.definition.value.value_or(false) ||
           std::any_of(wanted.begin(), wanted.end(), yes) ||
           std::any_of(levels.node_connections.begin(), levels.node_connections.end(), yes);
  });
}

ClusterPlan PlanCluster(const ClusterInput& input) {
  ClusterPlan plan;
  const std::optional<bool> cluster = ClusterValue(input);
  plan.problem = FindProblem(input);
  const bool may_change = input.linstor_known && plan.problem.reason.empty();
  for (const auto& seen : input.resources) {
    plan.wanted[seen->resource] = Wanted(*seen, internal::ClusterFor(input, *seen, cluster));
  }
  if (may_change) {
    PlanPins(input, cluster, &plan);
    PlanPush(input, cluster, &plan);
  }
  PlanStarts(input, may_change, &plan);
  PlanRekeys(input, may_change, &plan);
  internal::PlanRepairs(input, &plan);
  return plan;
}

}  // namespace breakwater::replication
