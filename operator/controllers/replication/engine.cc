#include "operator/controllers/replication/engine.h"

#include <algorithm>
#include <utility>

#include "operator/api/resources.h"
#include "operator/core/replication/volume/gate.h"
#include "operator/core/replication/node/text.h"

namespace breakwater::controllers {

using std::chrono::milliseconds;
using std::chrono::seconds;
using replication::ClusterInput;
using replication::ClusterPlan;
using replication::NodeReport;
using replication::ResourceObservation;

namespace {

constexpr milliseconds kBusyInterval{2000};
constexpr milliseconds kPendingInterval{15000};
constexpr milliseconds kNodesTimeout{30000};
constexpr milliseconds kLinstorTimeout{30000};
constexpr milliseconds kApiTimeout{20000};

replication::StrategyChoice ToChoice(api::MigrationStrategy strategy) {
  switch (strategy) {
    case api::MigrationStrategy::kPairByPair:
      return replication::StrategyChoice::kPairByPair;
    case api::MigrationStrategy::kSuspendIo:
      return replication::StrategyChoice::kSuspendIo;
    case api::MigrationStrategy::kAuto:
      break;
  }
  return replication::StrategyChoice::kAuto;
}

}  // namespace

Engine::Engine(EngineDeps deps)
    : deps_(std::move(deps)),
      log_(deps_.services.log.Named("replication-tls")),
      observer_(deps_.shell,
                log_,
                {.satellite_container = deps_.options.satellite_container,
                 .tlshd_container = deps_.options.tlshd_container}),
      reporter_(deps_.services, deps_.client, deps_.clusters, deps_.satellites, deps_.events) {}

Engine::~Engine() {
  Stop();
}

void Engine::Start(std::stop_token leading) {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = false;
    driver_stop_ = std::stop_source();
  }
  loop_ = Thread("rtls-loop", [this, leading = std::move(leading)](const std::stop_token& stop) {
    Loop(stop, leading);
  });
}

void Engine::Stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    driver_stop_.request_stop();
  }
  loop_.RequestStop();
  wakeup_.NotifyAll();
  loop_.Join();
  JoinDrivers();
}

void Engine::Wake() {
  wakeup_.NotifyAll();
}

void Engine::Loop(const std::stop_token& stop, const std::stop_token& leading) {
  while (!stop.stop_requested()) {
    const runtime::Wakeup::Ticket ticket = wakeup_.GetTicket();
    const milliseconds interval = Round(stop, leading);
    const SteadyTime until = deps_.services.clock.SteadyNow() + interval;
    runtime::Wakeup::Wait(ticket, stop, deps_.services.clock, until);
    // A burst of changes (a rollout touches every pod) makes one look, not many.
    Context(stop, deps_.services.clock).SleepFor(milliseconds(500));
  }
}

void Engine::MakeCluster(const api::Object& object) {
  cluster_ = std::make_unique<Cluster>();
  cluster_->name = object.name();
  cluster_->uid = object.uid();
  cluster_->linstor = std::make_unique<LinstorView>(deps_.linstor, object.name());
  cluster_->actor = std::make_unique<Actor>(deps_.shell, *cluster_->linstor, log_,
                                            deps_.options.satellite_container);
  cluster_->status = std::make_unique<StatusWriter>(deps_.client, object.name());
  cluster_->driver = std::make_unique<RunDriver>(
      RunServices{observer_, *cluster_->linstor, *cluster_->actor, *cluster_->status,
                  deps_.services.clock, log_},
      [this, name = object.name()](const std::string& resource, bool warning,
                                   const std::string& reason, const std::string& note) {
        reporter_.Event(name, resource, warning, reason, note);
      });
}

// Drivers borrow what belongs to the cluster: they come to their end first.
void Engine::CloseCluster(const Context& ctx) {
  {
    const std::lock_guard lock(mutex_);
    driver_stop_.request_stop();
  }
  JoinDrivers();
  ReapDrivers(ctx);
  {
    const std::lock_guard lock(mutex_);
    wanted_.clear();
    if (!stopping_) {
      driver_stop_ = std::stop_source();
    }
  }
  cluster_.reset();
  resume_.clear();
  failures_.clear();
  care_since_.clear();
  danger_since_.clear();
  alone_.clear();
  first_look_ = true;
  last_phase_.clear();
}

bool Engine::OpenCluster(const Context& ctx, const api::Object& object) {
  if (cluster_ != nullptr && cluster_->uid != object.uid()) {
    CloseCluster(ctx);
  }
  if (cluster_ == nullptr) {
    MakeCluster(object);
  }
  if (cluster_->loaded) {
    return true;
  }
  std::vector<std::string> unknown;
  const auto runs = cluster_->status->Load(ctx, &unknown);
  if (!runs) {
    log_.Warn("the journal could not be read; nothing is done meanwhile",
              {{"error", runs.error().message}});
    return false;
  }
  for (const auto& [resource, journal] : *runs) {
    resume_[resource].journal = journal;
    log_.Info("continuing a run of a former leader",
              {{"resource", resource}, {"step", StepName(journal.step, journal.rolling_back)}});
  }
  for (const std::string& resource : unknown) {
    log_.Error("journal entry is not understood; the resource is judged by its state",
               {{"resource", resource}});
    resume_[resource] = {};
  }
  LoadStale();
  cluster_->loaded = true;
  return true;
}

std::set<std::string> Engine::SatelliteNodes() const {
  std::set<std::string> nodes;
  for (const api::ObjectPtr& pod :
       deps_.pods.ListByLabel(std::string(api::kLabelComponent), "linstor-satellite")) {
    const api::Json* node = api::FindPath(pod->raw(), {"spec", "nodeName"});
    if (node != nullptr && node->is_string() && !pod->deleting() &&
        replication::IsSafeName(node->get<std::string>())) {
      nodes.insert(node->get<std::string>());
    }
  }
  return nodes;
}

std::vector<ResourceObservation> Engine::Assemble(const std::map<std::string, NodeReport>& reports,
                                                  const LevelsSnapshot& linstor) {
  std::set<std::string> names = replication::ResourcesIn(reports);
  for (const auto& [name, resource] : linstor.resources) {
    names.insert(name);
  }
  std::vector<ResourceObservation> resources;
  for (const std::string& name : names) {
    if (!replication::IsSafeName(name)) {
      continue;
    }
    const auto known = linstor.resources.find(name);
    const LinstorResource resource =
        known == linstor.resources.end() ? LinstorResource{} : known->second;
    resources.push_back(
        replication::BuildObservation(name, resource.nodes, reports, resource.levels));
  }
  return resources;
}

milliseconds Engine::Round(const std::stop_token& stop, const std::stop_token& leading) {
  // Each part has a time of its own: a slow one must not keep the others from being done.
  const auto within = [&](milliseconds time) {
    return Context(stop, deps_.services.clock).WithTimeout(time);
  };
  api::ObjectPtr object;
  for (const api::ObjectPtr& candidate : deps_.clusters.List()) {
    if (object == nullptr && !candidate->deleting()) {
      object = candidate;
    }
  }
  if (object == nullptr || !OpenCluster(within(kApiTimeout), *object)) {
    return object == nullptr ? deps_.options.observe_interval : milliseconds(5000);
  }
  const ClusterSettings settings = ReadSettings(*object);
  ReapDrivers(within(kApiTimeout));
  const std::set<std::string> nodes = SatelliteNodes();
  std::map<std::string, NodeReport> reports = AskNodes(within(kNodesTimeout), nodes);
  std::set<std::string> fresh = ActiveNames();
  for (const auto& [name, wanted] : WantedNow()) {
    fresh.insert(name);
  }
  const LevelsSnapshot linstor = cluster_->linstor->ReadAll(within(kLinstorTimeout), fresh);
  AskNamedNodes(within(kNodesTimeout), nodes, linstor, &reports);
  const std::vector<ResourceObservation> resources = Assemble(reports, linstor);
  std::set<std::string> known;
  for (const ResourceObservation& seen : resources) {
    known.insert(seen.resource);
    NoteObservation(seen);
  }
  TidyStale(within(kApiTimeout), settings.resynced,
            linstor.known && reports.size() == nodes.size() ? &known : nullptr);
  TrackAlone(resources);
  ClusterInput input = Input(settings, linstor, resources);
  const auto preflight = Preflight(within(kNodesTimeout), nodes, reports, AnyTlsWanted(input));
  TrackCauses(preflight);
  for (const auto& [node, failures] : preflight) {
    if (replication::FirstBlocker(failures)) {
      quiet_.Forget({node});  // somebody may be mending it
    }
  }
  HoldAlone(settings);
  const ClusterPlan plan = Plan(std::move(input), settings, preflight);
  if (stop.stop_requested()) {
    return milliseconds(0);
  }
  if (leading.stop_requested()) {
    return deps_.options.observe_interval;
  }
  Apply(within(kLinstorTimeout), plan);
  StartDrivers(resources, plan, linstor);
  Report(within(kApiTimeout), *object,
         {resources, plan, settings, preflight, ActiveNames(),
          ShownFailures(resources, plan, preflight), linstor.known, linstor.error});
  const bool busy =
      !ActiveNames().empty() || !plan.pins.empty() || plan.push || !plan.start.empty();
  pending_ = plan.pending > 0 || !care_since_.empty() || !resume_.empty();
  const milliseconds most = pending_ ? kPendingInterval : deps_.options.observe_interval;
  return busy ? kBusyInterval
              : std::min({deps_.options.observe_interval, most, UntilCertificates()});
}

ClusterInput Engine::Input(const ClusterSettings& settings,
                           const LevelsSnapshot& linstor,
                           const std::vector<ResourceObservation>& resources) const {
  ClusterInput input;
  input.linstor_known = linstor.known;
  input.cluster_value = settings.tls;
  input.invalid = settings.invalid;
  input.linstor_value = linstor.controller;
  input.linstor_value_ours = linstor.controller_ours;
  for (const ResourceObservation& seen : resources) {
    if (linstor.resources.contains(seen.resource)) {  // others are watched, never changed
      input.resources.push_back(seen);
    }
  }
  input.in_flight = ActiveNames();
  for (const api::InFlightMigration& entry : cluster_->status->in_flight()) {
    input.journalled.insert(entry.resource);
  }
  for (const auto& [name, state] : resume_) {
    input.in_flight.insert(name);
  }
  const SteadyTime now = deps_.services.clock.SteadyNow();
  for (const auto& [resource, failure] : failures_) {
    if (now < failure.retry_at) {
      input.backing_off[resource] = failure.shown.message;
    }
  }
  input.policy.paused = settings.migration.policy == api::MigrationPolicy::kPaused;
  input.policy.manual = settings.migration.policy == api::MigrationPolicy::kManual;
  input.policy.released = settings.released;
  input.policy.release_all = settings.release_all;
  input.policy.max_parallel_resources = settings.migration.max_parallel_resources;
  input.policy.max_parallel_per_node = settings.migration.max_parallel_per_node;
  return input;
}

ClusterPlan Engine::Plan(
    ClusterInput input,
    const ClusterSettings& settings,
    const std::map<std::string, std::vector<replication::PreflightFailure>>& preflight) {
  for (const auto& [node, failures] : preflight) {
    const auto blocker = replication::FirstBlocker(failures);
    // On a node that does not answer or has no DRBD, LINSTOR places no volume that replicates.
    if (blocker && blocker->reason != "NotObserved" && blocker->reason != "DRBDNotLoaded") {
      input.unfit[node] = blocker->reason;
    }
  }
  ClusterPlan plan = PlanCluster(input);
  const std::lock_guard lock(mutex_);
  settings_ = settings;
  unfit_ = input.unfit;
  for (const auto& [resource, active] : active_) {
    const auto it = plan.wanted.find(resource);
    if (active.switching && input.linstor_known && plan.problem.reason.empty() &&
        it != plan.wanted.end()) {
      wanted_[resource] = it->second;
    }
  }
  return plan;
}

std::map<std::string, std::map<replication::Pair, bool>> Engine::WantedNow() const {
  const std::lock_guard lock(mutex_);
  return wanted_;
}

// Pins first; the plan pushes the cluster's value only in a round that has nothing left to pin.
void Engine::Apply(const Context& ctx, const ClusterPlan& plan) {
  for (const replication::PinOp& pin : plan.pins) {
    if (ctx.canceled()) {
      return;
    }
    log_.Info("pin", {{"resource", pin.resource}, {"action", Describe(pin.op)}});
    if (const auto done = cluster_->linstor->Change(ctx, pin.resource, pin.op); !done) {
      log_.Warn("pin failed; will be tried again",
                {{"resource", pin.resource}, {"error", done.error().message}});
    }
  }
  if (!plan.push) {
    return;
  }
  const std::string text =
      plan.push->value ? std::string(replication::TlsValue(*plan.push->value)) : "unset";
  if (const auto done = cluster_->linstor->SetClusterValue(ctx, plan.push->value); !done) {
    log_.Warn("the cluster's value could not be set", {{"error", done.error().message}});
    return;
  }
  reporter_.Event(cluster_->name, "", false, "ReplicationTLSValueSet",
                  "DrbdOptions/Net/tls is " + text +
                      " for new volumes; existing ones keep what they run "
                      "until they are migrated");
}

replication::Goal Engine::GoalFor(const std::string& resource) const {
  const std::lock_guard lock(mutex_);
  replication::Goal goal;
  if (const auto it = wanted_.find(resource); it != wanted_.end()) {
    goal.wanted = it->second;
  }
  if (const auto it = hold_.find(resource); it != hold_.end()) {
    goal.hold = it->second;
  }
  if (const auto it = active_.find(resource); it != active_.end()) {
    goal.heal_only = it->second.foreign;
  }
  goal.strategy = ToChoice(settings_.migration.strategy);
  goal.heal_stale = settings_.migration.heal_stale;
  goal.unfit = unfit_;
  goal.may_resume_leftover = leftover_.contains(resource);
  goal.paused = settings_.migration.policy == api::MigrationPolicy::kPaused;
  goal.timing.suspend_timeout =
      std::chrono::duration_cast<milliseconds>(settings_.migration.suspend_timeout);
  goal.timing.rollback_margin =
      std::min(goal.timing.rollback_margin, goal.timing.suspend_timeout / 2);
  return goal;
}

std::set<std::string> Engine::ActiveNames() const {
  const std::lock_guard lock(mutex_);
  std::set<std::string> names;
  for (const auto& [name, active] : active_) {
    names.insert(name);
  }
  return names;
}

}  // namespace breakwater::controllers
