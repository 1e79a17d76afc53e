#include <algorithm>

#include "operator/core/tls_migration/planner_internal.h"

namespace breakwater::tls_migration::internal {

using std::chrono::milliseconds;

// The nodes run the target; now LINSTOR's values follow so that every effective value stays as it
// is.
Decision Planner::PlanFinish() {
  if (seen_.SuspendedUser()) {  // ours was resumed before this step
    if (!goal_.may_resume_leftover) {
      return WaitFor("I/O is suspended by somebody else");
    }
    Enter(Step::kResume);
    return PlanResume();
  }
  if (!PairsToSwitch(seen_, Targets()).empty()) {  // a foreign adjust undid something (F19)
    if (run_.journal.strategy == Strategy::kSuspendIo) {
      return End(Finished::Result::kBlocked, run_.failure.empty()
                                                 ? "a connection was set back by somebody else"
                                                 : run_.failure);
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
  const std::optional<std::map<PairKey, bool>> runs = Runs();
  if (!runs) {
    return WaitFor("what some connections run is not known; LINSTOR's values are left alone");
  }
  std::vector<LinstorOp> ops = CleanupOps(seen_.levels, *runs, run_.journal.rolling_back);
  if (ops.empty()) {
    return std::nullopt;
  }
  if (TooEarly()) {
    return WaitFor("waiting before LINSTOR is told again", milliseconds(500));
  }
  std::string why = Describe(ops.front());
  return Act(ChangeLinstor{std::move(ops)}, std::move(why));
}

std::optional<std::map<PairKey, bool>> Planner::Runs() const {
  std::map<PairKey, bool> runs;
  for (const auto& [pair, connection] : seen_.connections) {
    if (!connection.a.tls || connection.a.tls != connection.b.tls) {
      return std::nullopt;
    }
    runs[pair.ToString()] = *connection.a.tls;
  }
  return runs;
}

}  // namespace breakwater::tls_migration::internal
