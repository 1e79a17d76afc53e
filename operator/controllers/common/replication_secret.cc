#include "operator/controllers/common/replication_secret.h"

#include <algorithm>
#include <string>

#include "operator/runtime/store.h"

namespace breakwater::controllers {
namespace {

using api::CertificateMode;
using api::Json;

/// Whether the list in the pod's spec, or in that of the template, has an item of this name.
bool HasNamed(const api::ObjectPtr& object, const char* list, std::string_view name) {
  if (object == nullptr) {
    return false;
  }
  const Json whole = runtime::UnpackSpec(object->raw());  // stores keep DaemonSets as text
  const Json* found = api::FindPath(whole, {"spec", "template", "spec", list});
  found = found == nullptr ? api::FindPath(whole, {"spec", list}) : found;
  return found != nullptr && found->is_array() &&
         std::any_of(found->begin(), found->end(),
                     [&](const Json& item) { return api::StringAt(item, "name") == name; });
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
