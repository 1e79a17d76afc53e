#include "operator/core/render/components.h"

#include <optional>
#include <utility>

#include "operator/core/render/placement.h"
#include "operator/core/render/tls_patches.h"

namespace breakwater::core {
namespace {

using api::Json;

constexpr const char* kTlsVolume = "linstor-client-tls";
constexpr const char* kTlsPath = "/etc/linstor/tls";

/// What the components have in common: one workload, some of whose containers call LINSTOR.
struct Workload {
  const char* name;                   ///< of workload, component label and account
  const char* kind;                   ///< Deployment or DaemonSet
  const char* manifest;               ///< file
  const char* spec_path;              ///< of its settings in the LinstorCluster
  const char* init_caller = nullptr;  ///< init container that calls LINSTOR
  const char* caller = nullptr;       ///< container that calls LINSTOR
  /// Secret with the certificate that it shows LINSTOR's REST API.
  std::string api::ApiTls::*tls_secret = nullptr;
};

constexpr Workload kCsiController{.name = "linstor-csi-controller",
                                  .kind = "Deployment",
                                  .manifest = "csi-controller",
                                  .spec_path = "spec.csiController",
                                  .init_caller = "linstor-wait-api-online",
                                  .caller = "linstor-csi",
                                  .tls_secret = &api::ApiTls::csi_controller_secret_name};
constexpr Workload kCsiNode{.name = "linstor-csi-node",
                            .kind = "DaemonSet",
                            .manifest = "csi-node",
                            .spec_path = "spec.csiNode",
                            .init_caller = "linstor-wait-node-online",
                            .caller = "linstor-csi",
                            .tls_secret = &api::ApiTls::csi_node_secret_name};
constexpr Workload kHighAvailability{.name = "ha-controller",
                                     .kind = "DaemonSet",
                                     .manifest = "ha-controller",
                                     .spec_path = "spec.highAvailabilityController"};
constexpr Workload kAffinity{.name = "linstor-affinity-controller",
                             .kind = "Deployment",
                             .manifest = "affinity-controller",
                             .spec_path = "spec.affinityController",
                             .caller = "linstor-affinity-controller",
                             .tls_secret = &api::ApiTls::affinity_controller_secret_name};
constexpr Workload kNfsServer{.name = "linstor-csi-nfs-server",
                              .kind = "DaemonSet",
                              .manifest = "nfs-server",
                              .spec_path = "spec.nfsServer",
                              .init_caller = "linstor-wait-node-online",
                              .tls_secret = &api::ApiTls::nfs_server_secret_name};

std::string ControllerUrl(const api::LinstorClusterSpec& spec) {
  if (spec.external_controller_url) {
    return *spec.external_controller_url;
  }
  return spec.api_tls ? "https://linstor-controller:3371" : "http://linstor-controller:3370";
}

/// Adds `members` to the containers that call LINSTOR, and `volumes` to the pod.
ParsedPatch CallerPatch(const Workload& workload, const Json& members, Json volumes = Json()) {
  Json pod_spec = Json::object();
  const auto add = [&](const char* list, const char* container) {
    if (container != nullptr) {
      Json patch = members;
      patch["name"] = container;
      pod_spec[list] = Json::array({std::move(patch)});
    }
  };
  add("initContainers", workload.init_caller);
  add("containers", workload.caller);
  if (!volumes.is_null()) {
    pod_spec["volumes"] = std::move(volumes);
  }
  return PodTemplatePatch(workload.kind, workload.name, {{"spec", std::move(pod_spec)}});
}

Json Variable(const char* name, const std::string& value) {
  return {{"name", name}, {"value", value}};
}

/// The authorities may be in another object than key and certificate, hence no file.
Json AuthoritySource(const std::string& secret, const std::optional<api::CaReference>& ca) {
  if (!ca) {
    return {{"secretKeyRef", {{"name", secret}, {"key", "ca.crt"}}}};
  }
  Json reference{{"name", ca->name}, {"key", ca->key}};
  if (ca->optional) {
    reference["optional"] = *ca->optional;
  }
  return {{ca->kind == "ConfigMap" ? "configMapKeyRef" : "secretKeyRef", std::move(reference)}};
}

/// Key and certificate are files, which LINSTOR's Go client reads at each connection: a renewed
/// certificate is used without a restart. In the environment, as they were up to v2.10.6 of the
/// Piraeus Operator, the key would also be in everything that shows an environment. The client
/// reads the authorities once in either form (golinstor 0.63); as a file it knows them since then
/// only, so they stay as v2.11 has them: no driver that is in use stops to work at a take-over.
void AddApiTls(const Workload& workload, const api::ApiTls& tls, Component* component) {
  const std::string& secret = tls.*workload.tls_secret;
  const Json members{
      {"env", Json::array({{{"name", "LS_ROOT_CA"},
                            {"valueFrom", AuthoritySource(secret, tls.ca_reference)}},
                           Variable("LS_USER_CERTIFICATE_FILE", std::string(kTlsPath) + "/tls.crt"),
                           Variable("LS_USER_KEY_FILE", std::string(kTlsPath) + "/tls.key")})},
      {"volumeMounts",
       Json::array({{{"name", kTlsVolume}, {"mountPath", kTlsPath}, {"readOnly", true}}})}};
  component->patches.push_back(
      CallerPatch(workload, members,
                  Json::array({{{"name", kTlsVolume}, {"secret", {{"secretName", secret}}}}})));
  if (tls.cert_manager) {
    const std::string certificate = std::string(workload.name) + "-tls";
    component->resources.emplace_back(ClientCertificate(certificate, workload.name));
    component->patches.push_back(CertificatePatch(certificate, secret, *tls.cert_manager));
  }
}

Component WorkloadComponent(const Workload& workload,
                            const api::ComponentSpec& settings,
                            const api::LinstorClusterSpec& spec) {
  Component component{.name = workload.name};
  component.AddManifest(workload.manifest);
  const bool calls = workload.init_caller != nullptr || workload.caller != nullptr;
  if (calls) {
    component.patches.push_back(CallerPatch(
        workload, {{"env", Json::array({Variable("LS_CONTROLLERS", ControllerUrl(spec))})}}));
  }
  component.patches.push_back(PlacementPatch(workload.kind, workload.name, spec, Json()));
  if (calls && spec.api_tls) {
    AddApiTls(workload, *spec.api_tls, &component);
  }
  if (settings.replicas && std::string_view(workload.kind) == "Deployment") {
    component.patches.push_back(MergePatchFor("apps/v1", workload.kind, workload.name,
                                              {{"spec", {{"replicas", *settings.replicas}}}}));
  }
  if (settings.pod_template.is_object()) {
    component.pod_template = PodTemplatePatch(workload.kind, workload.name, settings.pod_template);
    component.pod_template_path = std::string(workload.spec_path) + ".podTemplate";
  }
  return component;
}

Component CsiControllerComponent(const ClusterInputs& inputs) {
  Component component = WorkloadComponent(kCsiController, inputs.spec.csi_controller, inputs.spec);
  const auto set = [&](Json containers) {
    component.patches.push_back(
        PodTemplatePatch(kCsiController.kind, kCsiController.name,
                         {{"spec", {{"containers", std::move(containers)}}}}));
  };
  if (!inputs.spec.nfs_server.enabled) {
    set(Json::array(
        {{{"name", "linstor-csi"}, {"env", Json::array({Variable("ENABLE_RWX", "false")})}}}));
  }
  if (!inputs.volume_group_snapshots) {
    // Containers that a patch names come first: the others are named to keep their places, which
    // users' patches may count.
    set(Json::array(
        {{{"name", "linstor-csi"}},
         {{"name", "csi-attacher"}},
         {{"name", "csi-livenessprobe"}},
         {{"name", "csi-provisioner"}},
         {{"name", "csi-snapshotter"},
          {"env", Json::array({Variable("FEATURE_GATE_CSI_VOLUME_GROUP_SNAPSHOT", "false")})}}}));
  }
  return component;
}

}  // namespace

std::vector<Component> WorkloadComponents(const ClusterInputs& inputs) {
  const api::LinstorClusterSpec& spec = inputs.spec;
  std::vector<Component> components;
  if (spec.csi_controller.enabled) {
    Component driver{.name = "csi-driver"};
    driver.AddManifest("csi-driver");
    components.push_back(std::move(driver));
    components.push_back(CsiControllerComponent(inputs));
  }
  const auto add = [&](const Workload& workload, const api::ComponentSpec& settings) {
    if (settings.enabled) {
      components.push_back(WorkloadComponent(workload, settings, spec));
    }
  };
  add(kCsiNode, spec.csi_node);
  add(kHighAvailability, spec.high_availability_controller);
  add(kAffinity, spec.affinity_controller);
  add(kNfsServer, spec.nfs_server);
  if (spec.nfs_server.enabled) {
    Component service{.name = "linstor-csi-nfs", .label_selectors = false};
    service.AddManifest("nfs-service");
    components.push_back(std::move(service));
  }
  return components;
}

std::vector<std::pair<std::string, const Json*>> PodTemplates(const api::LinstorClusterSpec& spec) {
  std::vector<std::pair<std::string, const Json*>> templates{
      {"spec.controller.podTemplate", &spec.controller.pod_template}};
  const std::pair<const Workload*, const api::ComponentSpec*> components[] = {
      {&kCsiController, &spec.csi_controller},
      {&kCsiNode, &spec.csi_node},
      {&kHighAvailability, &spec.high_availability_controller},
      {&kAffinity, &spec.affinity_controller},
      {&kNfsServer, &spec.nfs_server},
  };
  for (const auto& [workload, settings] : components) {
    templates.emplace_back(std::string(workload->spec_path) + ".podTemplate",
                           &settings->pod_template);
  }
  return templates;
}

}  // namespace breakwater::core
