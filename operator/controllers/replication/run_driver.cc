#include "operator/controllers/replication/run_driver.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <variant>

namespace breakwater::controllers {

using std::chrono::milliseconds;
using replication::Decision;
using replication::Goal;
using replication::Journal;
using replication::ResourceObservation;
using replication::RunState;
using replication::Step;

namespace {

constexpr milliseconds kObserveTimeout{15000};
constexpr milliseconds kSecondLookTimeout{5000};
// LINSTOR answers when all satellites are done; it gives a hanging adjust 45 s (L23).
constexpr milliseconds kLinstorTimeout{60000};
constexpr milliseconds kOperationTimeout{60000};
constexpr milliseconds kLevelsAge{5000};
// After a stop request a frozen volume is brought to an end; beyond this the node's watchdog does
// it.
constexpr milliseconds kStopGrace{15000};
// The gate speaks of the moment of the observation; beyond this age it is asked again before a cut.
constexpr milliseconds kEvidenceAge{1000};
constexpr milliseconds kJournalTimeout{10000};
// A frozen volume does not wait for the API server.
constexpr milliseconds kFrozenJournalTimeout{500};
// A driver that only waits without a run gives its place back.
constexpr milliseconds kIdlePatience{20000};
// A repair without a run: twice the time that a connection may take to come back (F18).
constexpr milliseconds kRepairPatience{60000};
// A run all of whose connections are up.
constexpr milliseconds kRunPatience{300000};

// A step that starts anew within this time keeps its entry: an earlier start is the careful one.
constexpr std::chrono::seconds kSameStart{5};

std::vector<replication::Pair> HealedBy(const Decision& decision) {
  std::vector<replication::Pair> pairs;
  const auto* run = std::get_if<replication::RunOnNodes>(&decision.action);
  if (run == nullptr) {
    return pairs;
  }
  for (const std::vector<replication::NodeOp>& stage : run->stages) {
    for (const replication::NodeOp& op : stage) {
      if (op.kind == replication::NodeOp::Kind::kInvalidateRemote) {
        pairs.push_back(replication::Pair::Of(op.node, op.peer));
      } else if (op.kind == replication::NodeOp::Kind::kInvalidate && decision.run.journal.pair) {
        pairs.push_back(*decision.run.journal.pair);
      }
    }
  }
  return pairs;
}

bool SameEntry(const std::optional<Journal>& written, Journal journal) {
  if (!written) {
    return false;
  }
  const auto later = journal.started_at - written->started_at;
  if (later >= later.zero() && later <= kSameStart) {
    journal.started_at = written->started_at;
  }
  return *written == journal;
}

}  // namespace

struct RunDriver::Progress {
  std::stop_token stop{};
  std::string resource{};
  std::set<std::string> nodes{};  ///< LINSTOR's list
  std::set<std::string> peers{};  ///< whom the nodes name as peers
  RunState state{};
  replication::ResourceLevels levels{};
  std::optional<SteadyTime> levels_read{};
  std::optional<Journal> written{};
  std::optional<Journal> given_up{};  ///< could not be written while the volume was frozen
  SteadyTime observed_at{};
  std::optional<SteadyTime> stop_seen{};
  std::optional<SteadyTime> suspended_since{};
  std::optional<SteadyTime> waits_since{};
  std::optional<SteadyTime> repair_since{};
  std::string last_why{};
  bool announced = false;
  RunResult result{};
};

RunDriver::RunDriver(RunServices services, RunEvent event)
    : services_(services), event_(std::move(event)) {}

/// Ended by a stop request, but while the volume is frozen: that is brought to an end first. An
/// operation that was cut off is found again by the next leader, in the journal.
Context RunDriver::Base(const Progress& run) const {
  return Context(run.suspended_since ? std::stop_token{} : run.stop, services_.clock);
}

ResourceObservation RunDriver::Observe(Progress& run) {
  const Context ctx = Base(run).WithTimeout(kObserveTimeout);
  const bool suspended =
      run.state.journal.step == Step::kSuspend || run.state.journal.step == Step::kResume;
  const SteadyTime now = services_.clock.SteadyNow();
  if (!run.levels_read || (!suspended && now - *run.levels_read > kLevelsAge)) {
    LinstorResource resource = services_.linstor.ReadResource(ctx, run.resource);
    run.levels = std::move(resource.levels);
    if (run.levels.known) {
      run.nodes = std::move(resource.nodes);  // a pod moved, a replica came or went
    }
    run.levels_read = services_.clock.SteadyNow();
  }
  std::set<std::string> asked = run.nodes;
  asked.insert(run.peers.begin(), run.peers.end());
  // One slow node must not make what the others said before look fresh.
  const NodeObserver::Moment moment = services_.observer.ObserveTogether(
      Base(run), asked,
      {.first = std::chrono::duration_cast<milliseconds>(ctx.Remaining(kObserveTimeout)),
       .again = kSecondLookTimeout,
       .apart = kEvidenceAge / 2});
  run.observed_at = moment.at;
  run.peers = replication::PeersIn(moment.reports, run.resource);
  return replication::BuildObservation(run.resource, run.nodes, moment.reports, run.levels);
}

// False: do not act. While a volume is frozen the way out must not depend on the API server: then
// one short try per entry.
bool RunDriver::WriteJournal(Progress& run, const Journal& journal) {
  const bool frozen = run.suspended_since.has_value();
  if (SameEntry(run.written, journal) || (frozen && SameEntry(run.given_up, journal))) {
    return true;
  }
  const Context ctx = Context(std::stop_token{}, services_.clock)
                          .WithTimeout(frozen ? kFrozenJournalTimeout : kJournalTimeout);
  const Result<void, Error> written = services_.status.SetJournal(ctx, run.resource, journal);
  if (written) {
    run.written = journal;
    return true;
  }
  services_.log.Warn("journal could not be written",
                     {{"resource", run.resource}, {"error", written.error().message}});
  if (frozen) {
    run.given_up = journal;
  }
  return frozen;
}

// Writing may have taken longer than what the nodes said stays true. Then the same step is decided
// again on a new look, without counting as a try.
bool RunDriver::EvidenceIsOld(const Progress& run, const Decision& decision) const {
  return std::holds_alternative<replication::RunOnNodes>(decision.action) &&
         services_.clock.SteadyNow() - run.observed_at > kEvidenceAge;
}

RunState RunDriver::NotDone(const RunState& before, const Decision& decision, bool written) {
  RunState state = decision.run;
  const bool same_step = before.journal.step == state.journal.step &&
                         before.journal.pair == state.journal.pair &&
                         before.journal.rolling_back == state.journal.rolling_back;
  state.attempts = same_step ? before.attempts : 0;
  state.not_before = same_step ? before.not_before : SystemTime{};
  if (!written) {
    state.journal = before.journal;
    state.failure = before.failure;
    state.attempts = before.attempts;
    state.not_before = before.not_before;
  }
  return state;
}

void RunDriver::Act(Progress& run, const ResourceObservation& seen, const Decision& decision) {
  const Context base = Base(run);
  Result<void, Error> done;
  if (const auto* ops = std::get_if<replication::RunOnNodes>(&decision.action)) {
    done = services_.actor.Run(base.WithTimeout(kOperationTimeout), seen, *ops);
  } else if (const auto* change = std::get_if<replication::ChangeLinstor>(&decision.action)) {
    done = services_.actor.Change(base.WithTimeout(kLinstorTimeout), run.resource, *change);
    run.levels_read.reset();  // judged by what is there now, not by the reply (L20)
  }
  if (!done) {
    services_.log.Warn("operation failed; the next observation decides",
                       {{"resource", run.resource}, {"error", done.error().message}});
  }
}

void RunDriver::Report(Progress& run, const ResourceObservation& seen, const Decision& decision) {
  const SteadyTime now = services_.clock.SteadyNow();
  if (seen.SuspendedUser() && !run.suspended_since) {
    run.suspended_since = now;
  } else if (!seen.SuspendedUser() && run.suspended_since) {
    run.result.longest_suspension =
        std::max(run.result.longest_suspension,
                 std::chrono::duration_cast<milliseconds>(now - *run.suspended_since));
    run.suspended_since.reset();
  }
  if (decision.why != run.last_why) {
    services_.log.Info("step",
                       {{"resource", run.resource},
                        {"action", decision.why},
                        {"step", replication::StepName(decision.run.journal.step,
                                                         decision.run.journal.rolling_back)}});
    run.last_why = decision.why;
  }
}

bool RunDriver::MustStop(const Progress& run, bool suspended) const {
  if (!run.stop.stop_requested()) {
    return false;
  }
  return !suspended || !run.stop_seen || services_.clock.SteadyNow() - *run.stop_seen > kStopGrace;
}

// A run that can only wait gives its place back: at once what is not ours to wait for, after a
// while what is whole. Whatever is cut or frozen by us is not left alone.
bool RunDriver::GivesUp(Progress& run,
                        const ResourceObservation& seen,
                        const Decision& decision) const {
  const SteadyTime now = services_.clock.SteadyNow();
  const Journal& journal = decision.run.journal;
  const bool repair =
      journal.strategy == replication::Strategy::kNone && journal.step == Step::kReconnect;
  run.repair_since = repair ? run.repair_since.value_or(now) : run.repair_since;
  if (repair && !seen.SuspendedUser() && now - *run.repair_since > kRepairPatience) {
    return true;  // tries count as well: somebody must mend the cause first
  }
  if (!std::holds_alternative<replication::Wait>(decision.action)) {
    run.waits_since.reset();
    return false;
  }
  if (!run.waits_since) {
    run.waits_since = now;
  }
  const auto waited = now - *run.waits_since;
  if (!decision.run.running()) {
    return waited > kIdlePatience;
  }
  if (seen.SuspendedUser()) {
    return false;
  }
  if (journal.strategy == replication::Strategy::kNone) {
    return waited > kRepairPatience;
  }
  const bool all = journal.strategy == replication::Strategy::kSuspendIo;
  const bool cut =
      std::any_of(seen.connections.begin(), seen.connections.end(), [&](const auto& item) {
        const replication::ConnectionView& c = item.second;
        const bool alone = c.a.stand_alone() || c.b.stand_alone();
        return (all || journal.pair == item.first) &&
               (alone || (c.BothKnown() && !c.BothConnected()));
      });
  return !cut && waited > kRunPatience;
}

RunResult RunDriver::Run(RunTask task) {
  Progress run;
  run.stop = std::move(task.stop);
  run.resource = task.resource;
  run.nodes = std::move(task.nodes);
  run.state = std::move(task.state);
  if (run.state.running()) {
    run.written = run.state.journal;
    run.announced = true;
  }
  while (true) {
    if (run.stop.stop_requested() && !run.stop_seen) {
      run.stop_seen = services_.clock.SteadyNow();
    }
    const ResourceObservation seen = Observe(run);
    task.observed(seen);
    if (MustStop(run, seen.SuspendedUser() && run.state.running())) {
      run.result.end = RunResult::End::kStopped;
      return run.result;
    }
    const Decision decision = Next(seen, task.goal(), run.state, services_.clock.SystemNow());
    Report(run, seen, decision);
    if (decision.run.journal.strategy != replication::Strategy::kNone) {
      run.result.strategy = decision.run.journal.strategy;
    }
    run.result.why = decision.why;
    if (const auto* finished = std::get_if<replication::Finished>(&decision.action)) {
      using Outcome = replication::Finished::Result;
      run.result.end = finished->result == Outcome::kDone         ? RunResult::End::kDone
                       : finished->result == Outcome::kRolledBack ? RunResult::End::kRolledBack
                                                                  : RunResult::End::kBlocked;
      return run.result;
    }
    if (GivesUp(run, seen, decision)) {
      run.result.end = RunResult::End::kBlocked;
      return run.result;
    }
    task.waiting(run.waits_since ? decision.why : std::string());
    if (decision.run.running()) {
      const bool written = WriteJournal(run, decision.run.journal);
      if (!written || EvidenceIsOld(run, decision)) {
        run.state = NotDone(run.state, decision, written);
        Context(run.stop, services_.clock).SleepFor(milliseconds(written ? 0 : 2000));
        continue;  // never act on what is not written down, nor on what may have changed
      }
    }
    run.state = decision.run;
    if (run.state.running() && !run.announced) {
      run.announced = true;
      event_(run.resource, false, "MigrationStarted",
             "Volume " + run.resource + ": " + decision.why);
    }
    for (const replication::Pair& pair : HealedBy(decision)) {
      task.heals(pair);
    }
    Act(run, seen, decision);
    Context(run.stop, services_.clock).SleepFor(decision.poll);
  }
}

}  // namespace breakwater::controllers
