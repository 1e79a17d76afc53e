// What happens to a satellite's node in LINSTOR when the LinstorSatellite is deleted.

#include <algorithm>

#include "operator/api/duration.h"
#include "operator/api/linstor_cluster.h"
#include "operator/api/resources.h"
#include "operator/base/log.h"
#include "operator/controllers/common/replication_secret.h"
#include "operator/controllers/common/status_tools.h"
#include "operator/controllers/satellite/satellite_reconciler.h"

namespace breakwater::controllers {
namespace {

/// How long nothing has moved before LINSTOR is asked again; doubled each time.
constexpr std::chrono::minutes kEvacuationPatience{5};
constexpr std::chrono::minutes kEvacuationMostPatience{60};

/// On a LinstorSatellite with the policy Delete: volumes whose last good copy may go with the node.
constexpr std::string_view kForgetLastCopies = "breakwater.io/forget-last-copies";

bool NotFound(const linstor::LinstorResult<linstor::Node>& node) {
  return !node && node.error().IsNotFound();
}

/// Resources that a PersistentVolume stands for: pods take these from node to node.
std::set<std::string> ClaimedResources(const runtime::Store& volumes) {
  std::set<std::string> names;
  for (const api::ObjectPtr& volume : volumes.List()) {
    names.insert(LinstorVolumeOf(*volume));  // "" is no resource's name
  }
  return names;
}

void EraseNames(const std::set<std::string>& given_up, std::vector<std::string>& names) {
  std::erase_if(names, [&](const std::string& name) {
    return given_up.contains("*") || given_up.contains(name);
  });
}

}  // namespace

Result<bool, Error> SatelliteReconciler::ClusterStays(const Context& ctx, const Pass& pass) const {
  // One of the same name that was made again is another cluster: it makes its own satellites, and
  // what the old one leaves behind is not its to throw away.
  const auto stays = [&](const api::Object& cluster) {
    const std::string owner = pass.satellite.controller_uid();
    return !cluster.deleting() && (owner.empty() || owner == cluster.uid());
  };
  const api::ObjectKey key{"", pass.spec.cluster_ref.name};
  const api::ObjectPtr known = deps_.clusters.Get(key);
  if (!known || !stays(*known)) {
    return false;
  }
  // A store may be behind: when a whole cluster is deleted its satellites come first by chance.
  const auto live = deps_.writers.client.Get(ctx, api::kLinstorCluster, key);
  if (!live && live.error().IsNotFound()) {
    return false;
  }
  if (!live) {
    return Unexpected{live.error().ToError().WithContext("read LinstorCluster " + key.name)};
  }
  return stays(api::Object(*live));
}

bool SatelliteReconciler::Remove(const Context& ctx, Pass& pass) {
  const bool retain = pass.spec.deletion_policy == api::DeletionPolicy::kRetain;
  const std::string_view condition = pass.spec.deletion_policy == api::DeletionPolicy::kEvacuate
                                         ? api::kConditionSatelliteEvacuated
                                         : api::kConditionSatelliteDeleted;
  const Result<bool, Error> stays = ClusterStays(ctx, pass);
  if (!stays && !retain) {
    pass.conditions.AddError(condition, stays.error().message);
    return false;
  }
  if (stays && !*stays) {
    return true;  // the whole cluster goes: nobody would take the data
  }
  Result<std::shared_ptr<linstor::Client>, Error> client =
      deps_.linstor.ClientFor(pass.spec.cluster_ref.name);
  if (client) {
    pass.client = std::move(*client);
  }
  if (const std::string volume = SwitchingVolume(ctx, pass); !volume.empty()) {
    pass.conditions.AddPending(
        condition, "Waiting for volume " + volume + ", which is being switched", "Waiting");
    return false;
  }
  if (retain) {
    return MayTakePod(ctx, pass);  // LINSTOR keeps the node, its pod goes with the LinstorSatellite
  }
  // While LINSTOR is known not to answer, the LinstorCluster's pass is the one that asks it.
  if (!pass.client || !deps_.snapshots.Reachable(pass.spec.cluster_ref.name)) {
    ReportUnreachable(pass.conditions);
    return false;
  }
  return pass.spec.deletion_policy == api::DeletionPolicy::kDelete ? RemoveLost(ctx, pass)
                                                                   : Evacuate(ctx, pass);
}

// The node keeps its volumes, and DRBD goes on without the pod: until a connection breaks.
bool SatelliteReconciler::MayTakePod(const Context& ctx, Pass& pass) const {
  if (!pass.node || !SpecHasContainer(DaemonSetOf(pass.satellite.uid()), kHandshakeContainer)) {
    return true;  // it has gone with its Node already, or never was
  }
  const std::string why = DaemonNeeded(pass);
  if (why.empty()) {
    return true;
  }
  if (pass.client) {
    const auto here = pass.client->ListResources(ctx, pass.satellite.name(), "");
    if (here ? std::none_of(here->begin(), here->end(), [](const auto& r) { return r.has_drbd; })
             : here.error().IsNotFound()) {
      return true;  // what is needed for new volumes is not needed on a node that leaves
    }
  }
  pass.conditions.AddPending(
      api::kConditionSatelliteDeleted,
      "The handshake daemon (ktls-utils) would go with the Pod, although " + why +
          ". A connection that breaks without it does not come back. Move the volumes away "
          "(deletionPolicy Evacuate) or go back to plaintext first; to take it away all the same "
          "set spec.replicationTLS.allowHandshakeDaemonRemoval of the LinstorCluster",
      api::kReasonHandshakeDaemonKept);
  return false;
}

bool SatelliteReconciler::MayForget(const Context& ctx, Pass& pass) const {
  const auto all = pass.client->ListResources(ctx, "", "");
  if (!all) {
    pass.conditions.AddError(api::kConditionSatelliteDeleted, all.error().message());
    return false;
  }
  const std::set<std::string> given_up = NamesIn(pass.satellite.annotation(kForgetLastCopies));
  std::vector<std::string> opened = OpenedOn(*all, pass.satellite.name());
  EraseNames(given_up, opened);
  std::vector<std::string> only = OnlyCopies(*all, pass.satellite.name(), DoomedNodes());
  EraseNames(given_up, only);
  if (only.empty() && opened.empty()) {
    return true;
  }
  pass.stays = true;  // also its pod, if it has ended before the other copy did
  if (only.empty()) {
    // The others would take a node for lost that goes on writing.
    pass.conditions.AddError(api::kConditionSatelliteDeleted,
                             "in use on the node: " + JoinBounded(opened) +
                                 ". Move the pods away: kubectl drain " + pass.satellite.name(),
                             "InUse");
    return false;
  }
  pass.conditions.AddError(api::kConditionSatelliteDeleted,
                           "no other node has an up-to-date copy of " + JoinBounded(only) +
                               ": LINSTOR would forget the last one. Bring a copy up elsewhere or "
                               "delete the volumes; or "
                               "give them up: kubectl annotate linstorsatellite " +
                               pass.satellite.name() + " " + std::string(kForgetLastCopies) +
                               "=<volume>,...",
                           "LastCopy");
  return false;
}

std::set<std::string> SatelliteReconciler::DoomedNodes() const {
  std::set<std::string> names;
  for (const api::ObjectPtr& satellite : deps_.satellites.List()) {
    if (satellite->deleting() &&
        api::DecodeLinstorSatellite(satellite->raw()).value.deletion_policy ==
            api::DeletionPolicy::kDelete) {
      names.insert(satellite->name());
    }
  }
  return names;
}

bool SatelliteReconciler::RemoveLost(const Context& ctx, Pass& pass) const {
  if (!MayForget(ctx, pass)) {
    return false;
  }
  // LINSTOR calls a node lost only when it is not connected: the pod goes first.
  ApplyReport report;
  PruneObjects(ctx, deps_.writers, pass.satellite, {api::kDaemonSet}, report);
  if (!report.ok()) {
    pass.error = report.error;
    pass.conditions.AddError(api::kConditionSatelliteDeleted, report.error->message);
    return false;
  }
  if (!deps_.pods.ListByLabel(std::string(api::kLabelSatellite), pass.satellite.uid()).empty()) {
    pass.conditions.AddPending(api::kConditionSatelliteDeleted, "Waiting for the Pod to end",
                               "Waiting");
    return false;
  }
  const auto lost = pass.client->LostNode(ctx, pass.satellite.name());
  if (!lost && !lost.error().IsNotFound()) {
    pass.conditions.AddError(api::kConditionSatelliteDeleted, lost.error().message());
    return false;
  }
  deps_.log.Info("node removed from LINSTOR", {{"node", pass.satellite.name()}});
  return true;
}

bool SatelliteReconciler::Evacuate(const Context& ctx, Pass& pass) {
  const std::string& name = pass.satellite.name();
  const linstor::LinstorResult<linstor::Node> node = pass.client->GetNode(ctx, name);
  if (NotFound(node)) {
    return true;
  }
  const auto resources = node ? pass.client->ListResources(ctx, name, "")
                              : Unexpected{linstor::LinstorError(node.error())};
  if (!node || !resources) {
    pass.conditions.AddError(api::kConditionSatelliteEvacuated,
                             node ? resources.error().message() : node.error().message());
    return false;
  }
  if (!node->HasFlag("EVACUATE")) {
    return Reattached(ctx, pass) && MayEvacuate(ctx, pass, *node);
  }
  if (!resources->empty()) {
    WatchEvacuation(ctx, pass);
    return false;
  }
  const auto deleted = pass.client->DeleteNode(ctx, name);
  if (!deleted && !deleted.error().IsNotFound()) {
    pass.conditions.AddError(api::kConditionSatelliteEvacuated, deleted.error().message());
    return false;
  }
  deps_.log.Info("node evacuated and removed from LINSTOR", {{"node", name}});
  return true;
}

// LINSTOR keeps an evacuation in its memory: restarted meanwhile it has forgotten what it was to
// place. It is asked again when that can make no copy too many.
void SatelliteReconciler::WatchEvacuation(const Context& ctx, Pass& pass) {
  const std::string& name = pass.satellite.name();
  const auto all = pass.client->ListResources(ctx, "", "");
  const auto groups = pass.client->ListResourceGroups(ctx);
  const auto definitions = pass.client->ListResourceDefinitions(ctx);
  const auto nodes = pass.client->ListNodes(ctx);
  if (!all || !groups || !definitions || !nodes) {
    pass.conditions.AddPending(api::kConditionSatelliteEvacuated,
                               "LINSTOR's objects could not be listed", "InProgress");
    return;
  }
  std::map<std::string, std::int64_t> copies;
  for (const linstor::ResourceDefinition& definition : *definitions) {
    const auto group = std::find_if(groups->begin(), groups->end(), [&](const auto& item) {
      return item.name == definition.resource_group;
    });
    copies[definition.name] = group == groups->end() ? 0 : group->place_count;
  }
  const Departure left = DescribeDeparture(*all, name, copies, *nodes);
  const bool offline = std::any_of(nodes->begin(), nodes->end(), [&](const linstor::Node& node) {
    return node.name == name && !node.online();
  });
  pass.conditions.AddPending(
      api::kConditionSatelliteEvacuated,
      left.ToString() +
          (offline ? ". LINSTOR does not reach the node and can take nothing away there: if it "
                     "does not come back, kubectl patch linstorsatellite " +
                         name + " --type=merge -p '{\"spec\":{\"deletionPolicy\":\"Delete\"}}'"
                   : ""),
      "InProgress");
  const std::lock_guard lock(evacuation_mutex_);
  const SteadyTime now = ctx.clock().SteadyNow();
  Evacuation& known = evacuations_[name];
  if (known.patience.count() == 0 || known.left != left) {
    known = {.left = left, .since = now, .patience = kEvacuationPatience};
  }
  if (!left.Dropped() || now - known.since < known.patience) {
    return;
  }
  known.since = now;
  known.patience = std::min<std::chrono::minutes>(2 * known.patience, kEvacuationMostPatience);
  const auto again = pass.client->EvacuateNode(ctx, name);
  deps_.log.Info(
      "evacuation asked for again, because nothing of it was under way",
      {{"node", name}, {"left", left.ToString()}, {"error", again ? "" : again.error().message()}});
}

bool SatelliteReconciler::Reattached(const Context& ctx, Pass& pass) {
  const auto all = pass.client->ListResources(ctx, "", "");
  if (!all) {
    pass.conditions.AddError(api::kConditionSatelliteEvacuated, all.error().message());
    return false;
  }
  const std::string& name = pass.satellite.name();
  const api::EvacuationStrategy strategy =
      pass.spec.evacuation_strategy.value_or(api::EvacuationStrategy());
  std::vector<std::string> names;
  {
    const std::lock_guard lock(evacuation_mutex_);
    names =
        evacuations_[name].wait.Look(NotYetElsewhere(*all, name, ClaimedResources(deps_.volumes)),
                                     strategy, ctx.clock().SteadyNow());
  }
  if (names.empty()) {
    return true;
  }
  pass.conditions.AddPending(api::kConditionSatelliteEvacuated,
                             "Waiting for pods to take volumes to other nodes, where their copies "
                             "are made then (drain the "
                             "node): " +
                                 JoinBounded(names) + "; at most " +
                                 api::FormatDuration(strategy.attached_volume_reattach_timeout) +
                                 " for those in use at first, " +
                                 api::FormatDuration(strategy.unattached_volume_attach_timeout) +
                                 " for others (spec.evacuationStrategy)",
                             "Waiting");
  return false;
}

bool SatelliteReconciler::MayEvacuate(const Context& ctx, Pass& pass, const linstor::Node& node) {
  const api::ObjectPtr cluster = deps_.clusters.Get({"", pass.spec.cluster_ref.name});
  const std::int64_t limit =
      cluster ? IntegerAt(*cluster, {"spec", "maxConcurrentEvacuations"}, 0) : 0;
  const std::lock_guard lock(evacuation_mutex_);
  const auto nodes = pass.client->ListNodes(ctx);
  if (!nodes) {
    pass.conditions.AddError(api::kConditionSatelliteEvacuated, nodes.error().message());
    return false;
  }
  const auto running = std::count_if(nodes->begin(), nodes->end(), [](const linstor::Node& item) {
    return item.HasFlag("EVACUATE");
  });
  if (limit > 0 && running >= limit) {
    pass.conditions.AddPending(api::kConditionSatelliteEvacuated,
                               "Other satellites are being evacuated", "Waiting");
    return false;
  }
  // A request without an answer may still be under way in LINSTOR, which takes 30 s and more for
  // one when satellites are slow (L36). A second one would make another copy of everything.
  const SteadyTime now = ctx.clock().SteadyNow();
  const auto known = evacuations_.find(node.name);
  if (known != evacuations_.end() && known->second.unanswered &&
      now - *known->second.unanswered < kEvacuationPatience) {
    pass.conditions.AddPending(api::kConditionSatelliteEvacuated,
                               "LINSTOR did not answer whether it evacuates the node: waiting for "
                               "it to begin, or to ask again",
                               "Waiting");
    return false;
  }
  const auto started = pass.client->EvacuateNode(ctx, node.name);
  if (const net::TransportError* lost = started ? nullptr : started.error().transport();
      lost != nullptr && !lost->not_sent) {
    evacuations_[node.name].unanswered = now;
  }
  if (!started) {
    pass.conditions.AddError(api::kConditionSatelliteEvacuated, started.error().message());
    return false;
  }
  deps_.log.Info("evacuation started", {{"node", node.name}});
  pass.conditions.AddPending(api::kConditionSatelliteEvacuated, "Evacuation started", "InProgress");
  return false;
}

}  // namespace breakwater::controllers
