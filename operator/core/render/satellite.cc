#include <algorithm>
#include <utility>

#include "operator/api/duration.h"
#include "operator/api/resources.h"
#include "operator/core/render/agent_container.h"
#include "operator/core/render/component.h"
#include "operator/core/render/patch_guard.h"
#include "operator/core/render/render.h"
#include "operator/core/render/tls_patches.h"

namespace breakwater::core {
namespace {

using api::Json;

constexpr const char* kName = "linstor-satellite";
constexpr int kPrivateMode = 0600;  // of key files
constexpr int kSslPort = 3367;

ParsedPatch PodSpecPatch(Json pod_spec) {
  return PodTemplatePatch("DaemonSet", kName, {{"spec", std::move(pod_spec)}});
}

ParsedPatch ContainerPatch(const char* container, Json content) {
  content["name"] = container;
  return PodSpecPatch({{"containers", Json::array({std::move(content)})}});
}

/// One DaemonSet per node: settings can then differ, and roll out, node by node.
ParsedPatch NodePatch(const std::string& node) {
  const Json term{{"matchFields", Json::array({{{"key", "metadata.name"},
                                                {"operator", "In"},
                                                {"values", Json::array({node})}}})}};
  return PodSpecPatch({{"affinity",
                        {{"nodeAffinity",
                          {{"requiredDuringSchedulingIgnoredDuringExecution",
                            {{"nodeSelectorTerms", Json::array({term})}}}}}}}});
}

constexpr const char* kSslConfig = R"([netcom]
  type = "ssl"
  port = 3367
  server_certificate = "/etc/linstor/ssl/keystore.jks"
  key_password = "linstor"
  keystore_password = "linstor"
  trusted_certificates = "/etc/linstor/ssl/certificates.jks"
  truststore_password = "linstor"
  ssl_protocol = "TLSv1.2"
)";

void AddHandshakeDaemon(const SatelliteInputs& inputs, Component* component) {
  const std::string volume(inputs.replication.mounted ? kReplicationTlsVolume : "internal-tls");
  component->patches.push_back(ContainerPatch(
      "ktls-utils",
      {{"image", "ktls-utils"},
       {"securityContext",
        {{"capabilities", {{"add", {"NET_ADMIN"}}, {"drop", {"ALL"}}}},
         {"privileged", true},
         {"readOnlyRootFilesystem", true}}},
       {"volumeMounts",
        Json::array({{{"name", volume}, {"mountPath", "/etc/tlshd.d"}, {"readOnly", true}}})}}));
}

/// REVIEW-2 S3: a Secret that no other container mounts. A projected volume follows the Secret, and
/// tlshd reads its files at each handshake (F6.2): a renewed certificate restarts nothing.
void AddReplicationSecret(const SatelliteInputs& inputs, Component* component) {
  Json volume = TlsVolume(std::string(kReplicationTlsVolume), ReplicationTlsSecretName(inputs.name),
                          std::nullopt);
  volume["projected"]["defaultMode"] = kPrivateMode;
  component->patches.push_back(PodSpecPatch({{"volumes", Json::array({std::move(volume)})}}));
}

void AddReplicationCertificate(const SatelliteInputs& inputs, Component* component) {
  component->AddManifest("replication-certificate");
  ParsedPatch patch = CertificatePatch(
      "linstor-replication", IssuedReplicationSecretName(inputs.name), *inputs.replication.issuer);
  patch.content["spec"]["dnsNames"] = {inputs.name};
  patch.content["spec"]["duration"] = api::FormatDuration(inputs.replication.duration);
  patch.content["spec"]["renewBefore"] = api::FormatDuration(inputs.replication.duration / 3);
  component->patches.push_back(std::move(patch));
}

bool RunsDaemon(const SatelliteInputs& inputs) {
  return inputs.kept_daemon ||
         (inputs.spec.internal_tls && inputs.spec.internal_tls->tls_handshake_daemon);
}

void AddCertificate(const SatelliteInputs& inputs,
                    const std::string& secret,
                    Component* component) {
  const api::TlsConfig& tls = *inputs.spec.internal_tls;
  component->AddManifest("satellite-certificate");
  ParsedPatch patch = CertificatePatch(kName, secret, *tls.cert_manager);
  patch.content["spec"]["dnsNames"] = {inputs.name};
  if (RunsDaemon(inputs) && !inputs.replication.separate) {
    // DRBD connects in both directions, so each node is also a client. The price: with this key one
    // can be the controller of every satellite (REVIEW-2 S3), hence the other modes.
    patch.content["spec"]["usages"] = {"server auth", "client auth"};
  }
  component->patches.push_back(std::move(patch));
}

Json InternalTlsVolume(const std::string& secret, const api::TlsConfig& tls, bool daemon) {
  Json volume = TlsVolume("internal-tls", secret, tls.ca_reference);
  if (daemon) {
    // tlshd complains about a private key that others may read. Left alone without tlshd, so that
    // the pods of a running cluster keep their template.
    volume["projected"]["defaultMode"] = kPrivateMode;
  }
  return volume;
}

void AddInternalTls(const SatelliteInputs& inputs, Component* component) {
  const api::TlsConfig& tls = *inputs.spec.internal_tls;
  const std::string secret = SatelliteTlsSecretName(inputs.name, inputs.spec);
  Json volume = InternalTlsVolume(secret, tls, RunsDaemon(inputs));
  component->patches.push_back(PodSpecPatch(
      {{"volumes", Json::array({std::move(volume),
                                {{"name", "java-internal-tls"}, {"emptyDir", Json::object()}}})},
       {"containers",
        Json::array({{{"name", kName},
                      // The only port of this name: users' probes say "linstor".
                      {"ports", Json::array({{{"$patch", "replace"}},
                                             {{"name", "linstor"},
                                              {"containerPort", kSslPort},
                                              {"protocol", "TCP"}}})},
                      {"volumeMounts", Json::array({{{"name", "internal-tls"},
                                                     {"mountPath", "/etc/linstor/ssl-pem"},
                                                     {"readOnly", true}},
                                                    {{"name", "java-internal-tls"},
                                                     {"mountPath", "/etc/linstor/ssl"}}})}}})}}));
  component->patches.push_back(MergePatchFor("v1", "ConfigMap", "satellite-config",
                                             {{"data", {{"linstor_satellite.toml", kSslConfig}}}}));
  if (tls.cert_manager) {
    AddCertificate(inputs, secret, component);
  }
}

void AddDaemon(const SatelliteInputs& inputs, const ResolvedImages& images, Component* component) {
  if (!inputs.spec.internal_tls && !inputs.replication.mounted) {
    // LINSTOR has gone back to plaintext; what the daemon presents stays mounted for it alone.
    const std::string& named = inputs.kept_daemon->secret_name;
    component->patches.push_back(PodSpecPatch(
        {{"volumes", Json::array({InternalTlsVolume(
                         named.empty() ? SatelliteTlsSecretName(inputs.name, inputs.spec) : named,
                         *inputs.kept_daemon, true)})}}));
  }
  AddHandshakeDaemon(inputs, component);
  if (inputs.replication.mounted) {
    AddReplicationSecret(inputs, component);
  }
  if (inputs.replication.issuer) {
    AddReplicationCertificate(inputs, component);
  }
  AddAgent(kName, images.references, component);
}

/// File pools live on the host; LINSTOR's losetup must know that their paths are the same inside
/// and outside.
void AddFilePools(const std::vector<api::StoragePool>& pools, Component* component) {
  std::string paths;
  for (std::size_t i = 0; i < pools.size(); ++i) {
    if (!pools[i].is_file()) {
      continue;
    }
    const std::string path = pools[i].DirectoryOrDefault();
    const std::string volume = "file-pool-" + std::to_string(i);  // pool names are not volume names
    component->patches.push_back(PodSpecPatch(
        {{"volumes",
          Json::array(
              {{{"name", volume}, {"hostPath", {{"path", path}, {"type", "DirectoryOrCreate"}}}}})},
         {"containers", Json::array({{{"name", kName},
                                      {"volumeMounts", Json::array({{{"name", volume},
                                                                     {"mountPath", path}}})}}})}}));
    paths += (paths.empty() ? "" : ":") + path;
  }
  if (!paths.empty()) {
    component->patches.push_back(ContainerPatch(
        kName,
        {{"env", Json::array({{{"name", "LOSETUP_CONTAINER_BIND_MOUNTS"}, {"value", paths}}})}}));
  }
}

/// LVM's commands believe in the host's lock daemon when they see its file; its socket is in
/// /run/lvm.
void AddExternalLocking(const std::vector<api::StoragePool>& pools, Component* component) {
  if (std::none_of(pools.begin(), pools.end(),
                   [](const api::StoragePool& pool) { return pool.external_locking; })) {
    return;
  }
  constexpr const char* kVolume = "run-lvmlockd-pid";
  constexpr const char* kFile = "/run/lvmlockd.pid";
  component->patches.push_back(PodSpecPatch(
      {{"volumes",
        Json::array({{{"name", kVolume}, {"hostPath", {{"path", kFile}, {"type", "File"}}}}})},
       {"containers",
        Json::array(
            {{{"name", kName},
              {"volumeMounts",
               Json::array({{{"name", kVolume}, {"mountPath", kFile}, {"readOnly", true}}})}}})}}));
}

/// An image with built modules needs no kernel sources, and some hosts have none.
ParsedPatch PrecompiledModulePatch() {
  return PodSpecPatch(
      {{"volumes", Json::array({{{"name", "usr-src"}, {"$patch", "delete"}}})},
       {"initContainers",
        Json::array(
            {{{"name", "drbd-module-loader"},
              {"volumeMounts", Json::array({{{"mountPath", "/usr/src"}, {"$patch", "delete"}}})},
              {"env", Json::array({{{"name", "LB_HOW"}, {"value", "shipped_modules"}}})}}})}});
}

Component SatelliteComponent(const SatelliteInputs& inputs, const ResolvedImages& images) {
  Component component{.name = kName, .node = inputs.name};
  component.AddManifest("satellite");
  component.patches.push_back(NodePatch(inputs.name));
  if (inputs.spec.internal_tls) {
    AddInternalTls(inputs, &component);
  }
  if (RunsDaemon(inputs)) {
    AddDaemon(inputs, images, &component);
  }
  AddFilePools(inputs.spec.storage_pools, &component);
  AddExternalLocking(inputs.spec.storage_pools, &component);
  if (images.precompiled) {
    component.patches.push_back(PrecompiledModulePatch());
  }
  return component;
}

std::string OsImage(const api::ObjectPtr& node) {
  if (node == nullptr) {
    return {};
  }
  const Json* info = api::FindPath(node->raw(), {"status", "nodeInfo"});
  return info == nullptr ? std::string() : api::StringAt(*info, "osImage");
}

Result<std::vector<ParsedPatch>, Error> ReadPatches(const std::vector<api::Patch>& patches) {
  std::vector<ParsedPatch> result;
  for (std::size_t i = 0; i < patches.size(); ++i) {
    auto parsed = ParsePatch(patches[i]);
    if (!parsed) {
      return Unexpected{parsed.error().WithContext("spec.patches[" + std::to_string(i) + "]")};
    }
    result.push_back(ConvertBarePodPatch(std::move(*parsed)));
  }
  return result;
}

std::vector<std::string> PatchesForNothing(const std::vector<ParsedPatch>& patches,
                                           const std::vector<int>& matches) {
  std::vector<std::string> lines;
  for (std::size_t i = 0; i < patches.size(); ++i) {
    if (matches[i] == 0) {
      lines.push_back("spec.patches[" + std::to_string(i) + "], a " + Describe(patches[i]) +
                      ", matches no object of the satellite");
    }
  }
  return lines;
}

Result<ResourceSet, Error> BuildSatellite(const SatelliteInputs& inputs,
                                          std::vector<std::string>* warnings) {
  BREAKWATER_ASSIGN_OR_RETURN(const std::vector<ParsedPatch> user_patches,
                              ReadPatches(inputs.spec.patches));
  std::map<std::string, std::string> tags;
  if (!inputs.external_controller_version.empty()) {
    tags[kName] = "v" + inputs.external_controller_version;
  }
  const ResolvedImages images =
      inputs.images.Resolve(inputs.spec.repository, OsImage(inputs.node), tags);
  BuildSettings settings;
  settings.ns = inputs.ns;
  settings.name_suffix = inputs.spec.resource_name_suffix_separator + inputs.name;
  settings.selector_labels = SelectorLabels(inputs.spec.cluster_ref.name);
  settings.selector_labels[std::string(api::kLabelSatellite)] = inputs.uid;
  // Without the operator's version: its upgrade must not touch a DaemonSet.
  settings.metadata_labels = ManagedByLabels();
  settings.images = images.references;
  settings.keys = KeySecrets();
  for (const std::string& node : inputs.node_names) {
    settings.keys.insert(SatelliteTlsSecretName(node, {}));
    settings.keys.insert(ReplicationTlsSecretName(node));
    settings.keys.insert(IssuedReplicationSecretName(node));
  }
  std::vector<int> matches(user_patches.size(), 0);
  BREAKWATER_ASSIGN_OR_RETURN(ResourceSet resources,
                              Build(SatelliteComponent(inputs, images), settings, user_patches,
                                    MissingObject::kIgnore, &matches));
  *warnings = PatchesForNothing(user_patches, matches);
  const auto own = images.references.find(kName);
  FollowSatelliteImage(kName, own == images.references.end() ? kName : own->second, &resources);
  return resources;
}

}  // namespace

SatelliteRendering RenderSatellite(const SatelliteInputs& inputs) {
  SatelliteRendering result;
  auto built = BuildSatellite(inputs, &result.warnings);
  if (!built) {
    result.problems.push_back({kName, inputs.name, built.error().message});
    return result;
  }
  // The DaemonSet last: its pods need the ConfigMaps.
  for (const bool workload : {false, true}) {
    for (RenderedResource& resource : *built) {
      if ((resource.original.kind == "DaemonSet") == workload) {
        result.objects.push_back(std::move(resource.object));
      }
    }
  }
  return result;
}

std::string SatelliteDaemonSetName(const std::string& node, const api::LinstorSatelliteSpec& spec) {
  return kName + spec.resource_name_suffix_separator + node;
}

std::string SatelliteTlsSecretName(const std::string& node, const api::LinstorSatelliteSpec& spec) {
  const bool named = spec.internal_tls && !spec.internal_tls->secret_name.empty();
  return named ? spec.internal_tls->secret_name : node + "-tls";
}

std::string ReplicationTlsSecretName(const std::string& node) {
  return node + "-replication-tls";
}

std::string IssuedReplicationSecretName(const std::string& node) {
  return node + "-replication-issued";
}

}  // namespace breakwater::core
