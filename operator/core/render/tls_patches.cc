#include "operator/core/render/tls_patches.h"

namespace breakwater::core {

using api::Json;

Json TlsVolume(const std::string& name,
               const std::string& secret,
               const std::optional<api::CaReference>& ca) {
  Json sources = Json::array({{{"secret", {{"name", secret}}}}});
  if (ca) {
    // A later source wins over an earlier one with the same path.
    Json source{{"name", ca->name},
                {"items", Json::array({{{"key", ca->key}, {"path", "ca.crt"}}})}};
    if (ca->optional) {
      source["optional"] = *ca->optional;
    }
    sources.push_back({{ca->kind == "ConfigMap" ? "configMap" : "secret", source}});
  }
  return {{"name", name}, {"projected", {{"sources", sources}}}};
}

Json ClientCertificate(const std::string& name, const std::string& common_name) {
  return {{"apiVersion", "cert-manager.io/v1"},
          {"kind", "Certificate"},
          {"metadata", {{"name", name}}},
          {"spec",
           {{"commonName", common_name},
            {"dnsNames", Json::array({common_name})},
            {"usages", Json::array({"client auth"})}}}};
}

ParsedPatch CertificatePatch(const std::string& certificate,
                             const std::string& secret,
                             const api::IssuerReference& issuer) {
  return MergePatchFor("cert-manager.io/v1", "Certificate", certificate,
                       {{"spec", {{"secretName", secret}, {"issuerRef", api::ToJson(issuer)}}}});
}

}  // namespace breakwater::core
