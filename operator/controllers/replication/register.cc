#include "operator/controllers/replication/register.h"

#include <utility>

#include "operator/api/resources.h"
#include "operator/controllers/replication/engine.h"
#include "operator/controllers/replication/tls_secret.h"

namespace breakwater::controllers {
namespace {

class Handle final : public ReplicationTlsHandle {
 public:
  Handle(SatelliteStores stores, PodNodeShellOptions shell, kube::PodExec& exec, EngineDeps deps)
      : shell_(exec, std::move(stores), shell), engine_(WithShell(std::move(deps))) {}

  Engine& engine() { return engine_; }

 private:
  EngineDeps WithShell(EngineDeps deps) {
    return EngineDeps{deps.services,   deps.client, shell_,       deps.linstor, deps.clusters,
                      deps.satellites, deps.pods,   deps.secrets, deps.events,  deps.options};
  }

  PodNodeShell shell_;
  Engine engine_;
};

// Stands in until Handle puts its own shell in place.
class NoShell final : public NodeShell {
 public:
  Result<kube::ExecResult, Error> Run(const Context&,
                                      const std::string&,
                                      const std::string&,
                                      const std::vector<std::string>&) override {
    return Unexpected{Error{ErrorClass::kTerminal, "no shell"}};
  }
};

}  // namespace

std::unique_ptr<ReplicationTlsHandle> RegisterReplicationTls(runtime::Manager& manager,
                                                             runtime::Services services,
                                                             kube::KubeClient& client,
                                                             kube::PodExec& exec,
                                                             LinstorProvider& linstor,
                                                             runtime::Store& secrets,
                                                             EventSink events,
                                                             ReplicationTlsOptions options) {
  static NoShell no_shell;
  runtime::Store& clusters = manager.AddStore(api::kLinstorCluster);
  runtime::Store& satellites = manager.AddStore(api::kLinstorSatellite);
  runtime::StoreFilter filter;
  filter.ns = options.operator_namespace;
  runtime::Store& pods = manager.AddStore(api::kPod, filter);
  runtime::Store& daemon_sets = manager.AddStore(api::kDaemonSet, filter);
  SatelliteStores stores{satellites, daemon_sets, pods, options.operator_namespace};
  PodNodeShellOptions shell;
  shell.timeout = options.exec_timeout;
  auto handle =
      std::make_unique<Handle>(std::move(stores), shell, exec,
                               EngineDeps{services, client, no_shell, linstor, clusters, satellites,
                                          pods, secrets, std::move(events), std::move(options)});
  Engine* engine = &handle->engine();
  clusters.Subscribe([engine](const runtime::ChangeEvent& change) {
    if (runtime::SpecOrMetadataChanged(change)) {
      engine->Wake();
    }
  });
  pods.Subscribe([engine](const runtime::ChangeEvent& change) {
    if (change.object().label(api::kLabelComponent) == "linstor-satellite") {
      engine->Wake();
    }
  });
  secrets.Subscribe([engine](const runtime::ChangeEvent& change) {
    if (IsTlsSecret(change.object())) {
      engine->NoteSecretChange();
    }
  });
  manager.AddLeaderRunnable({"replication-tls",
                             [engine](const Context& ctx) {
                               engine->Start(ctx.stop());
                               return Result<void, Error>{};
                             },
                             [engine] { engine->Stop(); }});
  return handle;
}

}  // namespace breakwater::controllers
