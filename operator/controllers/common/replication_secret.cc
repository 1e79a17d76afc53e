#include "operator/controllers/common/replication_secret.h"

#include <algorithm>
#include <string>

#include "operator/runtime/store.h"

namespace breakwater::controllers {
namespace {

using api::CertificateMode;
using api::Json;

/// The item of this name in a list in the pod's spec, or in that of the template.
std::optional<Json> FindNamed(const api::ObjectPtr& object,
                              const char* list,
                              std::string_view name) {
  if (object == nullptr) {
    return std::nullopt;
  }
  const Json whole = runtime::UnpackSpec(object->raw());  // stores keep DaemonSets as text
  const Json* found = api::FindPath(whole, {"spec", "template", "spec", list});
  found = found == nullptr ? api::FindPath(whole, {"spec", list}) : found;
  if (found != nullptr && found->is_array()) {
    for (const Json& item : *found) {
      if (api::StringAt(item, "name") == name) {
        return item;
      }
    }
  }
  return std::nullopt;
}

bool HasNamed(const api::ObjectPtr& object, const char* list, std::string_view name) {
  return FindNamed(object, list, name).has_value();
}

/// One source of a projected volume that gives ca.crt only (core/render/tls_patches.h).
std::optional<api::CaReference> AsCaReference(const Json& source) {
  for (const char* kind : {"secret", "configMap"}) {
    const Json* named = api::FindMember(source, kind);
    const Json* items = named == nullptr ? nullptr : api::FindMember(*named, "items");
    if (items == nullptr || !items->is_array() || items->empty()) {
      continue;
    }
    api::CaReference reference{.kind = std::string_view(kind) == "secret" ? "Secret" : "ConfigMap",
                               .name = api::StringAt(*named, "name"),
                               .key = api::StringAt((*items)[0], "key")};
    if (const Json* optional = api::FindMember(*named, "optional");
        optional != nullptr && optional->is_boolean()) {
      reference.optional = optional->get<bool>();
    }
    return reference;
  }
  return std::nullopt;
}

}  // namespace

bool HoldsCertificate(const api::ObjectPtr& secret) {
  if (secret == nullptr) {
    return false;
  }
  for (const char* key : {"tls.crt", "tls.key", "ca.crt"}) {
    const Json* value = api::FindPath(secret->raw(), {"data", key});
    if (value == nullptr || !value->is_string() || value->get_ref<const std::string&>().empty()) {
      return false;
    }
  }
  return true;
}

bool MountsReplicationSecret(const api::ObjectPtr& object) {
  return HasNamed(object, "volumes", core::kReplicationTlsVolume);
}

bool SpecHasContainer(const api::ObjectPtr& object, std::string_view container) {
  return HasNamed(object, "containers", container);
}

std::optional<api::TlsConfig> MountedTls(const api::ObjectPtr& object) {
  const std::optional<Json> volume = FindNamed(object, "volumes", "internal-tls");
  if (!volume) {
    return std::nullopt;
  }
  api::TlsConfig tls;
  if (const Json* secret = api::FindMember(*volume, "secret")) {
    tls.secret_name = api::StringAt(*secret, "secretName");  // before v2.4
    return tls;
  }
  const Json* sources = api::FindPath(*volume, {"projected", "sources"});
  if (sources == nullptr || !sources->is_array()) {
    return tls;
  }
  for (const Json& source : *sources) {
    if (auto ca = AsCaReference(source)) {
      tls.ca_reference = std::move(ca);
    } else if (const Json* secret = api::FindMember(source, "secret")) {
      tls.secret_name = api::StringAt(*secret, "name");
    }
  }
  return tls;
}

core::ReplicationCertificate MountFor(const api::CertificateSettings* settings,
                                      const api::ObjectPtr& secret,
                                      const api::ObjectPtr& live) {
  core::ReplicationCertificate result;
  const bool mounted = MountsReplicationSecret(live);
  const std::string source = secret == nullptr ? "" : secret->annotation(kCertificateSource);
  const bool own = !source.empty() && source != api::ToString(CertificateMode::kInternalTls);
  if (settings == nullptr) {
    result.mounted = mounted;
    result.separate = mounted && own;
    return result;
  }
  if (settings->mode == CertificateMode::kInternalTls) {
    // Not before its peers trust the satellite's certificate again. A Secret that somebody deleted
    // comes back and says when.
    result.mounted = mounted && (secret == nullptr || secret->annotation(kReleased) != "true");
    return result;
  }
  // A pod whose Secret is missing does not start: first the Secret, then the mount. Once mounted
  // it stays, or a deleted Secret would bring back a certificate that the peers refuse.
  result.mounted = mounted || HoldsCertificate(secret);
  result.separate = result.mounted && own;
  if (settings->mode == CertificateMode::kCertManager) {
    result.issuer = settings->issuer;
    result.duration = settings->duration;
  }
  return result;
}

bool AwaitsCertificate(const api::CertificateSettings* settings,
                       const core::ReplicationCertificate& mount,
                       const api::ObjectPtr& live) {
  return settings != nullptr && settings->mode != CertificateMode::kInternalTls && !mount.mounted &&
         !SpecHasContainer(live, kHandshakeContainer);
}

}  // namespace breakwater::controllers
