#include "operator/controllers/replication/volume_reconciler.h"

#include <algorithm>
#include <utility>

#include "operator/base/rfc3339.h"
#include "operator/controllers/replication/exec_heal.h"
#include "operator/core/replication/node/text.h"

namespace breakwater::controllers {

using replication::Pair;
using replication::RunningTransaction;
using replication::TransactionKind;
using replication::VolumeDecision;
using std::chrono::milliseconds;
using std::chrono::seconds;
using Kind = VolumeDecision::Kind;

namespace {

constexpr seconds kJournalTimeout{10};
constexpr seconds kStaleTimeout{5};
// LINSTOR answers when all satellites are done; it gives a hanging adjust 45 s (L23).
constexpr seconds kLinstorTimeout{60};
constexpr seconds kHealTimeout{20};
constexpr milliseconds kSoon{2000};
constexpr milliseconds kAfterLinstor{200};
// F14.1: what looks stale for a moment is normal; this is when it is looked at again.
constexpr milliseconds kStaleLook{1000};

api::InFlightMigration ToJournal(const std::string& resource,
                                 const VolumeDecision& decision,
                                 const std::string& id,
                                 SystemTime now) {
  api::InFlightMigration entry;
  entry.resource = resource;
  entry.strategy = ToString(decision.strategy);
  entry.step = decision.step;
  entry.pair = decision.pair ? decision.pair->ToString() : "";
  entry.started_at = FormatRfc3339(now);
  entry.transaction = id;
  entry.node = decision.asks.empty() ? "" : decision.asks.back().node;
  return entry;
}

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

bool AnyCut(const replication::ResourceObservation& seen) {
  return std::any_of(seen.connections.begin(), seen.connections.end(), [](const auto& item) {
    return item.second.BothKnown() && !item.second.BothConnected();
  });
}

}  // namespace

VolumeReconciler::VolumeReconciler(VolumeReconcilerDeps deps)
    : deps_(std::move(deps)), log_(deps_.services.log.Named("volume")) {}

void VolumeReconciler::SetLeading(std::stop_token leading) {
  const std::lock_guard lock(mutex_);
  leading_ = std::move(leading);
}

bool VolumeReconciler::Leading() const {
  const std::lock_guard lock(mutex_);
  return !leading_.stop_requested();
}

std::string VolumeReconciler::NextId(std::int64_t epoch) {
  return std::to_string(epoch) + "-" + deps_.instance + "-" + std::to_string(++counter_);
}

Result<runtime::Requeue, Error> VolumeReconciler::Reconcile(const Context& ctx,
                                                            const api::ObjectKey& key) {
  const std::shared_ptr<const PublishedPlan> plan = deps_.board.Get();
  if (plan == nullptr || !Leading() || !replication::IsSafeName(key.name)) {
    return runtime::Requeue{};
  }
  const Look look = LookAt(ctx, *plan, key.name);
  if (!look.there) {
    plan->cluster->status.DropJournal(key.name);
    plan->cluster->gate.End(key.name);
    plan->cluster->outcomes.Forget(key.name);
    const std::lock_guard lock(mutex_);
    said_.erase(key.name);
    return runtime::Requeue{};
  }
  NoteSuspects(look);
  const SteadyTime now = deps_.services.clock.SteadyNow();
  const VolumeDecision decision =
      replication::PlanVolume({look.seen, look.goal, look.agents, look.running, look.memory, now});
  {
    const std::lock_guard lock(mutex_);
    if (std::string& said = said_[key.name]; said != decision.why) {
      said = decision.why;
      log_.Info("step", {{"resource", key.name}, {"step", decision.step}, {"why", decision.why}});
    }
  }
  std::optional<milliseconds> again = Act(ctx, *plan, look, decision);
  if (!look.memory.stale_since.empty()) {
    again = std::min(again.value_or(kStaleLook), kStaleLook);
  }
  return runtime::Requeue{again};
}

VolumeReconciler::Look VolumeReconciler::LookAt(const Context& ctx,
                                                const PublishedPlan& plan,
                                                const std::string& resource) {
  Look look;
  const std::optional<LinstorResource> linstor = plan.cluster->linstor.Resource(resource);
  LinstorResource known = linstor.value_or(LinstorResource{});
  known.levels.floor = plan.floored.contains(resource);
  look.seen = deps_.feed.Observe(resource, known.nodes, known.levels, plan.settings.minimum);
  look.there = linstor.has_value() || !look.seen.nodes.empty();
  look.agents = deps_.agents.Agents();
  look.running = deps_.agents.Running(resource);
  {
    const std::lock_guard lock(mutex_);
    for (RunningTransaction& running : look.running) {
      if (const auto asked = asked_.find(running.progress.id); asked != asked_.end()) {
        running.asked_at = asked->second.at;
      }
    }
  }
  const ClusterSettings& settings = plan.settings;
  replication::VolumeGoal& goal = look.goal;
  if (const auto wanted = plan.wanted.find(resource);
      plan.wishes_known && wanted != plan.wanted.end()) {
    goal.wanted = wanted->second;
    goal.may_switch = plan.may_switch.contains(resource);
    goal.in_flight = plan.in_flight.contains(resource);
  }
  if (const auto rekey = plan.rekey.find(resource); rekey != plan.rekey.end()) {
    goal.rekey = rekey->second;
  }
  // By LINSTOR's word or by the kernels': the former alone could be lowered by a request.
  goal.floor_tls = settings.enforce &&
                   (replication::HoldsFloor(look.seen) || replication::WaitsForTls(look.seen));
  goal.strategy = ToChoice(settings.migration.strategy);
  goal.heal_stale = settings.migration.heal_stale;
  goal.heal_only = plan.linstor_known && !linstor;
  goal.may_repair = goal.heal_only || plan.may_repair.contains(resource);
  goal.allow_single_copy = settings.migration.allow_single_copy;
  if (const auto& after = settings.migration.resume_foreign_suspensions_after) {
    goal.resume_foreign_after = std::chrono::duration_cast<milliseconds>(*after);
  }
  goal.unfit = plan.unfit;
  goal.suspend_timeout =
      std::chrono::duration_cast<milliseconds>(settings.migration.suspend_timeout);
  TakeIn(ctx, plan, settings.hold_all || settings.hold.contains(resource), &look);
  return look;
}

// Takes the look into the ledgers, and what they know of the volume into the look.
void VolumeReconciler::TakeIn(const Context& ctx,
                              const PublishedPlan& plan,
                              bool by_person,
                              Look* look) {
  const std::string& resource = look->seen.resource;
  const bool ours = !look->running.empty() || plan.cluster->status.InFlight(resource);
  const SystemTime now = deps_.services.clock.SystemNow();
  const SteadyTime steady = deps_.services.clock.SteadyNow();
  std::vector<Notice> notices;
  std::vector<api::StaleConnection> stale;
  bool alone = false;
  plan.cluster->ledgers.With([&](LedgerParts& parts) {
    notices = parts.stale.Observe(look->seen, now);
    stale = notices.empty() ? stale : parts.stale.ToStatus();
    alone = parts.alone.Observe(look->seen, ours, now);
    replication::VolumeMemory& memory = parts.memories[resource];
    replication::Remember(look->seen, steady, &memory);
    memory.not_before = parts.failures.NotBefore(resource);
    look->memory = memory;
    look->goal.unproven = parts.stale.Unproven(resource);
    look->goal.hold = parts.alone.Holds(
        resource, {by_person, parts.stale.PairsOf(resource), plan.slack}, parts.causes);
    return 0;
  });
  for (const Notice& notice : notices) {
    deps_.reporter.Tell(plan.cluster->name, notice);
  }
  // Written down at once: a new leader must know of it even if all states are clean by then.
  if (!notices.empty()) {
    if (const auto written =
            plan.cluster->status.SetStale(ctx.WithTimeout(kStaleTimeout), std::move(stale));
        !written) {
      log_.Warn("stale peers could not be written down", {{"error", written.error().message}});
    }
    wake_.cluster();
  }
  if (alone) {
    for (const auto& [node, view] : look->seen.nodes) {
      wake_.certificates(node);  // a fault there may explain it, and may be gone soon
    }
  }
}

// DRBD goes StandAlone where its own handshake failed (F6): on the far end, which nobody cuts, or
// on the near one once it has been told to connect.
void VolumeReconciler::NoteSuspects(const Look& look) {
  for (const RunningTransaction& running : look.running) {
    const replication::ProgressMessage& progress = running.progress;
    const bool leads = progress.kind == TransactionKind::kLead ||
                       progress.kind == TransactionKind::kSuspendedSwitch;
    if (!leads || !progress.tls || progress.undoing || progress.phase != "Connect") {
      continue;
    }
    for (const std::string& peer : progress.peers) {
      const Pair pair = Pair::Of(running.node, peer);
      const replication::ConnectionView* connection = look.seen.Connection(pair);
      if (connection == nullptr) {
        continue;
      }
      const bool far = connection->End(peer).stand_alone();
      if (far || connection->End(running.node).stand_alone()) {
        const std::lock_guard lock(mutex_);
        suspects_[{look.seen.resource, pair}] = far ? peer : running.node;
      }
    }
  }
}

std::optional<milliseconds> VolumeReconciler::Act(const Context& ctx,
                                                  const PublishedPlan& plan,
                                                  const Look& look,
                                                  const VolumeDecision& decision) {
  const std::string& resource = look.seen.resource;
  for (const std::string& id : decision.cancel) {
    for (const RunningTransaction& running : look.running) {
      if (running.progress.id == id && Leading()) {
        (void)deps_.agents.Cancel(running.node, id);
      }
    }
  }
  bool asked = false;
  std::optional<milliseconds> again = decision.poll;
  switch (decision.kind) {
    case Kind::kAsk:
      asked = Ask(ctx, plan, look, decision);
      again = asked ? decision.poll : kSoon;
      break;
    case Kind::kLinstor:
      again = kAfterLinstor;
      for (const replication::LinstorOp& op : decision.ops) {
        if (!Leading()) {
          return std::nullopt;
        }
        log_.Info("LINSTOR change", {{"resource", resource}, {"action", Describe(op)}});
        const auto done =
            plan.cluster->linstor.Change(ctx.WithTimeout(kLinstorTimeout), resource, op);
        if (!done) {
          log_.Warn("LINSTOR refused a change; it is judged by what is there then",
                    {{"resource", resource}, {"error", done.error().message}});
          again = kSoon;
          break;
        }
      }
      break;
    case Kind::kHealByExec:
      asked = decision.heal && Heal(ctx, plan, look, *decision.heal);
      again = kSoon;
      break;
    case Kind::kNothing:
      again = look.seen.SuspendedUser() && look.goal.resume_foreign_after
                  ? std::optional(decision.poll)
                  : std::nullopt;
      break;
    case Kind::kWait:
    case Kind::kBlocked:
      break;
  }
  Settle(plan, look, decision, asked);
  return again;
}

bool VolumeReconciler::Ask(const Context& ctx,
                           const PublishedPlan& plan,
                           const Look& look,
                           const VolumeDecision& decision) {
  const std::string& resource = look.seen.resource;
  ServedCluster& cluster = *plan.cluster;
  if (!cluster.gate.Begin(resource)) {
    return false;
  }
  std::vector<replication::TransactionRequest> requests;
  for (const replication::AskNode& ask : decision.asks) {
    requests.push_back(ask.request);
    requests.back().id = NextId(plan.epoch);
    requests.back().epoch = plan.epoch;
  }
  const api::InFlightMigration entry =
      ToJournal(resource, decision, requests.empty() ? "" : requests.back().id,
                deps_.services.clock.SystemNow());
  if (const auto written = cluster.status.SetJournal(ctx.WithTimeout(kJournalTimeout), entry);
      !written) {
    log_.Warn("the journal could not be written; nothing is asked for",
              {{"resource", resource}, {"error", written.error().message}});
    return false;
  }
  if (decision.strategy != replication::Strategy::kNone && cluster.outcomes.Begin(resource)) {
    deps_.reporter.Tell(cluster.name, {resource, false, "MigrationStarted",
                                       "Volume " + resource + ": " + decision.why});
  }
  for (std::size_t i = 0; i < requests.size(); ++i) {
    if (!Leading()) {
      return false;
    }
    const replication::TransactionRequest& request = requests[i];
    const std::string& node = decision.asks[i].node;
    if (request.kind == TransactionKind::kHeal && !request.peers.empty()) {
      cluster.ledgers.With([&](LedgerParts& parts) {
        parts.stale.NoteHeal(resource, Pair::Of(node, request.peers.front()));
        return 0;
      });
    }
    {
      const std::lock_guard lock(mutex_);
      asked_[request.id] = {request, deps_.services.clock.SteadyNow()};
      for (const std::string& peer : request.peers) {
        suspects_.erase({resource, Pair::Of(node, peer)});
      }
    }
    log_.Info("ask", {{"resource", resource},
                      {"node", node},
                      {"kind", ToString(request.kind)},
                      {"id", request.id}});
    if (const auto sent = deps_.agents.Ask(node, request); !sent) {
      log_.Warn("the agent could not be asked",
                {{"resource", resource}, {"node", node}, {"error", sent.error().message}});
      const std::lock_guard lock(mutex_);
      asked_.erase(request.id);
      return false;
    }
  }
  return true;
}

bool VolumeReconciler::Heal(const Context& ctx,
                            const PublishedPlan& plan,
                            const Look& look,
                            const replication::StalePeer& stale) {
  const std::string& resource = look.seen.resource;
  const replication::ConnectionView* connection = look.seen.Connection(stale.pair);
  if (connection == nullptr || !Leading()) {
    return false;
  }
  log_.Info("heal by exec",
            {{"resource", resource}, {"node", stale.primary}, {"peer", stale.peer}});
  plan.cluster->ledgers.With([&](LedgerParts& parts) {
    parts.stale.NoteHeal(resource, stale.pair);
    return 0;
  });
  const auto healed =
      HealByExec(ctx.WithTimeout(kHealTimeout), deps_.shell, deps_.satellite_container, resource,
                 stale, connection->End(stale.primary).peer_node_id);
  if (!healed) {
    NoteFailure(plan,
                {VolumeFailure::Kind::kBlocked, resource, stale.primary, healed.error().message},
                replication::Strategy::kNone);
  }
  return healed.has_value();
}

// What the decision means for the journal, the places and what people see.
void VolumeReconciler::Settle(const PublishedPlan& plan,
                              const Look& look,
                              const VolumeDecision& decision,
                              bool asked) {
  const std::string& resource = look.seen.resource;
  ServedCluster& cluster = *plan.cluster;
  const SteadyTime now = deps_.services.clock.SteadyNow();
  const bool busy = asked || !look.running.empty();
  const bool works = busy || decision.kind == Kind::kAsk || decision.kind == Kind::kLinstor;
  if (decision.kind == Kind::kBlocked && look.goal.may_switch && !works) {
    NoteFailure(plan, {VolumeFailure::Kind::kBlocked, resource, "", decision.why},
                decision.strategy);
  }
  // Also where nothing of ours made it so: what was wrong is over (facts CSI K12).
  if (decision.done && cluster.ledgers.With([&](LedgerParts& parts) {
        const bool failed = parts.failures.Has(resource);
        parts.failures.Succeeded(resource);
        return failed;
      })) {
    wake_.cluster();
  }
  if (decision.done && cluster.outcomes.End(resource)) {
    deps_.metrics.CountRun(decision.strategy, "done");
    deps_.reporter.Tell(cluster.name, {resource, false, "MigrationDone",
                                       "Volume " + resource + ": " + decision.why});
  }
  // While a node is silent nobody knows whether it has a transaction of ours.
  if (!works && (decision.done || !look.goal.may_switch) && look.seen.AllKnown() &&
      cluster.status.InFlight(resource)) {
    cluster.status.DropJournal(resource);
    wake_.cluster();
  }
  if (!cluster.status.InFlight(resource)) {
    cluster.gate.End(resource);
  }
  VolumeOutcome outcome;
  outcome.plan = plan.number;
  outcome.done = decision.done;
  outcome.busy = busy;
  outcome.cut = AnyCut(look.seen);
  outcome.strategy = decision.strategy;
  outcome.step = decision.step;
  outcome.why = decision.why;
  if (!works && !decision.done && look.goal.may_switch) {
    outcome.waiting_since = now;
  }
  if (cluster.outcomes.Note(resource, std::move(outcome))) {
    wake_.cluster();
  }
}

}  // namespace breakwater::controllers
