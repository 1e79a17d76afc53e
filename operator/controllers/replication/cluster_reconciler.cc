#include "operator/controllers/replication/cluster_reconciler.h"

#include <algorithm>
#include <utility>

#include "operator/core/replication/node/text.h"

namespace breakwater::controllers {

using replication::ClusterInput;
using replication::ResourceObservation;
using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

constexpr std::string_view kAgentContainer = "breakwater-agent";
// A burst of changes (a rollout touches every pod) makes one pass, not many. A pass looks at every
// volume, so that with a thousand that move it alone took a tenth of a core.
constexpr milliseconds kBetweenPasses{1000};
constexpr std::size_t kFewVolumes = 100;
constexpr milliseconds kPerFurtherVolume{3};
constexpr seconds kWhileWorking{5};
// Of the look at the certificates before a volume's session keys are renewed.
constexpr seconds kFreshCertificates{60};
constexpr seconds kBetweenCertificateLooks{30};
constexpr seconds kApiTimeout{20};
constexpr seconds kLinstorTimeout{30};
// While LINSTOR does not answer, and while volumes move.
constexpr seconds kLinstorRetry{10};
constexpr seconds kLinstorWhileWorking{30};
constexpr seconds kLinstorAtMost{5};

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

replication::ClusterPolicy ToPolicy(const ClusterSettings& settings) {
  replication::ClusterPolicy policy;
  policy.paused = settings.migration.policy == api::MigrationPolicy::kPaused;
  policy.manual = settings.migration.policy == api::MigrationPolicy::kManual;
  policy.released = settings.released;
  policy.release_all = settings.release_all;
  policy.max_parallel_resources = settings.migration.max_parallel_resources;
  policy.max_parallel_per_node = settings.migration.max_parallel_per_node;
  policy.strategy = ToChoice(settings.migration.strategy);
  policy.allow_single_copy = settings.migration.allow_single_copy;
  return policy;
}

}  // namespace

ReplicationClusterReconciler::ReplicationClusterReconciler(ReplicationClusterDeps deps,
                                                           ClusterReconcilerOptions options)
    : deps_(std::move(deps)),
      options_(std::move(options)),
      log_(deps_.services.log.Named("replication-tls")) {}

void ReplicationClusterReconciler::SetWakers(Wakers wakers,
                                             std::function<void(const std::string&)> node) {
  wake_ = std::move(wakers);
  wake_node_ = std::move(node);
}

void ReplicationClusterReconciler::Lead(std::stop_token leading, std::int64_t epoch) {
  const std::lock_guard lock(mutex_);
  leading_ = std::move(leading);
  epoch_ = epoch;
}

bool ReplicationClusterReconciler::Leading() const {
  const std::lock_guard lock(mutex_);
  return !leading_.stop_requested();
}

Result<runtime::Requeue, Error> ReplicationClusterReconciler::Reconcile(const Context& ctx,
                                                                        const api::ObjectKey&) {
  if (!Leading()) {
    return runtime::Requeue{};
  }
  const SteadyTime now = deps_.services.clock.SteadyNow();
  if (last_pass_ && now - *last_pass_ < between_passes_) {
    return runtime::Requeue{
        std::chrono::duration_cast<milliseconds>(*last_pass_ + between_passes_ - now) +
        milliseconds(1)};
  }
  last_pass_ = now;
  Pass pass;
  for (const api::ObjectPtr& candidate : deps_.clusters.List()) {
    if (pass.object == nullptr && !candidate->deleting()) {
      pass.object = candidate;
    }
  }
  if (pass.object == nullptr) {
    deps_.board.Set(nullptr);
    if (deps_.use != nullptr) {
      deps_.use->Set(nullptr);
    }
    cluster_.reset();
    return runtime::Requeue{options_.observe_interval};
  }
  if (const auto served = Serve(ctx, &pass); !served) {
    log_.Warn("the journal could not be read; nothing is done meanwhile",
              {{"error", served.error().message}});
    return runtime::Requeue{seconds(5)};
  }
  LookAtNodes(&pass);
  ReadLinstor(ctx, &pass);
  LookAtVolumes(&pass);
  Judge(&pass);
  if (!Leading()) {
    return runtime::Requeue{};
  }
  Change(ctx, &pass);
  Publish(pass);
  Report(ctx, pass);
  return runtime::Requeue{NextPass(pass)};
}

// What is remembered is about one LinstorCluster: another object begins anew.
Result<void, Error> ReplicationClusterReconciler::Serve(const Context& ctx, Pass* pass) {
  pass->settings = ReadSettings(*pass->object);
  if (cluster_ == nullptr || cluster_->uid != pass->object->uid()) {
    deps_.board.Set(nullptr);
    cluster_ = std::make_shared<ServedCluster>(deps_.client, deps_.claims, deps_.linstor,
                                               pass->object->name(), pass->object->uid());
    loaded_ = false;
    places_ = {};
    failures_ = {};
    last_linstor_.reset();
    last_levels_.clear();
    refused_.clear();
    last_controller_.reset();
    unknown_.clear();
    last_phase_.clear();
    last_unfit_.clear();
  }
  pass->cluster = cluster_;
  if (!loaded_) {
    BREAKWATER_RETURN_IF_ERROR(cluster_->status.Load(ctx.WithTimeout(kApiTimeout)));
    AdoptJournal(*cluster_);
    loaded_ = true;
  }
  return {};
}

// What a former leader asked for may still run: its volumes keep their places until the agents have
// said what became of it.
void ReplicationClusterReconciler::AdoptJournal(const ServedCluster& cluster) {
  for (const api::InFlightMigration& entry : cluster.status.in_flight()) {
    log_.Info("a former leader was at work on this volume",
              {{"resource", entry.resource}, {"step", entry.step}});
    (void)cluster_->gate.Begin(entry.resource);
    if (entry.strategy != replication::ToString(replication::Strategy::kNone)) {
      places_.Adopt(entry.resource);
      (void)cluster_->outcomes.Begin(entry.resource);
    }
  }
  cluster_->ledgers.With([&](LedgerParts& parts) {
    parts.stale.Load(cluster.status.stale());
    return 0;
  });
}

void ReplicationClusterReconciler::LookAtNodes(Pass* pass) {
  std::set<std::string> all;
  for (auto& [node, found] : FindSatellitePods(deps_.satellites)) {
    if (found.pod != nullptr && replication::IsSafeName(node)) {
      pass->pods[node] = found.pod;
      all.insert(node);
    }
  }
  const std::vector<AgentTarget> targets =
      FindAgents(deps_.satellites, std::string(kAgentContainer));
  std::set<std::string> with_agent;
  for (const AgentTarget& target : targets) {
    with_agent.insert(target.node);
  }
  std::int64_t epoch = 0;
  {
    const std::lock_guard lock(mutex_);
    epoch = epoch_;
  }
  deps_.agents.SetTargets(targets, epoch);
  deps_.feed.SetNodes(all, with_agent);
  pass->reports = deps_.feed.Reports();
  pass->agents = deps_.agents.Agents();
  std::erase_if(pass->agents, [&](const auto& item) { return !with_agent.contains(item.first); });
  for (const std::string& node : with_agent) {
    pass->agents.try_emplace(node);
  }
  pass->busy = deps_.agents.Busy();
}

void ReplicationClusterReconciler::ReadLinstor(const Context& ctx, Pass* pass) {
  LinstorView& view = pass->cluster->linstor;
  const SteadyTime now = deps_.services.clock.SteadyNow();
  pass->linstor = view.Last();
  bool news = linstor_wanted_.exchange(false) || pass->settings.tls != last_value_;
  for (const auto& [node, report] : pass->reports) {
    for (const auto& [name, resource] : report.resources) {
      news = news || (!pass->linstor.resources.contains(name) && !unknown_.contains(name));
    }
  }
  const milliseconds age =
      !pass->linstor.known ? milliseconds(kLinstorRetry)
      : places_.empty()
          ? WhileWaiting(now)
          : std::min<milliseconds>(options_.observe_interval, milliseconds(kLinstorWhileWorking));
  if (last_linstor_ && now - *last_linstor_ < (news ? milliseconds(kLinstorAtMost) : age)) {
    linstor_wanted_ = linstor_wanted_ || (news && pass->settings.tls == last_value_);
    return;
  }
  last_linstor_ = now;
  last_value_ = pass->settings.tls;
  pass->linstor = view.ReadAll(ctx.WithTimeout(kLinstorTimeout), places_.names());
  unknown_.clear();
  for (const auto& [node, report] : pass->reports) {
    for (const auto& [name, resource] : report.resources) {
      if (!pass->linstor.resources.contains(name)) {
        unknown_.insert(name);
      }
    }
  }
}

// Nothing tells us that a satellite came online in LINSTOR, and volumes may wait for just that: we
// look again soon, and the longer they have waited, the more seldom.
milliseconds ReplicationClusterReconciler::WhileWaiting(SteadyTime now) const {
  if (!waits_since_) {
    return options_.observe_interval;
  }
  const auto waited = std::chrono::duration_cast<milliseconds>(now - *waits_since_);
  return std::min(options_.observe_interval, std::max<milliseconds>(kLinstorAtMost, waited / 4));
}

void ReplicationClusterReconciler::LookAtVolumes(Pass* pass) {
  std::map<std::string, std::map<std::string, replication::NodeSlice>> slices =
      SlicesByResource(pass->reports);
  for (const auto& [name, resource] : pass->linstor.resources) {
    if (replication::IsSafeName(name)) {
      slices.try_emplace(name);
    } else {
      pass->ignored.push_back(name);
    }
  }
  ClusterInput& input = pass->input;
  input.cluster_value = pass->settings.tls;
  input.linstor_value = pass->linstor.controller;
  input.linstor_value_ours = pass->linstor.controller_ours;
  const replication::FloorRules rules = deps_.floor.Read(pass->settings);
  deps_.claims.Set(std::make_shared<const std::map<std::string, std::string>>(ClaimsOf(rules)));
  const std::size_t further = std::clamp<std::size_t>(slices.size(), kFewVolumes, 5000);
  between_passes_ = kBetweenPasses + kPerFurtherVolume * (further - kFewVolumes);
  std::set<std::string> known;
  for (auto& [name, seen] : slices) {
    known.insert(name);
    const auto linstor = pass->linstor.resources.find(name);
    LinstorResource resource =
        linstor == pass->linstor.resources.end() ? LinstorResource{} : linstor->second;
    resource.levels.floor = FindFloor(rules, name, pass).tls;
    resource.levels.group_coming = GroupComing(rules, name, resource.group);
    AddAnswering(pass->reports, resource.nodes, &seen);
    auto observation = std::make_shared<const ResourceObservation>(
        BuildObservation(name, resource.nodes, seen, resource.levels, pass->settings.minimum));
    pass->resources.push_back(*observation);
    // Others are watched, never changed; while LINSTOR is silent nobody knows which those are.
    if (linstor != pass->linstor.resources.end() || !pass->linstor.known) {
      pass->input.resources.push_back(std::move(observation));
    }
  }
  NoteRefused(*pass);
  NoteSessions(pass);
  pass->outcomes = pass->cluster->outcomes.All();
  for (const auto& [name, outcome] : pass->outcomes) {
    if (!known.contains(name)) {
      pass->cluster->outcomes.Forget(name);
    }
  }
  // What is gone everywhere is forgotten; a silent node may still have it.
  const bool all_answer = pass->linstor.known && pass->reports.size() == pass->pods.size();
  places_.KeepOnly(known);
  pass->cluster->ledgers.With([&](LedgerParts& parts) {
    parts.stale.Release(pass->settings.resynced);
    if (all_answer) {
      parts.sessions.KeepOnly(known);
      parts.stale.KeepOnly(known);
      parts.alone.KeepOnly(known);
      parts.failures.KeepOnly(known);
      std::erase_if(parts.memories, [&](const auto& item) { return !known.contains(item.first); });
    }
    return 0;
  });
}

replication::VolumeFloor ReplicationClusterReconciler::FindFloor(
    const replication::FloorRules& rules, const std::string& resource, Pass* pass) const {
  const std::optional<bool> cluster = ClusterValue(pass->input);
  replication::VolumeFloor floor = FloorOf(rules, resource, cluster);
  if (floor.cluster != cluster) {
    pass->input.cluster_for[resource] = floor.cluster;
  }
  pass->floors[resource] = floor;
  return floor;
}

// Said once for each value that appears: it is pinned back, and gone from there a moment later.
void ReplicationClusterReconciler::NoteRefused(const Pass& pass) {
  if (!pass.linstor.known) {
    return;
  }
  std::map<std::string, std::vector<std::string>> refused;
  for (const auto& seen : pass.input.resources) {
    if (auto below = BelowFloor(seen->levels); !below.empty()) {
      refused[seen->resource] = std::move(below);
    }
  }
  if (pass.settings.floor && pass.settings.tls == true && pass.linstor.controller == false &&
      last_controller_ == true) {
    refused[""] = {"controller"};
  }
  last_controller_ = pass.linstor.controller;
  for (const auto& [resource, levels] : refused) {
    std::string text;
    const auto before = refused_.find(resource);
    for (const std::string& level : levels) {
      if (before == refused_.end() ||
          std::find(before->second.begin(), before->second.end(), level) == before->second.end()) {
        text += (text.empty() ? "" : ", ") + level;
      }
    }
    if (text.empty()) {
      continue;
    }
    deps_.metrics.CountRefusedDowngrade();
    deps_.reporter.Tell(
        pass.cluster->name,
        {resource, true, "DowngradeRefused",
         (resource.empty() ? "LINSTOR" : "Volume " + resource) + ": " +
             std::string(replication::kTlsProperty) + "=no on its " + text +
             " does not count, because it stands only in LINSTOR: TLS it is. To allow "
             "plaintext, name the volume in spec.replicationTLS.exemptions"});
  }
  refused_ = std::move(refused);
}

void ReplicationClusterReconciler::NoteSessions(Pass* pass) const {
  const SystemTime now = deps_.services.clock.SystemNow();
  const RekeyRules rules{pass->settings.rekey.max_age, pass->settings.rekey.max_gib};
  pass->input.rekey = pass->cluster->ledgers.With([&](LedgerParts& parts) {
    for (const auto& seen : pass->input.resources) {
      parts.sessions.Observe(*seen, now);
    }
    return parts.sessions.Due(rules, now);
  });
}

// Everything that PlanCluster is told, and its answer.
void ReplicationClusterReconciler::Judge(Pass* pass) {
  ClusterInput& input = pass->input;
  const SteadyTime steady = deps_.services.clock.SteadyNow();
  const SystemTime now = deps_.services.clock.SystemNow();
  input.linstor_known = pass->linstor.known;
  input.invalid = pass->settings.invalid;
  input.online_nodes = pass->linstor.online;
  input.offline_nodes = pass->linstor.offline;
  input.agents = pass->agents;
  input.policy = ToPolicy(pass->settings);
  input.journalled = pass->cluster->gate.Switching();
  input.journalled.insert(pass->busy.begin(), pass->busy.end());
  pass->tls_wanted = AnyTlsWanted(input);
  const auto certificates = deps_.nodes.Certificates();
  pass->cluster->ledgers.With([&](LedgerParts& parts) {
    const auto bad = parts.handshakes.BadNodes(steady);
    pass->verdicts =
        CheckNodes({deps_.satellites.satellites, pass->pods, options_.satellite_container,
                    options_.tlshd_container, pass->reports, certificates, pass->agents,
                    pass->linstor, bad, pass->tls_wanted},
                   now);
    causes_changed_ =
        NoteCauses(pass->verdicts, pass->pods, options_.tlshd_container, now, &parts.causes);
    input.unfit = UnfitNodes(pass->verdicts);
    input.failed_pairs = parts.handshakes.FailedPairs(steady);
    input.backing_off = parts.failures.BackingOff(steady);
    input.touch = parts.unsettled.TakeOverdue(steady);
    for (const std::string& resource : parts.alone.Resources()) {
      const AloneLedger::HoldRules rules{
          pass->settings.hold_all || pass->settings.hold.contains(resource),
          parts.stale.PairsOf(resource),
          std::chrono::duration_cast<seconds>(options_.observe_interval)};
      if (auto holds = parts.alone.Holds(resource, rules, parts.causes); !holds.empty()) {
        input.untouchable[resource] = holds.begin()->second;
        input.hold[resource] = std::move(holds);
      }
    }
    return 0;
  });
  for (const auto& [resource, outcome] : pass->outcomes) {
    if (outcome.busy && outcome.strategy == replication::Strategy::kNone) {
      input.repairing.insert(resource);
    }
  }
  SettlePlaces(pass);
  input.in_flight = places_.names();
  pass->plan = PlanCluster(input);
  LookBeforeRekey(pass);
  pass->cluster->ledgers.With([&](LedgerParts& parts) {
    parts.unsettled.Observe(pass->plan.unsettled, steady);
    return 0;
  });
  places_.Give(pass->plan.start, number_ + 1);
  if (pass->plan.pending == 0 && pass->plan.push_held.empty()) {
    waits_since_.reset();
  } else if (!waits_since_) {
    waits_since_ = steady;
  }
}

// New keys need a handshake, and what is known of the files behind it may be a day old. A
// connection that is well is not cut on such knowledge.
void ReplicationClusterReconciler::LookBeforeRekey(Pass* pass) {
  replication::ClusterPlan& plan = pass->plan;
  const bool rekey = plan.differing == 0 && plan.cleaning == 0 && plan.start.size() == 1 &&
                     pass->input.rekey.contains(plan.start.front());
  if (!rekey) {
    return;
  }
  const std::string resource = plan.start.front();
  const SteadyTime now = deps_.services.clock.SteadyNow();
  std::string unread;
  for (const auto& [pair, session] : pass->input.rekey.at(resource)) {
    for (const std::string& node : {pair.a, pair.b}) {
      if (deps_.nodes.CertificatesReadSince(node, now - kFreshCertificates)) {
        continue;
      }
      unread = node;
      const auto asked = looked_for_.find(node);
      if (asked == looked_for_.end() || now - asked->second >= kBetweenCertificateLooks) {
        looked_for_[node] = now;
        deps_.nodes.WantCertificates(node);
        wake_node_(node);
      }
    }
  }
  if (!unread.empty()) {
    plan.start.clear();
    plan.may_switch.erase(resource);
    plan.rekey_held[resource] = "the certificate of node " + unread + " is looked at first";
  }
}

void ReplicationClusterReconciler::SettlePlaces(Pass* pass) {
  const SteadyTime steady = deps_.services.clock.SteadyNow();
  for (const Places::Left& left : places_.Settle(pass->outcomes, pass->input.backing_off, steady)) {
    if (!left.gave_up) {
      continue;
    }
    const bool news = pass->cluster->ledgers.With([&](LedgerParts& parts) {
      return parts.failures.Failed({VolumeFailure::Kind::kBlocked, left.resource, "", left.why},
                                   deps_.services.clock.SystemNow(), steady);
    });
    pass->input.backing_off[left.resource] = left.why;
    deps_.metrics.CountRun(left.strategy, "blocked");
    if (news) {
      deps_.reporter.Tell(pass->cluster->name, {left.resource, true, "MigrationBlocked",
                                                "Volume " + left.resource + ": " + left.why});
    }
  }
}

milliseconds ReplicationClusterReconciler::NextPass(const Pass& pass) const {
  milliseconds next = WhileWaiting(deps_.services.clock.SteadyNow());
  if (!pass.linstor.known) {
    next = std::min<milliseconds>(next, kLinstorRetry);
  }
  const bool working = !places_.empty() || !pass.busy.empty() || !pass.plan.pins.empty() ||
                       pass.plan.push || report_due_ || linstor_wanted_;
  if (working) {
    next = std::min<milliseconds>(next, kWhileWorking);
  }
  // Who backs off is tried again in time.
  if (!pass.input.backing_off.empty() || !pass.input.failed_pairs.empty() ||
      !pass.plan.unsettled.empty()) {
    next = std::min<milliseconds>(next, seconds(15));
  }
  return next;
}

}  // namespace breakwater::controllers
