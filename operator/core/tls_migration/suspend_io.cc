#include <algorithm>

#include "operator/core/tls_migration/planner_internal.h"

namespace breakwater::tls_migration::internal {

using std::chrono::milliseconds;
using Kind = NodeOp::Kind;

// Nothing of ours is suspended in this step, so a suspension that shows up is somebody else's: only
// the journal entry of the next step makes one ours.
Decision Planner::PlanPrepare() {
  if (seen_.SuspendedUser()) {
    return End(Finished::Result::kBlocked, "I/O is suspended by somebody else");
  }
  if (std::optional<Decision> heal = PlanHeal()) {
    return *heal;
  }
  if (goal_.paused) {
    return End(Finished::Result::kBlocked, "paused");
  }
  if (seen_.AllKnown() && AllConnected() && AllConfigured()) {
    Enter(Step::kFinish);
    return PlanFinish();
  }
  const std::vector<std::string> primaries = seen_.Primaries();
  if (primaries.size() != 1) {
    return End(Finished::Result::kBlocked, "SuspendIO needs exactly one Primary");
  }
  const StrategyPlan plan = ChooseStrategy(seen_, goal_);
  if (plan.strategy !=
      Strategy::kSuspendIo) {  // the topology or the options changed since the start
    return End(Finished::Result::kBlocked, "SuspendIO is not the way any more: " + plan.reason);
  }
  if (const GateResult gate = Gate(); !gate.ok()) {
    return InStep() > goal_.timing.reconnect
               ? End(Finished::Result::kBlocked, gate.reason)
               : WaitFor("gate before the suspension: " + gate.reason);
  }
  return BeginSuspension(primaries.front());
}

// The step lasts from arming the watchdog until every connection is back; what to do follows from
// what the nodes show, so a new leader goes on in the middle of it.
Decision Planner::PlanSuspend() {
  if (seen_.SuspendedUser()) {
    const std::vector<std::string> primaries = seen_.Primaries();
    if (primaries.size() != 1) {
      return WaitFor("suspended, but not exactly one Primary is known", milliseconds(300));
    }
    return PlanSuspended(primaries.front());
  }
  if (AnyCut()) {  // also when a node is silent: what is cut must not wait for it
    return PlanAfterWatchdog();
  }
  if (!seen_.AllKnown()) {
    return WaitFor("not all nodes could be observed", milliseconds(500));
  }
  if (AllConfigured()) {
    Enter(Step::kResume);
    return PlanResume();
  }
  if (std::optional<Decision> heal = PlanHeal()) {
    return *heal;
  }
  return PlanNothingSuspended();
}

// Neither suspended nor cut, and not switched.
Decision Planner::PlanNothingSuspended() {
  if (run_.journal.rolling_back) {  // resumed by the watchdog, and back: a safe end
    return End(Finished::Result::kBlocked, run_.failure);
  }
  if (run_.attempts == 0) {  // a former leader wrote it down and did nothing, or it is undone
    Enter(Step::kPrepare);
    return PlanPrepare();
  }
  if (InStep() < goal_.timing.late_suspension) {
    return WaitFor("I/O could not be suspended; the command may still complete (F2.7)");
  }
  return End(Finished::Result::kBlocked, "I/O could not be suspended");
}

// Resuming takes time too (I1).
int Planner::WatchdogSeconds() const {
  const auto timeout =
      std::chrono::duration_cast<std::chrono::seconds>(goal_.timing.suspend_timeout).count();
  return std::max<int>(2, static_cast<int>(timeout) - 1);
}

// The nodes keep the same limit with their own clock (kActScript).
SystemTime Planner::LastForcedCut() const {
  return run_.journal.started_at + std::chrono::seconds(std::max(1, WatchdogSeconds() - 2));
}

// Everything up to the reconnect in one go; a stage that fails ends it, and the next observation
// decides.
Decision Planner::BeginSuspension(const std::string& primary) {
  Enter(Step::kSuspend);
  run_.journal.started_at = now_;
  std::vector<int> peers;
  for (const ConnectionView* connection : seen_.ConnectionsOf(primary)) {
    peers.push_back(connection->End(primary).peer_node_id);
  }
  RunOnNodes run;
  run.stages.push_back(
      {{.kind = Kind::kDisarm, .node = primary},
       {.kind = Kind::kArm, .node = primary, .seconds = WatchdogSeconds(), .peer_ids = peers},
       {.kind = Kind::kSuspend, .node = primary}});
  if (Ops cuts = CutSecondaries(primary); !cuts.empty()) {
    run.stages.push_back(std::move(cuts));
  }
  run.stages.push_back({{.kind = Kind::kForceDisconnect, .node = primary}});
  run.force_not_after = LastForcedCut();
  run.stages.push_back(NetOptionsWhereWrong(/*also_connected=*/true));
  AddConnects(&run, /*expect_all=*/true, /*fast=*/true);
  return Act(std::move(run), "suspend I/O on " + primary + " and switch all its connections",
             milliseconds(100));
}

Decision Planner::PlanSuspended(const std::string& primary) {
  const milliseconds budget = goal_.timing.suspend_timeout - goal_.timing.rollback_margin;
  const bool over_budget = InStep() > budget;
  if (!seen_.AllKnown()) {
    if (!over_budget) {
      return WaitFor("suspended, and not all nodes could be observed", milliseconds(200));
    }
    RollBackSuspended("not all nodes could be observed while I/O was suspended");
    return BringBack("roll back on the nodes that answer", /*fast=*/false);
  }
  if (AllConnected() && AllConfigured()) {
    if (std::optional<Decision> heal = PlanHeal()) {
      return *heal;
    }
    const GateResult gate = Gate(/*may_be_suspended=*/true);
    if (!gate.ok()) {  // never resume before the gate holds (I3); the watchdog bounds the wait
      return WaitFor("gate before resume: " + gate.reason, milliseconds(200));
    }
    Enter(Step::kResume);
    return PlanResume();
  }
  if (!FindStale(seen_).empty() && policy_ == GatePolicy::kEnforce) {
    // A cut now would erase the record of what differs (F14.3): heal, or leave it to the watchdog.
    return PlanHeal().value_or(WaitFor("a stale peer while suspended", milliseconds(200)));
  }
  if (over_budget) {
    RollBackSuspended("the connections did not come back within the time for a suspension");
  }
  return PlanSwitchSuspended(primary);
}

void Planner::RollBackSuspended(const std::string& failure) {
  if (run_.journal.rolling_back) {
    return;
  }
  run_.failure = failure;
  run_.journal.rolling_back = true;  // keeps the start time: the watchdog's clock runs on
  run_.attempts = 0;
  run_.not_before = {};
}

// Rolling back or not, nothing is cut when the watchdog is about to resume.
Decision Planner::PlanSwitchSuspended(const std::string& primary) {
  if (TooEarly() && !AllConnected()) {
    return WaitFor("suspended; waiting for the connections", milliseconds(200));
  }
  const bool may_cut = now_ < LastForcedCut();
  if (!may_cut && AllConnected() && Gate(/*may_be_suspended=*/true).ok()) {
    Enter(Step::kResume);  // mixed, but everything is up and in sync
    return PlanResume();
  }
  RunOnNodes run;
  const bool cut_primary =
      may_cut &&
      std::any_of(seen_.connections.begin(), seen_.connections.end(), [&](const auto& item) {
        return item.first.Has(primary) && item.second.BothConnected() &&
               !item.second.BothConfigured(Target(item.first));
      });
  if (Ops cuts = CutSecondaries(primary); may_cut && !cuts.empty()) {
    run.stages.push_back(std::move(cuts));
  }
  if (cut_primary) {
    run.stages.push_back({{.kind = Kind::kForceDisconnect, .node = primary}});
    run.force_not_after = LastForcedCut();
  }
  if (Ops options = NetOptionsWhereWrong(/*also_connected=*/may_cut); !options.empty()) {
    run.stages.push_back(std::move(options));
  }
  AddConnects(&run, /*expect_all=*/cut_primary, /*fast=*/!run_.journal.rolling_back);
  if (run.stages.empty()) {
    return WaitFor("suspended; waiting for the connections", milliseconds(200));
  }
  Decision decision =
      Act(std::move(run),
          run_.journal.rolling_back ? "roll back while suspended" : "go on while suspended",
          milliseconds(150));
  decision.run.not_before = now_ + milliseconds(700);  // time is short here: no growing backoff
  return decision;
}

// The watchdog or somebody else resumed I/O while connections were cut. Quorum protects the data
// (on-no-quorum is suspend-io, or there is none to lose); bring the connections back, cut nothing
// more.
Decision Planner::PlanAfterWatchdog() {
  if (!run_.journal.rolling_back && !AllConfigured()) {
    RollBackSuspended("I/O was resumed before the connections were switched");
  }
  if (!run_.journal.rolling_back && InStep() > goal_.timing.reconnect) {
    return RollBackFrom("the connections did not come back");
  }
  return BringBack("bring the connections back after I/O was resumed", /*fast=*/false);
}

// Settings and connects on the ends that answer. Cuts nothing.
Decision Planner::BringBack(const std::string& why, bool fast) {
  if (TooEarly()) {
    return WaitFor("waiting for the connections", milliseconds(300));
  }
  RunOnNodes run;
  if (Ops options = NetOptionsWhereWrong(/*also_connected=*/false); !options.empty()) {
    run.stages.push_back(std::move(options));
  }
  AddConnects(&run, /*expect_all=*/false, fast);
  if (run.stages.empty()) {
    return WaitFor("waiting for the connections", milliseconds(400));
  }
  return Act(std::move(run), why);
}

// A leftover suspension with cut connections and no journal that says what was planned (I7): back
// as the kernel has them; only where the two ends differ LINSTOR's value decides.
Decision Planner::PlanLeftoverCut() {
  if (TooEarly()) {
    return WaitFor("suspended; waiting for the connections", milliseconds(300));
  }
  RunOnNodes run;
  Ops options;
  for (NodeOp& op : NetOptionsWhereWrong(/*also_connected=*/false)) {
    for (const ConnectionView* connection : seen_.ConnectionsOf(op.node)) {
      if (connection->End(op.node).peer_node_id == op.peer_id && connection->BothKnown() &&
          connection->a.tls != connection->b.tls) {
        options.push_back(std::move(op));
        break;
      }
    }
  }
  if (!options.empty()) {
    run.stages.push_back(std::move(options));
  }
  AddConnects(&run, /*expect_all=*/false, /*fast=*/true);
  if (run.stages.empty()) {
    return WaitFor("suspended; waiting for the connections", milliseconds(400));
  }
  return Act(std::move(run), "reconnect what is cut, before I/O is resumed");
}

Decision Planner::PlanResume() {
  Ops resumes;
  for (const auto& [name, node] : seen_.nodes) {
    if (node.suspended_user) {
      resumes.push_back({.kind = Kind::kResume, .node = name});
    }
  }
  if (std::optional<Decision> heal = PlanHeal()) {
    return *heal;
  }
  const GateResult gate = Gate(/*may_be_suspended=*/true);
  if (!gate.ok()) {
    // A cut connection can cost quorum, which the gate then names first.
    if (run_.journal.strategy == Strategy::kSuspendIo && AnyCut() && seen_.AllKnown()) {
      const SystemTime started = run_.journal.started_at;
      Enter(Step::kSuspend);
      run_.journal.started_at = started;
      return WaitFor("a connection went down before resume", milliseconds(100));
    }
    if (run_.journal.strategy == Strategy::kNone && !goal_.paused && resumes.empty()) {
      run_.journal = Journal{};  // resumed by somebody else
      return WaitFor("resumed by somebody else");
    }
    if (run_.journal.strategy == Strategy::kNone && AnyCut()) {
      return PlanLeftoverCut();
    }
    return WaitFor(
        (resumes.empty() ? "gate after resume: " : "suspended; gate before resume: ") + gate.reason,
        milliseconds(300));
  }
  if (!resumes.empty()) {
    if (TooEarly()) {
      return WaitFor("waiting for resume", milliseconds(200));
    }
    return Act(RunOnNodes{{std::move(resumes)}}, "resume I/O", milliseconds(100));
  }
  if (run_.journal.strategy == Strategy::kNone) {
    return End(Finished::Result::kDone, "I/O was resumed");
  }
  Enter(Step::kFinish);
  run_.disarmed = true;
  return Act(RunOnNodes{{Disarms()}}, "end the watchdog", milliseconds(100));
}

}  // namespace breakwater::tls_migration::internal
