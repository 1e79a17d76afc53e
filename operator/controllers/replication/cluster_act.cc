// The second half of a pass over the cluster: LINSTOR's values, the plan for the volumes, and what
// people see.

#include <algorithm>
#include <utility>

#include "operator/base/rfc3339.h"
#include "operator/controllers/replication/cluster_reconciler.h"
#include "operator/controllers/replication/report/picture.h"
#include "operator/core/replication/plan/daemon_use.h"

namespace breakwater::controllers {

using replication::ResourceObservation;
using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

constexpr seconds kChangeTimeout{60};
// Pins of one pass: the others come with the next one, so that places and reports do not wait.
constexpr seconds kChangesTogether{30};
constexpr seconds kApiTimeout{20};
// Numbers that move while volumes do are written at this pace.
constexpr seconds kBetweenReports{3};
// A new leader knows nothing of nodes whose agents it has not heard yet: what it would say about
// them would be taken back a moment later.
constexpr seconds kStart{20};
// An agent that is restarted, or a stream that breaks, is nothing that people are told.
constexpr seconds kSilent{60};

// How long a volume has been exempt is what an auditor asks for.
void KeepSince(const api::Object& cluster,
               const std::string& now,
               std::vector<api::ExemptVolume>* volumes) {
  const api::Json* before = api::FindPath(cluster.raw(), {"status", "replicationTLS"});
  const std::vector<api::ExemptVolume> old =
      before == nullptr ? std::vector<api::ExemptVolume>()
                        : api::ReplicationTlsStatusFromJson(*before).exempt;
  for (api::ExemptVolume& volume : *volumes) {
    const auto same = std::find_if(old.begin(), old.end(), [&](const api::ExemptVolume& other) {
      return other.resource == volume.resource && other.reason == volume.reason;
    });
    volume.since = same == old.end() ? now : same->since;
  }
}

bool Differs(const ResourceObservation& seen, const replication::ClusterPlan& plan) {
  const auto wanted = plan.wanted.find(seen.resource);
  if (wanted == plan.wanted.end()) {
    return false;
  }
  return std::any_of(seen.connections.begin(), seen.connections.end(), [&](const auto& item) {
    const auto value = wanted->second.find(item.first);
    return value != wanted->second.end() && !item.second.BothConfigured(value->second);
  });
}

}  // namespace

// Pins first; the plan pushes the cluster's value only when nothing is left to pin.
void ReplicationClusterReconciler::Change(const Context& ctx, Pass* pass) {
  const SteadyTime until = deps_.services.clock.SteadyNow() + kChangesTogether;
  for (const replication::PinOp& pin : pass->plan.pins) {
    if (!Leading() || ctx.canceled() || deps_.services.clock.SteadyNow() >= until) {
      return;
    }
    log_.Info("pin", {{"resource", pin.resource}, {"action", Describe(pin.op)}});
    if (const auto done =
            pass->cluster->linstor.Change(ctx.WithTimeout(kChangeTimeout), pin.resource, pin.op);
        !done) {
      log_.Warn("pin failed; will be tried again",
                {{"resource", pin.resource}, {"error", done.error().message}});
    }
  }
  if (pass->plan.push && Leading()) {
    Push(ctx, *pass);
  }
}

void ReplicationClusterReconciler::Push(const Context& ctx, const Pass& pass) {
  SwitchGate& gate = pass.cluster->gate;
  if (!gate.BeginPush()) {
    return;  // a volume began meanwhile
  }
  const std::optional<bool> value = pass.plan.push->value;
  const auto done = pass.cluster->linstor.SetClusterValue(ctx.WithTimeout(kChangeTimeout), value);
  gate.EndPush();
  if (!done) {
    log_.Warn("the cluster's value could not be set", {{"error", done.error().message}});
    linstor_wanted_ = true;
    return;
  }
  const std::string text = value ? std::string(replication::TlsValue(*value)) : "unset";
  deps_.reporter.Tell(pass.cluster->name,
                      {"", false, "ReplicationTLSValueSet",
                       "DrbdOptions/Net/tls is " + text +
                           " for new volumes; existing ones keep what they run until they are "
                           "migrated"});
}

void ReplicationClusterReconciler::Publish(const Pass& pass) {
  auto plan = std::make_shared<PublishedPlan>();
  plan->number = ++number_;
  {
    const std::lock_guard lock(mutex_);
    plan->epoch = epoch_;
  }
  plan->cluster = pass.cluster;
  plan->settings = pass.settings;
  plan->linstor_known = pass.linstor.known;
  plan->wishes_known = pass.linstor.known && pass.plan.problem.reason.empty();
  plan->tls_wanted = pass.tls_wanted;
  plan->wanted = pass.plan.wanted;
  for (const auto& [resource, floor] : pass.floors) {
    if (floor.tls) {
      plan->floored.insert(resource);
    }
  }
  plan->may_switch = pass.plan.may_switch;
  plan->in_flight = places_.names();
  plan->may_repair = pass.plan.repair_allowed;
  plan->rekey = pass.input.rekey;
  plan->unfit = pass.input.unfit;
  plan->slack = std::chrono::duration_cast<seconds>(options_.observe_interval);
  for (const ResourceObservation& seen : pass.resources) {
    for (const auto& [node, view] : seen.nodes) {
      plan->used_nodes.insert(node);
    }
  }
  const std::shared_ptr<const PublishedPlan> before = deps_.board.Get();
  deps_.board.Set(plan);
  Wake(before.get(), *plan, pass);
  PublishUse(pass);
}

void ReplicationClusterReconciler::PublishUse(const Pass& pass) const {
  if (deps_.use == nullptr) {
    return;
  }
  std::set<std::string> answering;
  for (const auto& [node, report] : pass.reports) {
    if (report.complete) {
      answering.insert(node);
    }
  }
  auto use = std::make_shared<SatelliteUse>();
  use->cluster_uid = pass.object->uid();
  use->daemon = replication::DaemonUse(pass.input, pass.plan, answering);
  for (const std::string& resource : pass.busy) {
    const auto linstor = pass.linstor.resources.find(resource);
    if (linstor == pass.linstor.resources.end()) {
      continue;
    }
    for (const std::string& node : linstor->second.nodes) {
      use->transaction[node] = resource;
    }
  }
  deps_.use->Set(std::move(use));
}

// Volumes look at themselves when a node shows a change; here they are woken for what only the plan
// knows.
void ReplicationClusterReconciler::Wake(const PublishedPlan* before,
                                        const PublishedPlan& now,
                                        const Pass& pass) {
  const bool all = before == nullptr || before->cluster != now.cluster ||
                   before->linstor_known != now.linstor_known ||
                   before->wishes_known != now.wishes_known || before->unfit != now.unfit ||
                   !(before->settings == now.settings) || causes_changed_;
  for (const ResourceObservation& seen : pass.resources) {
    const std::string& name = seen.resource;
    const auto differs = [&](const auto& x, const auto& y) {
      return x.contains(name) != y.contains(name);
    };
    const auto levels = last_levels_.find(name);
    bool wake = all || levels == last_levels_.end() || !(levels->second == seen.levels) ||
                differs(before->may_switch, now.may_switch) ||
                differs(before->floored, now.floored) ||
                differs(before->in_flight, now.in_flight) ||
                differs(before->may_repair, now.may_repair) || differs(before->wanted, now.wanted);
    if (!wake && now.wanted.contains(name)) {
      wake = before->wanted.at(name) != now.wanted.at(name);
    }
    last_levels_[name] = seen.levels;
    if (wake) {
      wake_.volume(name);
    }
  }
  for (const auto& [node, pod] : pass.pods) {
    const bool used = now.used_nodes.contains(node);
    const bool seen_before = before != nullptr && last_pods_.contains(node);
    if (used && !deps_.feed.HasAgent(node) &&
        (!seen_before || !before->used_nodes.contains(node))) {
      deps_.nodes.WantObservation(node);
      wake_node_(node);
    } else if (!seen_before) {
      wake_node_(node);
    }
  }
  last_pods_.clear();
  for (const auto& [node, pod] : pass.pods) {
    last_pods_.insert(node);
  }
}

// REVIEW-2: one node that is not fit keeps all new volumes in plaintext, and nobody was told.
void ReplicationClusterReconciler::TellHeldBack(const Pass& pass) {
  const std::string& node = pass.plan.push_unfit;
  const SteadyTime now = deps_.services.clock.SteadyNow();
  if (node.empty() || pass.reports.contains(node)) {
    silent_.reset();
  } else {
    if (!silent_ || silent_->first != node) {
      silent_ = {node, now};
    }
    if (now - silent_->second < kSilent) {
      return;
    }
  }
  if (!node.empty() && node != last_unfit_) {
    deps_.reporter.Tell(
        pass.cluster->name,
        {"", true, "NewVolumesPlaintext",
         "New volumes start in plaintext, everywhere, as long as " + pass.plan.push_held});
  }
  last_unfit_ = node;
}

bool ReplicationClusterReconciler::AllWell(const Pass& pass) {
  return pass.linstor.known &&
         std::all_of(pass.agents.begin(), pass.agents.end(),
                     [](const auto& item) { return item.second.connected; }) &&
         std::none_of(pass.verdicts.begin(), pass.verdicts.end(), [](const auto& item) {
           return replication::FirstBlocker(item.second).has_value();
         });
}

void ReplicationClusterReconciler::Report(const Context& ctx, const Pass& pass) {
  std::set<std::string> migrating = pass.busy;
  std::set<std::string> places = places_.names();
  Dangers dangers;
  for (const ResourceObservation& seen : pass.resources) {
    if (places.contains(seen.resource) && Differs(seen, pass.plan)) {
      migrating.insert(seen.resource);
    } else if (pass.input.rekey.contains(seen.resource)) {
      migrating.erase(seen.resource);  // new keys are no migration: the phase stays
      places.erase(seen.resource);
    }
    dangers.suspended += seen.SuspendedUser() ? 1U : 0U;
  }
  Picture picture{pass.resources, pass.plan,          pass.settings,     pass.floors,
                  pass.verdicts,  migrating,          !places.empty(),   {},
                  pass.ignored,   pass.linstor.known, pass.linstor.error};
  std::vector<api::StaleConnection> stale;
  pass.cluster->ledgers.With([&](LedgerParts& parts) {
    picture.failures =
        failures_.Build({pass.input, pass.plan, pass.verdicts, pass.outcomes, pass.busy}, parts,
                        deps_.services.clock.SystemNow(), deps_.services.clock.SteadyNow());
    stale = parts.stale.ToStatus();
    return 0;
  });
  for (const api::StaleConnection& entry : stale) {
    ++(entry.diverged ? dangers.diverged : dangers.stale);
  }
  api::ReplicationTlsStatus status = BuildStatus(picture);
  KeepSince(*pass.object, FormatRfc3339(deps_.services.clock.SystemNow()), &status.exempt);
  deps_.metrics.SetStatus(status, dangers);
  deps_.metrics.SetSessions(
      pass.cluster->ledgers.With([](const LedgerParts& parts) { return parts.sessions.all(); }));
  TellHeldBack(pass);
  deps_.metrics.SetAgents(pass.agents);
  const SteadyTime now = deps_.services.clock.SteadyNow();
  const bool phase = status.phase != last_phase_;
  first_look_ = first_look_.value_or(now);
  const bool starting = !last_report_ && now - *first_look_ < kStart && !AllWell(pass);
  report_due_ = starting || (!phase && last_report_ && now - *last_report_ < kBetweenReports);
  if (report_due_) {
    return;
  }
  last_report_ = now;
  api::Condition condition = BuildCondition(picture, status);
  condition.observed_generation = pass.object->generation();
  condition.last_transition_time = FormatRfc3339(deps_.services.clock.SystemNow());
  const Context api = ctx.WithTimeout(kApiTimeout);
  auto written = pass.cluster->status.Update(api, status, condition);
  if (written) {
    written = pass.cluster->status.SetStale(api, std::move(stale));
  }
  if (!written) {
    log_.Warn("status could not be written", {{"error", written.error().message}});
    report_due_ = true;
  }
  if (phase) {
    if (!last_phase_.empty()) {
      deps_.reporter.Tell(pass.cluster->name, {"", status.phase == "Blocked",
                                               "ReplicationTLS" + status.phase, condition.message});
    }
    last_phase_ = status.phase;
  }
  deps_.reporter.ReportNodes(api, pass.verdicts);
}

}  // namespace breakwater::controllers
