#include <algorithm>

#include "operator/core/tls_migration/planner_internal.h"

namespace breakwater::tls_migration::internal {

using std::chrono::milliseconds;
using Kind = NodeOp::Kind;

// The step lasts from arming the watchdog until every connection is back; what to do follows from
// what the nodes show, so a new leader goes on in the middle of it.
Decision Planner::PlanSuspend() {
  const std::vector<std::string> primaries = seen_.Primaries();
  if (seen_.SuspendedUser()) {
    if (primaries.size() != 1) {
      return WaitFor("suspended, but not exactly one Primary is known", milliseconds(300));
    }
    return PlanSuspended(primaries.front());
  }
  if (!seen_.AllKnown()) {
    return WaitFor("not all nodes could be observed", milliseconds(500));
  }
  if (AnyCut()) {
    return PlanAfterWatchdog();
  }
  if (AllConfigured()) {
    Enter(Step::kResume);
    return PlanResume();
  }
  if (std::optional<Decision> heal = PlanHeal()) {
    return *heal;
  }
  if (run_.journal.rolling_back || run_.attempts > 0) {
    // Resumed by the watchdog, or it could not be suspended: nothing is cut, so this is a safe end.
    return End(Finished::Result::kBlocked,
               run_.failure.empty() ? "I/O could not be suspended" : run_.failure);
  }
  if (goal_.paused) {
    return End(Finished::Result::kBlocked, "paused");
  }
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

// Everything up to the reconnect in one go; a stage that fails ends it, and the next observation
// decides.
Decision Planner::BeginSuspension(const std::string& primary) {
  RunOnNodes run;
  const int seconds = std::max<int>(
      2,
      static_cast<int>(
          std::chrono::duration_cast<std::chrono::seconds>(goal_.timing.suspend_timeout).count()) -
          1);  // resuming takes time too (I1)
  run.stages.push_back({{.kind = Kind::kDisarm, .node = primary},
                        {.kind = Kind::kArm, .node = primary, .seconds = seconds},
                        {.kind = Kind::kSuspend, .node = primary}});
  if (Ops cuts = CutSecondaries(primary); !cuts.empty()) {
    run.stages.push_back(std::move(cuts));
  }
  run.stages.push_back({{.kind = Kind::kForceDisconnect, .node = primary}});
  run.stages.push_back(NetOptionsWhereWrong(/*also_connected=*/true));
  AddConnects(&run, /*expect_all=*/true, /*fast=*/true);
  run_.journal.started_at = now_;
  return Act(std::move(run), "suspend I/O on " + primary + " and switch all its connections",
             milliseconds(100));
}

Decision Planner::PlanSuspended(const std::string& primary) {
  const milliseconds budget = goal_.timing.suspend_timeout - goal_.timing.rollback_margin;
  const bool over_budget = InStep() > budget;
  if (!seen_.AllKnown()) {
    return WaitFor("suspended, and not all nodes could be observed", milliseconds(200));
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
  if (over_budget && !run_.journal.rolling_back) {
    run_.failure = "the connections did not come back within the time for a suspension";
    run_.journal.rolling_back = true;  // keeps the start time: the watchdog's clock runs on
    run_.attempts = 0;
    run_.not_before = {};
  }
  return PlanSwitchSuspended(primary, over_budget);
}

Decision Planner::PlanSwitchSuspended(const std::string& primary, bool over_budget) {
  if (TooEarly() && !AllConnected()) {
    return WaitFor("suspended; waiting for the connections", milliseconds(200));
  }
  RunOnNodes run;
  const bool primary_wrong_but_up =
      std::any_of(seen_.connections.begin(), seen_.connections.end(), [&](const auto& item) {
        return item.first.Has(primary) && item.second.BothConnected() &&
               !item.second.BothConfigured(Target(item.first));
      });
  if (Ops cuts = CutSecondaries(primary); !cuts.empty()) {
    run.stages.push_back(std::move(cuts));
  }
  if (primary_wrong_but_up) {
    if (over_budget && !run_.journal.rolling_back) {
      return WaitFor("no time left for another cut; waiting for the watchdog", milliseconds(300));
    }
    run.stages.push_back({{.kind = Kind::kForceDisconnect, .node = primary}});
  }
  if (Ops options = NetOptionsWhereWrong(/*also_connected=*/true); !options.empty()) {
    run.stages.push_back(std::move(options));
  }
  AddConnects(&run, /*expect_all=*/primary_wrong_but_up, /*fast=*/!run_.journal.rolling_back);
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
    run_.failure = "I/O was resumed before the connections were switched";
    run_.journal.rolling_back = true;
    run_.attempts = 0;
    run_.not_before = {};
  }
  if (TooEarly()) {
    return WaitFor("waiting for the connections", milliseconds(300));
  }
  RunOnNodes run;
  if (Ops options = NetOptionsWhereWrong(/*also_connected=*/false); !options.empty()) {
    run.stages.push_back(std::move(options));
  }
  AddConnects(&run, /*expect_all=*/false, /*fast=*/false);
  if (run.stages.empty()) {
    if (!run_.journal.rolling_back && InStep() > goal_.timing.reconnect) {
      return RollBackFrom("the connections did not come back");
    }
    return WaitFor("waiting for the connections", milliseconds(400));
  }
  return Act(std::move(run), "bring the connections back after I/O was resumed");
}

Decision Planner::PlanResume() {
  const std::vector<std::string> primaries = seen_.Primaries();
  std::vector<NodeOp> resumes;
  std::vector<NodeOp> disarms;
  for (const auto& [name, node] : seen_.nodes) {
    if (node.suspended_user) {
      resumes.push_back({.kind = Kind::kResume, .node = name});
    }
    if (node.known && node.primary) {
      disarms.push_back({.kind = Kind::kDisarm, .node = name});
    }
  }
  if (std::optional<Decision> heal = PlanHeal()) {
    return *heal;
  }
  const GateResult gate = Gate(/*may_be_suspended=*/true);
  if (!gate.ok()) {
    if (run_.journal.strategy == Strategy::kSuspendIo &&
        gate.kind == GateResult::Kind::kNotConnected) {
      const SystemTime started = run_.journal.started_at;
      Enter(Step::kSuspend);
      run_.journal.started_at = started;
      return WaitFor("a connection went down before resume", milliseconds(100));
    }
    if (run_.journal.strategy == Strategy::kNone && !goal_.paused && resumes.empty()) {
      run_.journal = Journal{};  // resumed by somebody else
      return WaitFor("resumed by somebody else");
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
  if (disarms.empty()) {
    return PlanFinish();
  }
  return Act(RunOnNodes{{std::move(disarms)}}, "end the watchdog", milliseconds(100));
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
  const std::vector<Pair> down = DownPairs();
  const bool primary_up =
      of_primary.empty() && std::none_of(down.begin(), down.end(), [&](const Pair& pair) {
        return seen_.nodes.at(pair.a).primary || seen_.nodes.at(pair.b).primary;
      });
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
