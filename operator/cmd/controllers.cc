#include "operator/cmd/controllers.h"

#include <algorithm>

#include "operator/api/resources.h"

namespace breakwater::cmd {
namespace {

using runtime::AllKeys;
using runtime::ChangeEvent;
using runtime::IgnoringHeartbeats;
using runtime::SpecOrMetadataChanged;

/// Every key is looked at again each minute while all is well; an API server that refused writes
/// for hours must not make that a quarter of an hour.
const runtime::WorkQueue::Options kQueue{.max_delay = std::chrono::minutes{1}};

/// Whether a change of a pod can matter: readiness or addresses, not every restart counter.
bool PodChanged(const ChangeEvent& change) {
  if (!change.before || !change.after) {
    return true;
  }
  for (const char* member : {"conditions", "podIPs", "phase"}) {
    const api::Json* before = api::FindPath(change.before->raw(), {"status", member});
    const api::Json* after = api::FindPath(change.after->raw(), {"status", member});
    if ((before == nullptr) != (after == nullptr) || (before != nullptr && *before != *after)) {
      return true;
    }
  }
  return change.before->deleting() != change.after->deleting();
}

/// As SpecOrMetadataChanged, and when the condition Applied says something else: others show it.
bool SatelliteChanged(const ChangeEvent& change) {
  if (SpecOrMetadataChanged(change)) {
    return true;
  }
  const auto reason = [](const api::Object& satellite) {
    const std::vector<api::Condition> conditions = api::ConditionsFromJson(satellite.raw());
    const api::Condition* applied = api::FindCondition(conditions, api::kConditionApplied);
    return applied == nullptr ? std::string() : applied->reason;
  };
  return reason(*change.before) != reason(*change.after);
}

/// The LinstorSatellite of a satellite pod.
std::vector<api::ObjectKey> SatelliteOfPod(const ChangeEvent& change,
                                           const runtime::Store& satellites) {
  const std::string uid = change.object().label(api::kLabelSatellite);
  const api::ObjectPtr satellite = uid.empty() ? nullptr : satellites.FindByUid(uid);
  return satellite ? std::vector{satellite->key()} : std::vector<api::ObjectKey>();
}

/// A pod of the LINSTOR controller: where it answers matters to everyone.
bool IsController(const ChangeEvent& change) {
  return change.object().label(api::kLabelComponent) == "linstor-controller";
}

/// A pod of the CSI driver on a node: whether volumes can be mounted there.
bool IsCsiNode(const ChangeEvent& change) {
  return change.object().label(api::kLabelComponent) == "linstor-csi-node";
}

/// CSINodes change with every driver of a node; only their spec says who is registered.
bool RegistrationChanged(const ChangeEvent& change) {
  if (!change.before || !change.after) {
    return true;
  }
  const api::Json* before = api::FindMember(change.before->raw(), "spec");
  const api::Json* after = api::FindMember(change.after->raw(), "spec");
  return before == nullptr || after == nullptr || *before != *after;
}

runtime::Predicate Named(const api::ObjectKey& key) {
  return [key](const ChangeEvent& change) { return change.key == key; };
}

void AddCluster(OperatorControllers& into,
                runtime::Manager& manager,
                OperatorStores& stores,
                const api::ObjectKey& images) {
  runtime::Controller& controller =
      manager.AddController({.name = "cluster", .workers = 1, .queue = kQueue}, *into.cluster);
  const auto all = [&stores](const ChangeEvent&) { return AllKeys(stores.clusters); };
  controller.WatchSelf(stores.clusters, SpecOrMetadataChanged)
      .WatchOwned(stores.satellites, stores.clusters, SatelliteChanged)
      .WatchOwned(stores.services, stores.clusters, SpecOrMetadataChanged)
      .WatchOwned(stores.daemon_sets, stores.clusters, SpecOrMetadataChanged)
      .WatchOwned(stores.secrets, stores.clusters)
      .WatchOwned(stores.config_maps, stores.clusters)
      .WatchMapped(stores.configurations, all, SpecOrMetadataChanged)
      .WatchMapped(stores.nodes, all, IgnoringHeartbeats)
      .WatchMapped(stores.config_maps, all, Named(images))
      .WatchMapped(stores.csi_nodes, all, RegistrationChanged)
      .WatchMapped(
          stores.pods,
          [&stores](const ChangeEvent& change) {
            const bool ours = IsController(change) || IsCsiNode(change) ||
                              !SatelliteOfPod(change, stores.satellites).empty();
            return ours ? AllKeys(stores.clusters) : std::vector<api::ObjectKey>();
          },
          PodChanged);
  for (runtime::Store* store : stores.others) {
    controller.WatchOwned(*store, stores.clusters, SpecOrMetadataChanged);
  }
}

void AddSatellite(OperatorControllers& into,
                  runtime::Manager& manager,
                  OperatorStores& stores,
                  const api::ObjectKey& images) {
  runtime::Controller& controller =
      manager.AddController({.name = "satellite", .workers = 4, .queue = kQueue}, *into.satellite);
  const auto all = [&stores](const ChangeEvent&) { return AllKeys(stores.satellites); };
  controller.WatchSelf(stores.satellites, SpecOrMetadataChanged)
      .WatchOwned(stores.daemon_sets, stores.satellites)
      .WatchMapped(stores.daemon_sets,
                   [&into](const ChangeEvent&) { return into.satellite->NextInLine(); })
      .WatchOwned(stores.config_maps, stores.satellites)
      .WatchOwned(stores.secrets, stores.satellites)
      .WatchMapped(
          stores.pods,
          [&stores](const ChangeEvent& change) {
            return IsController(change) ? AllKeys(stores.satellites)
                                        : SatelliteOfPod(change, stores.satellites);
          },
          PodChanged)
      .WatchMapped(
          stores.nodes, [](const ChangeEvent& change) { return std::vector{change.key}; },
          IgnoringHeartbeats)
      .WatchMapped(stores.config_maps, all, Named(images))
      .WatchMapped(stores.clusters, all, SpecOrMetadataChanged)
      .Needs(stores.services);
  for (runtime::Store* store : stores.others) {
    controller.WatchOwned(*store, stores.satellites, SpecOrMetadataChanged);
  }
}

void AddStatusOnly(OperatorControllers& into, runtime::Manager& manager, OperatorStores& stores) {
  manager
      .AddController({.name = "satelliteconfiguration", .workers = 1, .queue = kQueue},
                     *into.configuration)
      .WatchSelf(stores.configurations, SpecOrMetadataChanged)
      .WatchMapped(
          stores.satellites,
          [&stores](const ChangeEvent&) { return AllKeys(stores.configurations); },
          SatelliteChanged);
  const auto one = [](const ChangeEvent&) { return std::vector{controllers::kAllNodeConnections}; };
  manager
      .AddController({.name = "nodeconnection", .workers = 1, .queue = kQueue},
                     *into.node_connection)
      .WatchMapped(stores.connections, one, SpecOrMetadataChanged)
      .WatchMapped(stores.satellites, one, controllers::ConcernsNodeConnections)
      .WatchMapped(stores.nodes, one, IgnoringHeartbeats)
      .WatchMapped(stores.clusters, one, SpecOrMetadataChanged)
      .Needs(stores.services)
      .Needs(stores.pods)
      .Needs(stores.secrets)
      .Needs(stores.config_maps);
}

void AddWebhookCertificate(OperatorControllers& into,
                           runtime::Manager& manager,
                           OperatorStores& stores,
                           kube::KubeClient& client,
                           const api::ObjectKey& secret) {
  into.webhook_certificate = std::make_unique<controllers::WebhookCertificateReconciler>(
      controllers::WebhookCertificateDeps{.client = client,
                                          .configurations = *stores.webhooks,
                                          .secrets = stores.secrets,
                                          .secret = secret,
                                          .log = into.log});
  const api::ObjectKey only{.ns = "", .name = "webhook"};
  const auto one = [only](const ChangeEvent&) { return std::vector{only}; };
  manager
      .AddController({.name = "webhook-certificate", .workers = 1, .queue = kQueue},
                     *into.webhook_certificate)
      .WatchMapped(*stores.webhooks, one)
      .WatchMapped(stores.secrets, one, Named(secret));
}

}  // namespace

void AddControllers(OperatorControllers& into,
                    runtime::Manager& manager,
                    OperatorStores& stores,
                    const controllers::Writers& writers,
                    const controllers::ImageSource& images,
                    controllers::LinstorProvider& linstor,
                    const controllers::EventSink& events,
                    const Options& options,
                    const Logger& log) {
  into.log = log.Named("controllers");
  into.snapshots = std::make_unique<controllers::LinstorSnapshots>(linstor);
  // Data that is older than the interval between two passes would make the second one useless.
  const std::chrono::milliseconds max_age =
      std::min(options.linstor_node_cache_duration, options.requeue_interval);
  const std::chrono::milliseconds young =
      std::min(controllers::ClusterReconcilerOptions().linstor_max_age, max_age);
  into.cluster = std::make_unique<controllers::ClusterReconciler>(
      controllers::ClusterReconcilerDeps{.clusters = stores.clusters,
                                         .configurations = stores.configurations,
                                         .satellites = stores.satellites,
                                         .nodes = stores.nodes,
                                         .pods = stores.pods,
                                         .csi_nodes = stores.csi_nodes,
                                         .writers = writers,
                                         .images = images,
                                         .linstor = linstor,
                                         .snapshots = *into.snapshots,
                                         .log = into.log,
                                         .events = events},
      controllers::ClusterReconcilerOptions{.pull_secret = options.pull_secret,
                                            .requeue_interval = options.requeue_interval,
                                            .linstor_max_age = young,
                                            .volume_group_snapshots = into.volume_group_snapshots});
  into.satellite = std::make_unique<controllers::SatelliteReconciler>(
      controllers::SatelliteReconcilerDeps{.clusters = stores.clusters,
                                           .satellites = stores.satellites,
                                           .nodes = stores.nodes,
                                           .pods = stores.pods,
                                           .daemon_sets = stores.daemon_sets,
                                           .volumes = stores.volumes,
                                           .writers = writers,
                                           .images = images,
                                           .linstor = linstor,
                                           .snapshots = *into.snapshots,
                                           .log = into.log,
                                           .use = into.use,
                                           .events = events},
      controllers::SatelliteReconcilerOptions{.requeue_interval = options.requeue_interval,
                                              .linstor_max_age = max_age});
  into.configuration = std::make_unique<controllers::ConfigurationReconciler>(
      controllers::ConfigurationReconcilerDeps{.configurations = stores.configurations,
                                               .satellites = stores.satellites,
                                               .applier = writers.applier,
                                               .events = events});
  into.node_connection = std::make_unique<controllers::NodeConnectionReconciler>(
      controllers::NodeConnectionReconcilerDeps{.connections = stores.connections,
                                                .clusters = stores.clusters,
                                                .satellites = stores.satellites,
                                                .nodes = stores.nodes,
                                                .applier = writers.applier,
                                                .linstor = linstor,
                                                .snapshots = *into.snapshots,
                                                .log = into.log},
      controllers::NodeConnectionReconcilerOptions{.requeue_interval = options.requeue_interval,
                                                   .linstor_max_age = max_age});
  AddCluster(into, manager, stores, images.config_map());
  AddSatellite(into, manager, stores, images.config_map());
  AddStatusOnly(into, manager, stores);
  if (stores.webhooks != nullptr) {
    AddWebhookCertificate(into, manager, stores, writers.client,
                          {options.ns, options.webhook_secret_name});
  }
}

}  // namespace breakwater::cmd
