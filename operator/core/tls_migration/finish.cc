#include <algorithm>

#include "operator/core/tls_migration/planner_internal.h"

namespace breakwater::tls_migration::internal {

using std::chrono::milliseconds;

// The nodes run the target; now LINSTOR's values follow so that every effective value stays as it
// is.
Decision Planner::PlanFinish() {
  if (seen_.SuspendedUser()) {
    Enter(Step::kResume);
    return PlanResume();
  }
  if (!PairsToSwitch(seen_, Targets()).empty()) {  // a foreign adjust undid something (F19)
    if (run_.journal.strategy == Strategy::kSuspendIo) {
      return End(Finished::Result::kBlocked, "a connection was set back by somebody else");
    }
    return PlanNextPair();
  }
  if (!seen_.AllKnown()) {
    return WaitFor("done on the nodes that answer; waiting for the others");
  }
  if (std::optional<Decision> cleanup = PlanLinstorCleanup()) {
    return *cleanup;
  }
  if (std::optional<Decision> heal = PlanHeal()) {
    return *heal;
  }
  if (const GateResult gate = Gate(); !gate.ok()) {
    if (gate.kind == GateResult::Kind::kStuck) {
      return PlanStuck(gate);
    }
    if (gate.kind == GateResult::Kind::kNotConnected &&
        seen_.connections.at(*gate.pair).BothKnown()) {
      Enter(Step::kReconnect, gate.pair);
      return PlanReconnect();
    }
    return WaitFor("last gate: " + gate.reason);
  }
  if (run_.journal.rolling_back) {
    return End(Finished::Result::kRolledBack, run_.failure.empty() ? "rolled back" : run_.failure);
  }
  return End(Finished::Result::kDone, "every connection is as wanted");
}

// One change at a time, each proven to keep the effective value of every connection.
std::optional<Decision> Planner::PlanLinstorCleanup() {
  if (!seen_.levels.known) {
    return WaitFor("done on the nodes; LINSTOR cannot be reached to make it permanent");
  }
  const Level& pin = seen_.levels.definition;
  std::vector<LinstorOp> ops;
  bool agreed = !seen_.connections.empty();  // all connections run the same
  bool first = false;
  for (const auto& [pair, connection] : seen_.connections) {
    first = Target(seen_.connections.begin()->first);
    agreed = agreed && Target(pair) == first;
  }
  if (pin.ours && !run_.journal.rolling_back && KeepsEffective(RemovePin{})) {
    ops.emplace_back(RemovePin{});
  } else if (pin.ours && agreed && pin.value != first && KeepsEffective(SetPin{first, first})) {
    // What the user wants is not in LINSTOR yet (held back): pinned to the new value meanwhile.
    ops.emplace_back(SetPin{first, first});
  } else {
    for (const auto& [key, level] : seen_.levels.pairs) {
      if (level.ours && KeepsEffective(RemovePair{key})) {
        ops.emplace_back(RemovePair{key});
      }
    }
  }
  if (ops.empty()) {
    return std::nullopt;
  }
  if (TooEarly()) {
    return WaitFor("waiting before LINSTOR is told again", milliseconds(500));
  }
  std::string why = Describe(ops.front());
  return Act(ChangeLinstor{std::move(ops)}, std::move(why));
}

bool Planner::KeepsEffective(const LinstorOp& op) const {
  const ResourceLevels after = After(seen_.levels, op);
  return std::all_of(seen_.connections.begin(), seen_.connections.end(), [&](const auto& item) {
    const bool runs = item.second.a.tls.value_or(item.second.b.tls.value_or(false));
    return Effective(after, item.first.ToString()) == runs;
  });
}

}  // namespace breakwater::tls_migration::internal
