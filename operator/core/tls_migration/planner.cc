#include "operator/core/tls_migration/planner.h"

#include <algorithm>

#include "operator/core/tls_migration/evidence.h"
#include "operator/core/tls_migration/planner_internal.h"

namespace breakwater::tls_migration {

Decision Next(const ResourceObservation& seen,
              const Goal& goal,
              const RunState& run,
              SystemTime now,
              GatePolicy policy) {
  return internal::Planner(seen, goal, run, now, policy).Decide();
}

namespace internal {

using std::chrono::milliseconds;

Decision Planner::Decide() {
  TrackStale();
  if (Gate(/*may_be_suspended=*/true).kind != GateResult::Kind::kStuck) {
    run_.stuck_since.reset();
  }
  Decision decision;
  switch (run_.journal.step) {
    case Step::kIdle:
      decision = PlanStart();
      break;
    case Step::kCut:
      decision = PlanCut();
      break;
    case Step::kReconnect:
      decision = PlanReconnect();
      break;
    case Step::kPrepare:
      decision = PlanPrepare();
      break;
    case Step::kSuspend:
      decision = PlanSuspend();
      break;
    case Step::kResume:
      decision = PlanResume();
      break;
    case Step::kFinish:
      decision = PlanFinish();
      break;
    case Step::kHeal:
      decision = PlanHealStep();
      break;
  }
  return decision;
}

void Planner::TrackStale() {
  std::map<StalePeer, SystemTime> since;
  for (StalePeer stale : FindStale(seen_)) {
    stale.kib = 0;  // the amount grows while the state stays the same
    const auto before = run_.stale_since.find(stale);
    since[stale] = before == run_.stale_since.end() ? now_ : before->second;
  }
  run_.stale_since = std::move(since);
}

std::vector<StalePeer> Planner::DueStale() const {
  std::vector<StalePeer> due;
  for (const auto& [stale, since] : run_.stale_since) {
    if (now_ - since >= (stale.out_of_sync ? kOutOfSyncAfter : kStaleAfter)) {
      due.push_back(stale);
    }
  }
  return due;
}

// F12: healed before anything else, because the next reconnect would turn it into divergence.
std::optional<Decision> Planner::PlanHeal() {
  if (run_.stale_since.empty() || policy_ != GatePolicy::kEnforce) {
    return std::nullopt;
  }
  const std::vector<StalePeer> due = DueStale();
  if (due.empty()) {
    return WaitFor(
        "a peer disk is Outdated on an established connection; waiting whether it stays so",
        milliseconds(500));
  }
  const auto named = [](const StalePeer& stale) {
    return "stale peer " + stale.peer + " seen from " + stale.primary;
  };
  if (!goal_.heal_stale) {
    return WaitFor(named(due.front()) + ": held, healing is switched off", milliseconds(5000));
  }
  std::string held;
  for (const StalePeer& stale : due) {
    if (const std::optional<std::string> obstacle = HealObstacle(seen_, stale)) {
      held = held.empty() ? named(stale) + ": held, " + *obstacle : held;
      continue;
    }
    return TooEarly() ? WaitFor(named(stale) + ": waiting for the heal", milliseconds(500))
                      : HealNow(stale);
  }
  return WaitFor(held);
}

Decision Planner::HealNow(const StalePeer& stale) {
  const bool suspended = run_.journal.step == Step::kSuspend || run_.journal.step == Step::kResume;
  if (!suspended) {
    Enter(Step::kHeal, stale.pair);
  }
  NodeOp op;
  if (seen_.nodes.at(stale.primary).AllUpToDate()) {
    op.kind = NodeOp::Kind::kInvalidateRemote;
    op.node = stale.primary;
    op.peer = stale.peer;
  } else {  // a diskless Primary has no data to send: the peer fetches it from another copy
    op.kind = NodeOp::Kind::kInvalidate;
    op.node = stale.peer;
  }
  return Act(RunOnNodes{{{op}}}, "heal the stale peer " + stale.peer + " (F14)");
}

Decision Planner::PlanHealStep() {
  if (std::optional<Decision> heal = PlanHeal()) {
    return *heal;
  }
  const GateResult gate = Gate(/*may_be_suspended=*/true);
  if (!gate.ok() &&
      (gate.kind == GateResult::Kind::kResync || gate.kind == GateResult::Kind::kDisk ||
       gate.kind == GateResult::Kind::kStuck)) {
    if (gate.kind == GateResult::Kind::kStuck) {
      return PlanStuck(gate);
    }
    return WaitFor("healing: " + gate.reason, milliseconds(500));
  }
  // Healed, or something else is wrong now: go on with what the run was for.
  if (run_.journal.strategy == Strategy::kNone) {
    run_.journal = Journal{};
    return PlanStart();
  }
  if (run_.journal.strategy == Strategy::kPairByPair && AnyCut()) {
    for (const auto& [pair, connection] : seen_.connections) {
      if (!connection.BothConnected()) {
        Enter(Step::kReconnect, pair);
        return PlanReconnect();
      }
    }
  }
  return PlanNextPair();
}

// A connection that is down although nothing of ours runs: F5 (the ends differ) or F6 (StandAlone).
std::optional<Decision> Planner::PlanStartRepair() {
  for (const Pair& pair : DownPairs()) {
    const ConnectionView& connection = seen_.connections.at(pair);
    const bool tls = connection.a.tls.value_or(false) || connection.b.tls.value_or(false);
    const bool mismatch = connection.a.tls != connection.b.tls;
    const bool stand_alone = connection.a.stand_alone() || connection.b.stand_alone();
    if (!tls || (!mismatch && !stand_alone)) {
      continue;
    }
    if (stand_alone && goal_.hold.contains(pair)) {
      continue;
    }
    if (mismatch && !seen_.levels.known) {
      continue;  // which end is right is LINSTOR's to say
    }
    for (const std::string& node : {pair.a, pair.b}) {
      if (const auto unfit = goal_.unfit.find(node); unfit != goal_.unfit.end() && !mismatch) {
        return End(Finished::Result::kBlocked, "connection " + pair.ToString() +
                                                   " is down and node " + node +
                                                   " is not ready: " + unfit->second);
      }
    }
    if (TooEarly()) {
      return WaitFor("connection " + pair.ToString() + " is down; waiting before the next try");
    }
    Enter(Step::kReconnect, pair);
    return PlanReconnect();
  }
  return std::nullopt;
}

Decision Planner::PlanStart() {
  if (std::optional<Decision> heal = PlanHeal()) {
    return *heal;
  }
  if (goal_.heal_only) {
    return End(Finished::Result::kDone, "no stale peer");
  }
  if (seen_.SuspendedUser()) {
    if (!goal_.may_resume_leftover) {  // a snapshot that is being taken, or a person's
      return End(Finished::Result::kBlocked, "I/O is suspended by somebody else");
    }
    // Nobody is responsible: an old suspension that completed late (F2.7).
    Enter(Step::kResume);
    return PlanResume();
  }
  if (!goal_.paused) {
    if (std::optional<Decision> repair = PlanStartRepair()) {
      return *repair;
    }
    if (const GateResult gate = Gate(); gate.kind == GateResult::Kind::kStuck) {  // F4.9
      Enter(Step::kReconnect, gate.pair);
      return PlanReconnect();
    }
  }
  const std::vector<Pair> pairs = PairsToSwitch(seen_, goal_.wanted);
  if (!pairs.empty()) {
    return PlanStartSwitch(pairs);
  }
  if (seen_.levels.known && seen_.AllKnown() && !goal_.wanted.empty() && LinstorNeedsCleanup()) {
    run_.journal.strategy =
        Strategy::kPairByPair;  // nothing is cut: only LINSTOR's values are left
    Enter(Step::kFinish);
    return PlanFinish();
  }
  const GateResult gate = Gate();
  return End(gate.ok() ? Finished::Result::kDone : Finished::Result::kBlocked,
             gate.ok() ? "everything is as wanted" : gate.reason);
}

Decision Planner::PlanStartSwitch(const std::vector<Pair>& pairs) {
  if (goal_.paused) {
    return End(Finished::Result::kBlocked, "paused");
  }
  if (!seen_.levels.known) {
    return End(Finished::Result::kBlocked, "LINSTOR cannot be reached");
  }
  for (const Pair& pair : pairs) {
    for (const std::string& node : {pair.a, pair.b}) {
      const auto unfit = goal_.unfit.find(node);
      if (unfit != goal_.unfit.end() && goal_.wanted.at(pair)) {
        return End(Finished::Result::kBlocked, "node " + node + " is not ready: " + unfit->second);
      }
    }
    const ConnectionView& connection = seen_.connections.at(pair);
    if (connection.BothConnected() && connection.a.tls == connection.b.tls &&
        Effective(seen_.levels, pair.ToString()) != *connection.a.tls) {
      return End(Finished::Result::kBlocked,
                 "connection " + pair.ToString() + " is not pinned to what it runs");
    }
  }
  if (const GateResult gate = Gate(); !gate.ok() && gate.kind != GateResult::Kind::kNotConfigured) {
    return End(Finished::Result::kBlocked, gate.reason);
  }
  const StrategyPlan plan = ChooseStrategy(seen_, goal_);
  if (plan.strategy == Strategy::kNone) {
    return End(Finished::Result::kBlocked, plan.reason);
  }
  run_.journal.strategy = plan.strategy;
  if (plan.strategy == Strategy::kSuspendIo) {
    Enter(Step::kPrepare);
    return PlanPrepare();
  }
  Enter(Step::kCut, pairs.front());
  return PlanCut();
}

bool Planner::LinstorNeedsCleanup() const {
  const std::optional<std::map<PairKey, bool>> runs = Runs();
  return runs && !CleanupOps(seen_.levels, *runs, false).empty();
}

// What nobody said is never a reason to change anything: then a connection stays what it runs, and
// TLS where its ends differ.
bool Planner::Target(const Pair& pair) const {
  const ConnectionView* connection = seen_.Connection(pair);
  const bool runs = connection != nullptr &&
                    (connection->a.tls.value_or(false) || connection->b.tls.value_or(false));
  const auto wanted = goal_.wanted.find(pair);
  const bool told = wanted != goal_.wanted.end();
  if (!run_.journal.rolling_back) {
    // A repair without a run restores what LINSTOR's configuration says, not what is wanted one
    // day.
    if (run_.journal.strategy == Strategy::kNone && seen_.levels.known) {
      return Effective(seen_.levels, pair.ToString());
    }
    return told ? wanted->second : runs;
  }
  const bool before = told ? !wanted->second : runs;
  const Level own = PairLevel(seen_.levels, pair.ToString());
  if (own.ours) {
    return own.previous.value_or(before);
  }
  return seen_.levels.known ? Effective(seen_.levels, pair.ToString()) : before;
}

std::map<Pair, bool> Planner::Targets() const {
  std::map<Pair, bool> targets;
  for (const auto& [pair, connection] : seen_.connections) {
    targets[pair] = Target(pair);
  }
  return targets;
}

GateResult Planner::Gate(bool may_be_suspended) const {
  GateCheck check;
  check.may_be_suspended = may_be_suspended;
  for (const auto& [pair, connection] : seen_.connections) {
    const auto wanted = goal_.wanted.find(pair);
    const bool to_plaintext = wanted != goal_.wanted.end() && !wanted->second;
    if (!Target(pair) || (to_plaintext && !run_.journal.rolling_back)) {
      check.plaintext.insert(pair);
    }
  }
  check.policy = policy_;
  return CheckGate(seen_, check);
}

bool Planner::AllConnected() const {
  return std::all_of(seen_.connections.begin(), seen_.connections.end(),
                     [](const auto& item) { return item.second.BothConnected(); });
}

bool Planner::AllConfigured() const {
  return std::all_of(seen_.connections.begin(), seen_.connections.end(), [&](const auto& item) {
    return item.second.BothConfigured(Target(item.first));
  });
}

// Connections that are down and seen on both ends, those of a Primary first: two Secondaries that
// meet earlier pass data on, and the Primary's record of what the second one lacks is then taken
// for done.
std::vector<Pair> Planner::DownPairs() const {
  std::vector<Pair> first;
  std::vector<Pair> later;
  for (const auto& [pair, connection] : seen_.connections) {
    if (connection.BothKnown() && !connection.BothConnected()) {
      const bool primary = seen_.nodes.at(pair.a).primary || seen_.nodes.at(pair.b).primary;
      (primary ? first : later).push_back(pair);
    }
  }
  first.insert(first.end(), later.begin(), later.end());
  return first;
}

bool Planner::AnyCut() const {
  return !AllConnected();
}

Decision Planner::Make(Action action, std::string why, milliseconds poll) const {
  Decision decision;
  decision.action = std::move(action);
  decision.run = run_;
  decision.why = std::move(why);
  decision.poll = poll;
  return decision;
}

Decision Planner::WaitFor(std::string why, milliseconds poll) const {
  return Make(Wait{}, std::move(why), poll);
}

Decision Planner::Act(Action action, std::string why, milliseconds poll) {
  const milliseconds backoff = std::min(
      goal_.timing.max_backoff, goal_.timing.first_backoff * (1 << std::min(run_.attempts, 5)));
  ++run_.attempts;
  run_.not_before = now_ + backoff;
  return Make(std::move(action), std::move(why), poll);
}

Decision Planner::End(Finished::Result result, std::string why) {
  // A watchdog that outlives its run would resume suspensions that are none of ours.
  const Journal& journal = run_.journal;
  if (journal.strategy == Strategy::kSuspendIo && journal.step != Step::kPrepare &&
      !run_.disarmed) {
    if (Ops disarms = Disarms(); !disarms.empty()) {
      run_.disarmed = true;
      return Act(RunOnNodes{{std::move(disarms)}}, "end the watchdog: " + why, milliseconds(100));
    }
  }
  run_.disarmed = false;
  if (result == Finished::Result::kDone) {
    run_.not_before = {};
    run_.attempts = 0;
  }
  run_.journal = Journal{};
  run_.stuck_since.reset();
  return Make(Finished{result}, std::move(why), milliseconds(1000));
}

void Planner::Enter(Step step, std::optional<Pair> pair) {
  Journal& journal = run_.journal;
  if (journal.step == step && journal.pair == pair) {
    return;
  }
  journal.step = step;
  journal.pair = std::move(pair);
  journal.started_at = now_;
  run_.attempts = 0;
  run_.not_before = {};
  run_.stuck_since.reset();
}

}  // namespace internal
}  // namespace breakwater::tls_migration
