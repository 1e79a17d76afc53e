#include "operator/core/render/controller.h"

#include <algorithm>

#include "operator/core/render/placement.h"
#include "operator/core/render/tls_patches.h"

namespace breakwater::core {
namespace {

using api::Json;

constexpr const char* kName = "linstor-controller";
constexpr const char* kInternalTlsSecret = "linstor-controller-internal-tls";

ParsedPatch PodSpecPatch(Json pod_spec) {
  return PodTemplatePatch("Deployment", kName, {{"spec", std::move(pod_spec)}});
}

/// A node that is gone for 30 seconds loses the controller: the default of 5 minutes blocks all
/// storage work.
Json ControllerTolerations() {
  Json result = Json::array();
  for (const char* key : {"node.kubernetes.io/unreachable", "node.kubernetes.io/not-ready"}) {
    result.push_back(
        {{"key", key}, {"operator", "Exists"}, {"effect", "NoExecute"}, {"tolerationSeconds", 30}});
  }
  return result;
}

Json Mount(const char* volume, const char* path, bool read_only) {
  Json mount{{"name", volume}, {"mountPath", path}};
  if (read_only) {
    mount["readOnly"] = true;
  }
  return mount;
}

/// Volumes, and the same mounts in the migration and in the main container, and more in that one.
ParsedPatch VolumePatch(const Json& volumes,
                        const Json& mounts,
                        const Json& ports,
                        const Json& main_mounts = Json::array()) {
  Json main{{"name", kName}, {"volumeMounts", mounts}};
  for (const Json& mount : main_mounts) {
    main["volumeMounts"].push_back(mount);
  }
  if (!ports.empty()) {
    main["ports"] = ports;
  }
  return PodSpecPatch(
      {{"volumes", volumes},
       {"initContainers", Json::array({{{"name", "run-migration"}, {"volumeMounts", mounts}}})},
       {"containers", Json::array({main})}});
}

void AddPassphrase(const std::string& secret, Component* component) {
  const Json variable{
      {"name", "MASTER_PASSPHRASE"},
      {"valueFrom", {{"secretKeyRef", {{"name", secret}, {"key", "MASTER_PASSPHRASE"}}}}}};
  component->patches.push_back(PodSpecPatch(
      {{"containers", Json::array({{{"name", kName}, {"env", Json::array({variable})}}})}}));
}

void AddInternalTls(const api::TlsConfig& tls, Component* component) {
  const std::string secret = tls.secret_name.empty() ? kInternalTlsSecret : tls.secret_name;
  component->patches.push_back(
      VolumePatch(Json::array({TlsVolume("internal-tls", secret, tls.ca_reference),
                               {{"name", "java-internal-tls"}, {"emptyDir", Json::object()}}}),
                  Json::array({Mount("internal-tls", "/etc/linstor/ssl-pem", true),
                               Mount("java-internal-tls", "/etc/linstor/ssl", false)}),
                  Json::array()));
  if (tls.cert_manager) {
    component->AddManifest("controller-internal-certificate");
    component->patches.push_back(CertificatePatch(kInternalTlsSecret, secret, *tls.cert_manager));
  }
}

constexpr const char* kTlsConfig = R"([https]
  enabled = true
  keystore = "/etc/linstor/https/keystore.jks"
  keystore_password = "linstor"
  truststore = "/etc/linstor/https/truststore.jks"
  truststore_password = "linstor"

[db]
  connection_url = "k8s"
)";

/// For `linstor` on the command line inside the controller's container.
constexpr const char* kClientConfig = R"([global]
controllers = https://linstor-controller:3371
cafile      = /etc/linstor/client/ca.crt
certfile    = /etc/linstor/client/tls.crt
keyfile     = /etc/linstor/client/tls.key
)";

void AddApiCertificates(const api::ApiTls& tls, const std::string& ns, Component* component) {
  component->AddManifest("controller-api-certificates");
  component->AddManifest("api-client-certificate");
  ParsedPatch server = CertificatePatch("linstor-api-tls", tls.api_secret_name, *tls.cert_manager);
  server.content["spec"]["dnsNames"] = {std::string(kName) + "." + ns + ".svc",
                                        std::string(kName) + "." + ns, kName};
  component->patches.push_back(std::move(server));
  component->patches.push_back(
      CertificatePatch("linstor-client-tls", tls.client_secret_name, *tls.cert_manager));
}

void AddApiTls(const api::ApiTls& tls, const std::string& ns, Component* component) {
  component->patches.push_back(VolumePatch(
      Json::array({{{"name", "java-api-tls"}, {"emptyDir", Json::object()}},
                   TlsVolume("api-tls", tls.api_secret_name, tls.ca_reference),
                   TlsVolume("client-tls", tls.client_secret_name, tls.ca_reference)}),
      Json::array({Mount("api-tls", "/etc/linstor/https-pem", true),
                   Mount("java-api-tls", "/etc/linstor/https", false)}),
      Json::array({{{"name", "secure-api"}, {"containerPort", 3371}, {"protocol", "TCP"}}}),
      Json::array({Mount("client-tls", "/etc/linstor/client", true)})));
  component->patches.push_back(MergePatchFor(
      "v1", "ConfigMap", "linstor-controller-config",
      {{"data", {{"linstor-client.conf", kClientConfig}, {"linstor.toml", kTlsConfig}}}}));
  component->patches.push_back(MergePatchFor(
      "v1", "Service", kName,
      {{"spec",
        {{"ports",
          Json::array({{{"name", "secure-api"}, {"port", 3371}, {"protocol", "TCP"}}})}}}}));
  if (tls.cert_manager) {
    AddApiCertificates(tls, ns, component);
  }
}

/// Before it migrates the database, the image stores a backup in Secrets: linstor-backup-for-<name
/// of the host>, or, when it is too large for one, in these with the suffixes -00, -01 and so on,
/// of which there are 90 before `split -d` takes more digits. It looks for them, makes them and
/// labels them; where it may not look, it waits and does not migrate.
Json BackupSecretNames(std::vector<std::string> hosts) {
  constexpr int kParts = 90;
  std::sort(hosts.begin(), hosts.end());
  Json names = Json::array();
  for (const std::string& host : hosts) {
    const std::string backup = "linstor-backup-for-" + host;
    names.push_back(backup);
    for (int part = 0; part < kParts; ++part) {
      const std::string digits = std::to_string(part);
      names.push_back(backup + (part < 10 ? "-0" : "-") + digits);
    }
  }
  return names;
}

void AddBackupRights(const std::vector<std::string>& hosts, Component* component) {
  if (hosts.empty()) {
    return;  // an empty list of names would mean all Secrets
  }
  component->patches.push_back(ParsedPatch{
      .content = Json::array({{{"op", "add"},
                               {"path", "/rules/-"},
                               {"value",
                                {{"apiGroups", {""}},
                                 {"resources", {"secrets"}},
                                 {"resourceNames", BackupSecretNames(hosts)},
                                 {"verbs", {"get", "patch"}}}}}}),
      .target =
          api::PatchTarget{.group = "rbac.authorization.k8s.io", .kind = "Role", .name = kName},
      .is_json_patch = true});
}

}  // namespace

Component ApiClientComponent(const ClusterInputs& inputs) {
  const api::LinstorClusterSpec& spec = inputs.spec;
  Component component{.name = kName};
  if (spec.api_tls && spec.api_tls->cert_manager) {
    component.AddManifest("api-client-certificate");
    component.patches.push_back(CertificatePatch(
        "linstor-client-tls", spec.api_tls->client_secret_name, *spec.api_tls->cert_manager));
  }
  return component;
}

Component ControllerComponent(const ClusterInputs& inputs) {
  const api::LinstorClusterSpec& spec = inputs.spec;
  Component component{.name = kName};
  component.AddManifest("controller");
  AddBackupRights(inputs.controller_hosts, &component);
  component.patches.push_back(PlacementPatch("Deployment", kName, spec, ControllerTolerations()));
  if (!spec.linstor_passphrase_secret.empty()) {
    AddPassphrase(spec.linstor_passphrase_secret, &component);
  }
  if (spec.internal_tls) {
    AddInternalTls(*spec.internal_tls, &component);
  }
  if (spec.api_tls) {
    AddApiTls(*spec.api_tls, inputs.ns, &component);
  }
  if (spec.controller.pod_template.is_object()) {
    component.pod_template = PodTemplatePatch("Deployment", kName, spec.controller.pod_template);
    component.pod_template_path = "spec.controller.podTemplate";
  }
  return component;
}

}  // namespace breakwater::core
