#include "operator/cmd/wiring.h"

#include <unistd.h>

#include <array>
#include <optional>

#include "operator/api/resources.h"
#include "operator/base/backoff.h"
#include "operator/base/clock.h"
#include "operator/cmd/controllers.h"
#include "operator/cmd/endpoints.h"
#include "operator/cmd/measured_exec.h"
#include "operator/cmd/memory.h"
#include "operator/cmd/stores.h"
#include "operator/controllers/linstor_connection/linstor_provider.h"
#include "operator/controllers/replication/register.h"
#include "operator/kube/event_recorder.h"
#include "operator/kube/http_client.h"
#include "operator/kube/ws_pod_exec.h"
#include "operator/net/beast_websocket.h"
#include "operator/net/cpprest_transport.h"
#include "operator/net/write_fence.h"
#include "operator/runtime/health.h"
#include "operator/runtime/manager.h"
#include "operator/runtime/metrics.h"

namespace breakwater::cmd {
namespace {

/// Name of the Lease: that of the Piraeus Operator, so that the two never work at the same time.
constexpr const char* kLeaseName = "piraeus-operator";

std::string HostName() {
  std::array<char, 256> name{};
  return gethostname(name.data(), name.size() - 1) == 0 ? std::string(name.data()) : "unknown";
}

runtime::ManagerOptions ManagerOptionsFor(const Options& options,
                                          kube::KubeClient& lease_client,
                                          net::WriteFence& fence) {
  runtime::ManagerOptions manager;
  // Half of what the kubelet leaves us after SIGTERM is for the other parts and the lease.
  manager.grace = std::chrono::seconds(15);
  manager.reflector.watch_timeout =
      std::chrono::duration_cast<std::chrono::seconds>(options.watch_timeout);
  if (options.leader_elect) {
    const std::string host = options.pod_name.empty() ? HostName() : options.pod_name;
    const auto random = static_cast<std::uint64_t>(RealRandom()() * 1e9);
    manager.leader_election = runtime::LeaderElectorOptions{
        .ns = options.ns,
        .name = kLeaseName,
        .identity = host + "_" + std::to_string(getpid()) + "_" + std::to_string(random),
        .fence = &fence};
    manager.lease_client = &lease_client;
  }
  return manager;
}

/// Whether the API server knows a kind. Waits for the API server, because an operator that starts
/// before it must not stay without the kind.
Result<bool, Error> HasKind(const Context& ctx,
                            kube::KubeReader& client,
                            const api::ResourceInfo& kind,
                            const std::string& ns,
                            const Logger& log) {
  Backoff backoff(ctx.clock(), RealRandom());
  while (true) {
    const auto page = client.List(ctx.WithTimeout(std::chrono::seconds(10)), kind,
                                  {.ns = kind.namespaced ? ns : "", .limit = 1});
    if (page || page.error().IsNotFound()) {
      return page.has_value();
    }
    if (page.error().IsForbidden()) {
      log.Warn("the operator may not list a kind, which is therefore not used",
               {{"kind", kind.kind}, {"error", page.error().message()}});
      return false;
    }
    log.Warn("API server does not answer, will retry", {{"error", page.error().message()}});
    if (!ctx.SleepFor(backoff.Next())) {
      return Unexpected{Error{ErrorClass::kCanceled, "stopped"}};
    }
  }
}

Result<std::shared_ptr<net::HttpTransport>, Error> LinstorTransport(
    const controllers::ControllerUrl& url, const controllers::LinstorTls* tls) {
  controllers::ControllerUrl dialled = url;
  dialled.path.clear();
  if (!url.address.empty()) {
    dialled.host = url.address;
    dialled.server_name = url.server_name.empty() ? url.host : url.server_name;
  }
  net::TransportOptions options{.base_url = dialled.ToString(),
                                .tls_server_name = dialled.server_name};
  if (url.scheme == "https") {
    if (tls == nullptr) {
      return Unexpected{
          Error{ErrorClass::kInvalid, url.ToString() + " needs spec.apiTLS of the LinstorCluster"}};
    }
    BREAKWATER_ASSIGN_OR_RETURN(
        std::shared_ptr<const net::TlsMaterial> material,
        net::TlsMaterial::Create(
            {.ca = tls->ca, .certificate_chain = tls->certificate, .private_key = tls->key}));
    options.tls = std::make_shared<net::TlsMaterialHolder>(std::move(material));
  }
  BREAKWATER_ASSIGN_OR_RETURN(std::unique_ptr<net::HttpTransport> transport,
                              net::MakeCpprestTransport(std::move(options)));
  return std::shared_ptr<net::HttpTransport>(std::move(transport));
}

controllers::StoreLinstorProvider MakeLinstorProvider(const Options& options,
                                                      const OperatorStores& stores,
                                                      const net::WriteFence& fence) {
  return {
      {.clusters = stores.clusters,
       .services = stores.services,
       .pods = stores.pods,
       .secrets = stores.secrets,
       .config_maps = stores.config_maps},
      {.operator_namespace = options.ns,
       .resolution = options.service_resolution,
       .client = {.user_agent = "breakwater/" BREAKWATER_VERSION,
                  .max_requests_per_second = options.linstor_api_qps}},
      [&fence](const controllers::ControllerUrl& url, const controllers::LinstorTls* tls)
          -> Result<std::shared_ptr<net::HttpTransport>, Error> {
        BREAKWATER_ASSIGN_OR_RETURN(std::shared_ptr<net::HttpTransport> transport,
                                    LinstorTransport(url, tls));
        return std::shared_ptr<net::HttpTransport>(net::FenceWrites(std::move(transport), fence));
      }};
}

kube::HttpClientOptions KubeOptions(runtime::Metrics& metrics) {
  return {.on_request = [&metrics](const kube::RequestReport& report) {
    runtime::CountApiRequest(metrics, std::string(report.verb), report.code);
  }};
}

}  // namespace

Result<void, Error> RunOperator(const Options& options,
                                const Logger& log,
                                const std::stop_token& stop) {
  const Clock& clock = RealClock();
  runtime::Metrics metrics;
  runtime::RegisterStandardMetrics(metrics, BREAKWATER_VERSION);
  runtime::Health health(clock);
  Logger runtime_log = log.Named("runtime");
  const runtime::Services services{clock, runtime_log, metrics, health};

  net::WriteFence fence(clock);
  BREAKWATER_ASSIGN_OR_RETURN(const kube::KubeConfig config,
                              kube::LoadConfig({.kubeconfig = options.kubeconfig}));
  BREAKWATER_ASSIGN_OR_RETURN(
      const kube::KubeConnection connection,
      kube::ConnectKube(config, clock, log.Named("kube"), KubeOptions(metrics), &fence));
  kube::KubeClient& client = *connection.client;

  // Before there are stores there would be nothing that is missing.
  constexpr const char* kStarting = "start";
  health.AddReadyCheck(kStarting, [] { return std::optional<std::string>("not complete"); });
  Endpoints endpoints;
  BREAKWATER_RETURN_IF_ERROR(endpoints.Start(options, clock, *connection.review_client, health,
                                             metrics, log.Named("http")));
  BREAKWATER_ASSIGN_OR_RETURN(const bool certificates, HasKind(Context(stop, clock), client,
                                                               api::kCertificate, options.ns, log));
  BREAKWATER_ASSIGN_OR_RETURN(
      const bool group_snapshots,
      HasKind(Context(stop, clock), client, api::kVolumeGroupSnapshotClass, options.ns, log));

  // Destroyed after the manager, whose threads use them.
  OperatorControllers reconcilers;
  runtime::Manager manager(services, client,
                           ManagerOptionsFor(options, *connection.lease_client, fence));
  OperatorStores stores =
      AddStores(manager, options.ns, certificates, !options.webhook_secret_name.empty());
  const runtime::Applier applier(client, {.field_manager = std::string(api::kFieldManager)});
  const controllers::Writers writers{client, applier, stores.written, options.ns};
  const controllers::ImageSource images(
      stores.config_maps, {options.ns, options.image_config_map_name}, options.related_images);
  controllers::StoreLinstorProvider linstor = MakeLinstorProvider(options, stores, fence);
  kube::KubeEventRecorder events(
      client, clock, log.Named("events"),
      {.instance = options.pod_name.empty() ? HostName() : options.pod_name,
       .on_dropped = [&metrics] { runtime::CountDroppedEvent(metrics); }});
  const auto record = [&events](kube::Event event) { events.Record(std::move(event)); };
  reconcilers.volume_group_snapshots = group_snapshots;
  AddControllers(reconcilers, manager, stores, writers, images, linstor, record, options, log);

  BREAKWATER_ASSIGN_OR_RETURN(std::unique_ptr<net::WebSocketConnector> connector,
                              net::MakeBeastConnector({.base_url = config.server,
                                                       .tls_server_name = config.tls_server_name,
                                                       .tls = connection.credentials->tls()}));
  const std::unique_ptr<net::WebSocketConnector> websockets =
      net::FenceWrites(std::move(connector), fence);
  const std::unique_ptr<kube::PodExec> web_exec =
      kube::MakeWsPodExec(*websockets, connection.credentials.get(), clock, KubeOptions(metrics));
  MeasuredExec exec(*web_exec, metrics, clock);
  manager.AddRunnable(MemoryTrimmer(clock));
  manager.AddRunnable(
      {.name = "events",
       .start = [](const Context&) { return Result<void, Error>(); },
       .stop =
           [&events, &clock] {
             // The last words of a replica are the ones that somebody looks for.
             events.Flush(Context(std::stop_token(), clock).WithTimeout(std::chrono::seconds(2)));
           }});
  const std::unique_ptr<controllers::ReplicationTlsHandle> replication_tls =
      controllers::RegisterReplicationTls(
          manager, services, client, exec, linstor, stores.secrets, record,
          {.operator_namespace = options.ns,
           .observe_interval = options.observe_interval,
           .version = BREAKWATER_VERSION,
           .instance = std::to_string(static_cast<std::uint64_t>(RealRandom()() * 1e9)),
           .use = &reconcilers.use});

  health.RemoveReadyCheck(kStarting);
  log.Info("starting", {{"version", BREAKWATER_VERSION},
                        {"server", config.server},
                        {"namespace", options.ns},
                        {"cert_manager", certificates},
                        {"volume_group_snapshots", group_snapshots}});
  Result<void, Error> ended = manager.Run(stop);
  log.Info("stopped");
  return ended;
}

}  // namespace breakwater::cmd
