#include "operator/cmd/stores.h"

#include "operator/api/resources.h"
#include "operator/controllers/webhook_certificate/webhook_certificate_reconciler.h"

namespace breakwater::cmd {

OperatorStores AddStores(runtime::Manager& manager,
                         const std::string& ns,
                         bool certificates,
                         bool webhooks) {
  const runtime::StoreFilter here{.ns = ns};
  // Helm keeps whole releases in Secrets, up to 1 MB each. The others hold keys of somebody else,
  // and none of them is ever needed here (REVIEW-2).
  const runtime::StoreFilter for_tls{
      .ns = ns,
      .field_selector =
          "type!=helm.sh/release.v1,type!=kubernetes.io/service-account-token,"
          "type!=kubernetes.io/dockerconfigjson,type!=kubernetes.io/dockercfg,"
          "type!=kubernetes.io/ssh-auth,type!=bootstrap.kubernetes.io/token"};
  const runtime::StoreFilter ours{.label_selector =
                                      std::string(api::kLabelName) + "=piraeus-datastore"};
  OperatorStores stores{.clusters = manager.AddStore(api::kLinstorCluster),
                        .configurations = manager.AddStore(api::kLinstorSatelliteConfiguration),
                        .satellites = manager.AddStore(api::kLinstorSatellite),
                        .connections = manager.AddStore(api::kLinstorNodeConnection),
                        .nodes = manager.AddStore(api::kNode),
                        .pods = manager.AddStore(api::kPod, here),
                        .config_maps = manager.AddStore(api::kConfigMap, here),
                        .secrets = manager.AddStore(api::kSecret, for_tls),
                        .services = manager.AddStore(api::kService, here),
                        .daemon_sets = manager.AddStore(api::kDaemonSet, here),
                        .csi_nodes = manager.AddStore(api::kCsiNode),
                        .volumes = manager.AddStore(api::kPersistentVolume)};
  for (const api::ResourceInfo* kind :
       {&api::kServiceAccount, &api::kDeployment, &api::kRole, &api::kRoleBinding}) {
    stores.others.push_back(&manager.AddStore(*kind, here));
  }
  for (const api::ResourceInfo* kind : {&api::kClusterRole, &api::kClusterRoleBinding}) {
    stores.others.push_back(&manager.AddStore(*kind, ours));
  }
  stores.others.push_back(&manager.AddStore(
      api::kCsiDriver, {.field_selector = "metadata.name=" + std::string(api::kCsiDriverName)}));
  if (certificates) {
    stores.others.push_back(&manager.AddStore(api::kCertificate, here));
  }
  if (webhooks) {
    stores.webhooks = &manager.AddStore(
        api::kValidatingWebhookConfiguration,
        {.field_selector = "metadata.name=" + std::string(controllers::kWebhookConfiguration)});
  }
  for (const runtime::Store* store : {&stores.satellites, &stores.config_maps, &stores.secrets,
                                      &stores.services, &stores.daemon_sets}) {
    stores.written.Add(*store);
  }
  for (const runtime::Store* store : stores.others) {
    stores.written.Add(*store);
  }
  return stores;
}

}  // namespace breakwater::cmd
