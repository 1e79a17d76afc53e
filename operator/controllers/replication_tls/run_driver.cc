#include "operator/controllers/replication_tls/run_driver.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <variant>

namespace breakwater::controllers {

using std::chrono::milliseconds;
using tls_migration::Decision;
using tls_migration::Goal;
using tls_migration::Journal;
using tls_migration::ResourceObservation;
using tls_migration::RunState;
using tls_migration::Step;

namespace {

constexpr milliseconds kObserveTimeout{15000};
// LINSTOR answers when all satellites are done; it gives a hanging adjust 45 s (L23).
constexpr milliseconds kLinstorTimeout{60000};
constexpr milliseconds kOperationTimeout{60000};
constexpr milliseconds kLevelsAge{5000};
// After a stop request a frozen volume is brought to an end; beyond this the node's watchdog does
// it.
constexpr milliseconds kStopGrace{15000};
// A driver that only waits without a run gives its place back.
constexpr milliseconds kIdlePatience{20000};

}  // namespace

struct RunDriver::Context_ {
  std::stop_token stop{};
  std::string resource{};
  std::set<std::string> nodes{};
  RunState state{};
  tls_migration::ResourceLevels levels{};
  std::optional<SteadyTime> levels_read{};
  std::optional<Journal> written{};
  std::optional<SteadyTime> stop_seen{};
  std::optional<SteadyTime> suspended_since{};
  std::optional<SteadyTime> idle_since{};
  std::string last_why{};
  bool stale_reported = false;
  RunResult result{};
};

RunDriver::RunDriver(RunServices services, RunEvent event)
    : services_(services), event_(std::move(event)) {}

/// Ended by a stop request, but while the volume is frozen: that is brought to an end first. An
/// operation that was cut off is found again by the next leader, in the journal.
Context RunDriver::Base(const Context_& run) const {
  return Context(run.suspended_since ? std::stop_token{} : run.stop, services_.clock);
}

ResourceObservation RunDriver::Observe(Context_& run) {
  const Context ctx = Base(run).WithTimeout(kObserveTimeout);
  const bool suspended =
      run.state.journal.step == Step::kSuspend || run.state.journal.step == Step::kResume;
  const SteadyTime now = services_.clock.SteadyNow();
  if (!run.levels_read || (!suspended && now - *run.levels_read > kLevelsAge)) {
    run.levels = services_.linstor.ReadLevels(ctx, run.resource);
    run.levels_read = services_.clock.SteadyNow();
  }
  const std::map<std::string, tls_migration::NodeReport> reports =
      services_.observer.Observe(ctx, run.nodes);
  return tls_migration::BuildObservation(run.resource, run.nodes, reports, run.levels,
                                         services_.clock.SystemNow());
}

// False: do not act. While a volume is frozen the way out must not depend on the API server.
bool RunDriver::WriteJournal(Context_& run, const Journal& journal) {
  if (run.written == journal) {
    return true;
  }
  const Context ctx = Context(std::stop_token{}, services_.clock).WithTimeout(milliseconds(10000));
  const Result<void, Error> written = services_.status.SetJournal(ctx, run.resource, journal);
  if (written) {
    run.written = journal;
    return true;
  }
  services_.log.Warn("journal could not be written",
                     {{"resource", run.resource}, {"error", written.error().message}});
  return run.suspended_since.has_value();
}

void RunDriver::Act(Context_& run, const ResourceObservation& seen, const Decision& decision) {
  const Context base = Base(run);
  Result<void, Error> done;
  if (const auto* ops = std::get_if<tls_migration::RunOnNodes>(&decision.action)) {
    done = services_.actor.Run(base.WithTimeout(kOperationTimeout), seen, *ops);
  } else if (const auto* change = std::get_if<tls_migration::ChangeLinstor>(&decision.action)) {
    done = services_.actor.Change(base.WithTimeout(kLinstorTimeout), run.resource, *change);
    run.levels_read.reset();  // judged by what is there now, not by the reply (L20)
  }
  if (!done) {
    services_.log.Warn("operation failed; the next observation decides",
                       {{"resource", run.resource}, {"error", done.error().message}});
  }
}

void RunDriver::Report(Context_& run, const ResourceObservation& seen, const Decision& decision) {
  const SteadyTime now = services_.clock.SteadyNow();
  if (seen.SuspendedUser() && !run.suspended_since) {
    run.suspended_since = now;
  } else if (!seen.SuspendedUser() && run.suspended_since) {
    run.result.longest_suspension =
        std::max(run.result.longest_suspension,
                 std::chrono::duration_cast<milliseconds>(now - *run.suspended_since));
    run.suspended_since.reset();
  }
  if (!decision.stale.empty() && !run.stale_reported) {
    const tls_migration::StalePeer& stale = decision.stale.front();
    event_(run.resource, true, "StalePeer",
           "Volume " + run.resource + ": " + stale.primary + " does not send writes to " +
               stale.peer + " although they are connected; " + decision.why);
    run.stale_reported = true;
  } else if (decision.stale.empty() && run.stale_reported) {
    event_(run.resource, false, "StalePeerHealed", "Volume " + run.resource + " is in sync again");
    run.stale_reported = false;
  }
  if (decision.why != run.last_why) {
    services_.log.Info("step",
                       {{"resource", run.resource},
                        {"action", decision.why},
                        {"step", tls_migration::StepName(decision.run.journal.step,
                                                         decision.run.journal.rolling_back)}});
    run.last_why = decision.why;
  }
}

bool RunDriver::MustStop(const Context_& run, bool suspended) const {
  if (!run.stop.stop_requested()) {
    return false;
  }
  return !suspended || !run.stop_seen || services_.clock.SteadyNow() - *run.stop_seen > kStopGrace;
}

RunResult RunDriver::Run(std::stop_token stop,
                         const std::string& resource,
                         std::set<std::string> nodes,
                         std::function<Goal()> goal,
                         RunState state) {
  Context_ run;
  run.stop = std::move(stop);
  run.resource = resource;
  run.nodes = std::move(nodes);
  run.state = std::move(state);
  if (run.state.running()) {
    run.written = run.state.journal;
  }
  while (true) {
    if (run.stop.stop_requested() && !run.stop_seen) {
      run.stop_seen = services_.clock.SteadyNow();
    }
    const ResourceObservation seen = Observe(run);
    if (MustStop(run, seen.SuspendedUser() && run.state.running())) {
      run.result.end = RunResult::End::kStopped;
      return run.result;
    }
    const Decision decision = Next(seen, goal(), run.state, services_.clock.SystemNow());
    Report(run, seen, decision);
    const bool began = !run.state.running() && decision.run.running();
    if (decision.run.journal.strategy != tls_migration::Strategy::kNone) {
      run.result.strategy = decision.run.journal.strategy;
    }
    if (const auto* finished = std::get_if<tls_migration::Finished>(&decision.action)) {
      using Result_ = tls_migration::Finished::Result;
      run.result.end = finished->result == Result_::kDone         ? RunResult::End::kDone
                       : finished->result == Result_::kRolledBack ? RunResult::End::kRolledBack
                                                                  : RunResult::End::kBlocked;
      run.result.why = decision.why;
      return run.result;
    }
    run.state = decision.run;
    if (run.state.running() && !WriteJournal(run, run.state.journal)) {
      const Context ctx(run.stop, services_.clock);
      ctx.SleepFor(milliseconds(2000));
      continue;  // never act on what is not written down
    }
    if (began) {
      event_(resource, false, "MigrationStarted", "Volume " + resource + ": " + decision.why);
    }
    Act(run, seen, decision);
    const SteadyTime now = services_.clock.SteadyNow();
    if (run.state.running()) {
      run.idle_since.reset();
    } else if (!run.idle_since) {
      run.idle_since = now;
    } else if (now - *run.idle_since > kIdlePatience) {
      run.result.end = RunResult::End::kBlocked;
      run.result.why = decision.why;
      return run.result;
    }
    const Context ctx(run.stop, services_.clock);
    ctx.SleepFor(decision.poll);
  }
}

}  // namespace breakwater::controllers
