#include <algorithm>
#include <iterator>
#include <utility>

#include "operator/base/rfc3339.h"
#include "operator/controllers/replication/engine.h"
#include "operator/core/replication/volume/gate.h"

namespace breakwater::controllers {

using std::chrono::milliseconds;
using std::chrono::seconds;
using replication::ClusterPlan;
using replication::ResourceObservation;

namespace {

// LINSTOR suspends for a snapshot, a person for some work: nobody is responsible only after a
// while.
constexpr seconds kLeftoverAfter{60};
// A run that waits so long is shown.
constexpr seconds kShownAfter{60};

bool DownWithTls(const ResourceObservation& seen, const std::set<replication::Pair>& hold) {
  return std::any_of(seen.connections.begin(), seen.connections.end(), [&](const auto& item) {
    const replication::ConnectionView& c = item.second;
    const bool tls = c.a.tls.value_or(false) || c.b.tls.value_or(false);
    const bool alone = c.a.stand_alone() || c.b.stand_alone();
    return c.BothKnown() && !c.BothConnected() && tls && (c.a.tls != c.b.tls || alone) &&
           !(alone && hold.contains(item.first));
  });
}

}  // namespace

// Suspensions that have lasted so long that a run may resume them.
void Engine::TrackLeftovers(const std::vector<ResourceObservation>& resources) {
  const SteadyTime now = deps_.services.clock.SteadyNow();
  std::map<std::string, SteadyTime> since;
  std::set<std::string> leftover;
  for (const ResourceObservation& seen : resources) {
    if (!seen.SuspendedUser()) {
      continue;
    }
    const auto before = suspended_since_.find(seen.resource);
    since[seen.resource] = before == suspended_since_.end() ? now : before->second;
    if (now - since[seen.resource] >= kLeftoverAfter) {
      leftover.insert(seen.resource);
    }
  }
  suspended_since_ = std::move(since);
  const std::lock_guard lock(mutex_);
  leftover_ = std::move(leftover);
}

// Whether a resource without a run needs a driver: F12's state, a leftover suspension, or a
// connection that does not come back by itself (F5, F6). On every observation of every volume.
// `foreign`: LINSTOR answers and does not know it. It belongs to somebody else, and only F12's
// state is mended.
bool Engine::NeedsCare(const ResourceObservation& seen, bool foreign) {
  const SteadyTime now = deps_.services.clock.SteadyNow();
  const bool stale = !FindStale(seen).empty();
  const bool suspended = seen.SuspendedUser();
  std::set<replication::Pair> hold;
  {
    const std::lock_guard lock(mutex_);
    hold = hold_.contains(seen.resource) ? hold_.at(seen.resource) : hold;
  }
  if (!stale && (foreign || (!suspended && !DownWithTls(seen, hold)))) {
    care_since_.erase(seen.resource);
    return false;
  }
  const SteadyTime since = care_since_.emplace(seen.resource, now).first->second;
  bool urgent = stale;
  {
    const std::lock_guard lock(mutex_);
    urgent = urgent || leftover_.contains(seen.resource);  // I/O hangs: no backing off
  }
  if (const auto failure = failures_.find(seen.resource);
      failure != failures_.end() && now < failure->second.retry_at && !urgent) {
    return false;
  }
  return urgent || (!suspended && now - since >= seconds(5));
}

void Engine::StartDrivers(const std::vector<ResourceObservation>& resources,
                          const ClusterPlan& plan,
                          const LevelsSnapshot& linstor) {
  TrackLeftovers(resources);
  const std::set<std::string> active = ActiveNames();
  for (const ResourceObservation& seen : resources) {
    if (active.contains(seen.resource)) {
      continue;
    }
    const auto resumed = resume_.find(seen.resource);
    const bool start =
        std::find(plan.start.begin(), plan.start.end(), seen.resource) != plan.start.end();
    const bool foreign = linstor.known && !linstor.resources.contains(seen.resource);
    const bool care = NeedsCare(seen, foreign);
    if (resumed == resume_.end() && !start && !care) {
      continue;
    }
    // Without LINSTOR nobody knows what is wanted: only what is frozen or cut cannot wait for it.
    const bool urgent = seen.SuspendedUser() ||
                        std::any_of(seen.connections.begin(), seen.connections.end(),
                                    [](const auto& item) { return !item.second.BothConnected(); });
    if (resumed != resume_.end() && !linstor.known && !urgent) {
      continue;
    }
    replication::RunState state;
    if (resumed != resume_.end()) {
      state = resumed->second;
      resume_.erase(resumed);
    }
    // A heal or repair that a former leader began is no migration: nobody has released one.
    const bool switching =
        start || (state.running() && state.journal.strategy != replication::Strategy::kNone);
    // Without LINSTOR the plan's wishes are guesses; the driver gets them when it answers.
    if (const auto wanted = plan.wanted.find(seen.resource);
        wanted != plan.wanted.end() && switching && linstor.known && plan.problem.reason.empty()) {
      const std::lock_guard lock(mutex_);
      wanted_[seen.resource] = wanted->second;
    }
    StartDriver(seen, std::move(state), switching, foreign);
  }
  // A journal entry of a resource that is gone everywhere has nothing to go on with.
  for (auto it = resume_.begin(); it != resume_.end();) {
    const bool there = std::any_of(resources.begin(), resources.end(),
                                   [&](const auto& seen) { return seen.resource == it->first; });
    if (!there && linstor.known) {
      const Context ctx =
          Context(std::stop_token{}, deps_.services.clock).WithTimeout(milliseconds(10000));
      (void)cluster_->status->SetJournal(ctx, it->first, std::nullopt);
      it = resume_.erase(it);
    } else {
      ++it;
    }
  }
}

void Engine::StartDriver(const ResourceObservation& seen,
                         replication::RunState state,
                         bool switching,
                         bool foreign) {
  std::set<std::string> nodes;
  for (const auto& [name, view] : seen.nodes) {
    nodes.insert(name);
  }
  const std::string resource = seen.resource;
  RunDriver* driver = cluster_->driver.get();
  const std::lock_guard lock(mutex_);
  Active& active = active_[resource];
  active.switching = switching;
  active.foreign = foreign;
  active.thread = std::make_unique<Thread>(
      "rtls-run", [this, driver, resource, nodes, state = std::move(state),
                   stop = driver_stop_.get_token()](const std::stop_token&) {
        RunResult result = driver->Run(
            {stop, resource, nodes, state, [this, resource] { return GoalFor(resource); },
             [this](const ResourceObservation& look) { NoteObservation(look); },
             [this, resource](const replication::Pair& pair) {
               const std::lock_guard guard(mutex_);
               stale_.NoteHeal(resource, pair);
             },
             [this, resource](const std::string& why) { NoteWaiting(resource, why); }});
        {
          const std::lock_guard guard(mutex_);
          active_[resource].result = std::move(result);
          active_[resource].done = true;
        }
        wakeup_.NotifyAll();
      });
}

void Engine::NoteWaiting(const std::string& resource, const std::string& why) {
  const std::lock_guard lock(mutex_);
  Active& active = active_[resource];
  if (active.waiting.empty()) {
    active.waiting_since = deps_.services.clock.SystemNow();
  }
  active.waiting = why;
}

// A run that waits is not a failure for a minute; then people must be able to see what for.
std::vector<api::MigrationFailure> Engine::LongWaits() const {
  std::vector<api::MigrationFailure> waits;
  const SystemTime now = deps_.services.clock.SystemNow();
  const std::lock_guard lock(mutex_);
  for (const auto& [resource, active] : active_) {
    if (!active.waiting.empty() && now - active.waiting_since >= kShownAfter) {
      waits.push_back(
          {resource, "", "Waiting", active.waiting, FormatRfc3339(active.waiting_since)});
    }
  }
  return waits;
}

void Engine::ReapDrivers(const Context& ctx) {
  std::map<std::string, Active> ended;
  {
    const std::lock_guard lock(mutex_);
    for (auto it = active_.begin(); it != active_.end();) {
      if (it->second.done) {
        ended.emplace(it->first, std::move(it->second));
        wanted_.erase(it->first);
        it = active_.erase(it);
      } else {
        ++it;
      }
    }
  }
  for (auto& [resource, active] : ended) {
    active.thread->Join();
    if (active.result.end == RunResult::End::kStopped) {
      continue;  // the journal stays for the next leader
    }
    const auto removed = cluster_->status->SetJournal(ctx, resource, std::nullopt);
    if (!removed) {
      resume_[resource] = {};  // looked at again; an idle state costs nothing
    }
    NoteResult(resource, active.result);
  }
}

void Engine::NoteResult(const std::string& resource, const RunResult& result) {
  reporter_.CountRun(result);
  if (result.end == RunResult::End::kDone) {
    failures_.erase(resource);
    care_since_.erase(resource);
    if (result.strategy != replication::Strategy::kNone) {
      reporter_.Event(cluster_->name, resource, false, "MigrationDone",
                      "Volume " + resource + ": " + result.why);
    }
    return;
  }
  const bool rolled_back = result.end == RunResult::End::kRolledBack;
  Failure& failure = failures_[resource];
  // A run that the death of a former leader interrupted is rolled back too: the first retry is
  // soon.
  const seconds first = rolled_back ? seconds(30) : seconds(15);
  const seconds most = rolled_back ? seconds(3600) : seconds(300);
  const seconds wait = std::min(most, first * (1 << std::min(failure.count, 8)));
  ++failure.count;
  failure.retry_at = deps_.services.clock.SteadyNow() + wait;
  const std::string reason = rolled_back ? "RolledBack" : "Blocked";
  if (failure.shown.reason != reason || failure.shown.message != result.why) {
    failure.shown = {resource, "", reason, result.why,
                     FormatRfc3339(deps_.services.clock.SystemNow())};
    reporter_.Event(cluster_->name, resource, true,
                    rolled_back ? "MigrationRolledBack" : "MigrationBlocked",
                    "Volume " + resource + ": " + result.why);
  }
}

std::vector<api::MigrationFailure> Engine::ShownFailures(
    const std::vector<ResourceObservation>& resources,
    const ClusterPlan& plan,
    const std::map<std::string, std::vector<replication::PreflightFailure>>& preflight) {
  std::vector<api::MigrationFailure> shown = StaleFailures();
  const std::string now = FormatRfc3339(deps_.services.clock.SystemNow());
  std::set<std::string> dangers;
  if (const replication::ClusterProblem& problem = plan.problem; !problem.reason.empty()) {
    const std::string since = danger_since_.emplace(problem.reason, now).first->second;
    dangers.insert(problem.reason);
    shown.push_back({"", "", problem.reason, problem.message, since});
  }
  for (const ResourceObservation& seen : resources) {
    if (seen.SuspendedUser() && !ActiveNames().contains(seen.resource)) {
      const std::string since = danger_since_.emplace(seen.resource, now).first->second;
      dangers.insert(seen.resource);
      shown.push_back(
          {seen.resource, "", "Suspended", "I/O is suspended and nobody is responsible", since});
    }
  }
  for (const ResourceObservation& seen : resources) {
    if (!plan.held.contains(seen.resource) || failures_.contains(seen.resource)) {
      continue;
    }
    for (const auto& [node, failures] : preflight) {
      const auto blocker = replication::FirstBlocker(failures);
      if (!blocker || !seen.nodes.contains(node)) {
        continue;
      }
      const std::string key = seen.resource + "@" + node;
      const std::string since = danger_since_.emplace(key, now).first->second;
      dangers.insert(key);
      shown.push_back({seen.resource, node, blocker->reason, blocker->message, since});
    }
  }
  std::erase_if(danger_since_, [&](const auto& item) { return !dangers.contains(item.first); });
  for (const auto& [resource, failure] : failures_) {
    shown.push_back(failure.shown);
  }
  for (std::vector<api::MigrationFailure> more : {AloneFailures(), LongWaits()}) {
    std::move(more.begin(), more.end(), std::back_inserter(shown));
  }
  return shown;
}

void Engine::Report(const Context& ctx, const api::Object& object, const Picture& picture) {
  const api::ReplicationTlsStatus status = BuildStatus(picture);
  api::Condition condition = BuildCondition(picture, status);
  condition.observed_generation = object.generation();
  condition.last_transition_time = FormatRfc3339(deps_.services.clock.SystemNow());
  if (const auto written = cluster_->status->Update(ctx, status, condition); !written) {
    log_.Warn("status could not be written", {{"error", written.error().message}});
  }
  if (status.phase != last_phase_) {
    if (!last_phase_.empty()) {
      reporter_.Event(cluster_->name, "", status.phase == "Blocked",
                      "ReplicationTLS" + status.phase, condition.message);
    }
    last_phase_ = status.phase;
  }
  Reporter::Dangers dangers;
  for (const api::MigrationFailure& failure : StaleFailures()) {
    ++(failure.reason == "Diverged" ? dangers.diverged : dangers.stale);
  }
  for (const ResourceObservation& seen : picture.resources) {
    dangers.suspended += seen.SuspendedUser() ? 1U : 0U;
  }
  reporter_.SetMetrics(status, dangers);
  reporter_.ReportNodes(ctx, picture.nodes);
}

void Engine::JoinDrivers() {
  while (true) {
    std::unique_ptr<Thread> thread;
    {
      const std::lock_guard lock(mutex_);
      for (auto& [name, active] : active_) {
        if (active.thread != nullptr && active.thread->joinable() && thread == nullptr) {
          thread = std::move(active.thread);
          active.thread = std::make_unique<Thread>();
        }
      }
    }
    if (thread == nullptr) {
      return;
    }
    thread->Join();
  }
}

}  // namespace breakwater::controllers
