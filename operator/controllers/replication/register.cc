#include "operator/controllers/replication/register.h"

#include <utility>

#include "operator/api/resources.h"
#include "operator/controllers/certificates/certificate_reconciler.h"
#include "operator/controllers/replication/agent_link/agent_links.h"
#include "operator/controllers/replication/replication_controllers.h"
#include "operator/runtime/trigger.h"

namespace breakwater::controllers {
namespace {

const api::ObjectKey kOneKey{.ns = "", .name = "all"};

/// Volumes wait for LINSTOR and the API server, mostly: these many of them at once.
constexpr int kVolumeWorkers = 8;
constexpr int kNodeWorkers = 4;

struct Stores {
  const runtime::Store& clusters;
  SatelliteStores satellites;
  const runtime::Store& secrets;
  const runtime::Store& config_maps;
  FloorSource floor;
};

std::map<std::string, PemFiles> FilesOf(const std::map<std::string, NodeCertificate>& read) {
  std::map<std::string, PemFiles> files;
  for (const auto& [node, certificate] : read) {
    if (certificate.facts.present && certificate.facts.parsed) {
      files[node] = {.chain = certificate.chain,
                     .roots = certificate.roots,
                     .generation = certificate.generation};
    }
  }
  return files;
}

class Handle final : public ReplicationTlsHandle {
 public:
  Handle(runtime::Services services,
         kube::KubeClient& client,
         kube::PodExec& exec,
         LinstorProvider& linstor,
         const Stores& stores,
         EventSink events,
         const ReplicationTlsOptions& options)
      : shell_(exec, stores.satellites, {.timeout = options.exec_timeout}),
        links_(exec,
               services.clock,
               services.log,
               {.resource_changed =
                    [this](const std::string& resource) { controllers_.NoteResource(resource); },
                .node_changed = [this](const std::string& node) { controllers_.NoteNode(node); },
                .result =
                    [this](const std::string& node, const replication::ResultMessage& message) {
                      controllers_.NoteResult(node, message);
                    },
                .clock_moved =
                    [this](const std::string& node) { controllers_.WantCertificates(node); }},
               {.version = options.version}),
        controllers_({.services = services,
                      .client = client,
                      .shell = shell_,
                      .agents = links_,
                      .linstor = linstor,
                      .clusters = stores.clusters,
                      .satellites = stores.satellites,
                      .secrets = stores.secrets,
                      .floor = stores.floor,
                      .events = events,
                      .options = options}),
        certificates_(
            {.client = client,
             .clusters = stores.clusters,
             .satellites = stores.satellites,
             .secrets = stores.secrets,
             .config_maps = stores.config_maps,
             .containers = [this] { return FilesOf(controllers_.Certificates()); },
             .look = [this](const std::string& node) { controllers_.WantCertificates(node); },
             .events = std::move(events),
             .metrics = services.metrics,
             .log = services.log}) {}

  // The links' threads call the controllers.
  ~Handle() override { links_.Stop(); }

  ReplicationControllers& controllers() { return controllers_; }

  CertificateReconciler& certificates() { return certificates_; }

  AgentLinks& links() { return links_; }

 private:
  PodNodeShell shell_;
  AgentLinks links_;
  ReplicationControllers controllers_;
  CertificateReconciler certificates_;
};

bool IsSatellitePod(const runtime::ChangeEvent& change) {
  return change.object().label(api::kLabelComponent) == "linstor-satellite";
}

}  // namespace

std::unique_ptr<ReplicationTlsHandle> RegisterReplicationTls(runtime::Manager& manager,
                                                             runtime::Services services,
                                                             kube::KubeClient& client,
                                                             kube::PodExec& exec,
                                                             LinstorProvider& linstor,
                                                             runtime::Store& secrets,
                                                             EventSink events,
                                                             ReplicationTlsOptions options) {
  runtime::StoreFilter here;
  here.ns = options.operator_namespace;
  runtime::Store& clusters = manager.AddStore(api::kLinstorCluster);
  runtime::Store& satellites = manager.AddStore(api::kLinstorSatellite);
  runtime::Store& daemon_sets = manager.AddStore(api::kDaemonSet, here);
  runtime::Store& pods = manager.AddStore(api::kPod, here);
  runtime::Store& config_maps = manager.AddStore(api::kConfigMap, here);
  runtime::Store& volumes = manager.AddStore(api::kPersistentVolume);
  runtime::Store& classes = manager.AddStore(api::kStorageClass);
  auto handle =
      std::make_unique<Handle>(services, client, exec, linstor,
                               Stores{clusters,
                                      {satellites, daemon_sets, pods, options.operator_namespace},
                                      secrets,
                                      config_maps,
                                      {volumes, classes}},
                               std::move(events), options);
  ReplicationControllers& parts = handle->controllers();
  AgentLinks& links = handle->links();
  runtime::Controller& volume = manager.AddController(
      {.name = "replication-volume", .workers = kVolumeWorkers}, parts.volume());
  runtime::Controller& node =
      manager.AddController({.name = "replication-node", .workers = kNodeWorkers}, parts.node());
  runtime::Controller& cluster =
      manager.AddController({.name = "replication-cluster", .workers = 1}, parts.cluster());
  parts.SetQueues(
      {.volume = [&volume](const std::string& name) { volume.Enqueue({.ns = "", .name = name}); },
       .node = [&node](const std::string& name) { node.Enqueue({.ns = "", .name = name}); },
       .cluster = [&cluster] { cluster.Enqueue(kOneKey); }});
  const auto one = [](const runtime::ChangeEvent&) { return std::vector{kOneKey}; };
  cluster.WatchMapped(clusters, one, runtime::SpecOrMetadataChanged)
      .WatchMapped(satellites, one, runtime::SpecOrMetadataChanged)
      .WatchMapped(classes, one)
      .WatchMapped(volumes, one, runtime::SpecOrMetadataChanged)
      .Needs(daemon_sets)
      .Needs(secrets);
  manager.AddController({.name = "replication-certificates", .workers = 1}, handle->certificates())
      .WatchMapped(clusters, one, runtime::SpecOrMetadataChanged)
      .WatchMapped(satellites, one, runtime::SpecOrMetadataChanged)
      .WatchMapped(daemon_sets, one, runtime::SpecOrMetadataChanged)
      .WatchMapped(secrets, one)
      .Needs(pods)
      .Needs(config_maps);
  // The cluster's pass and the links follow the pods; a look at the files follows the Secrets.
  cluster.WatchMapped(pods, [&parts](const runtime::ChangeEvent& change) {
    if (IsSatellitePod(change)) {
      parts.NotePod(change.object());
    }
    return std::vector<api::ObjectKey>();
  });
  cluster.WatchMapped(secrets, [&parts](const runtime::ChangeEvent& change) {
    parts.NoteSecret(change.object());
    return std::vector<api::ObjectKey>();
  });
  manager.AddLeaderRunnable({"replication-tls",
                             [&parts, &manager](const Context& ctx) {
                               parts.Lead(ctx.stop(), manager.LeaderTerm());
                               return Result<void, Error>{};
                             },
                             [&links] { links.Stop(); }});
  return handle;
}

}  // namespace breakwater::controllers
