#include "operator/controllers/common/replication_secret.h"

#include <algorithm>
#include <string>

namespace breakwater::controllers {
namespace {

using api::CertificateMode;
using api::Json;

/// The list in the pod's spec, or in that of the template; an empty one when there is none.
const Json& PodList(const api::ObjectPtr& object, const char* list) {
  static const Json kNone = Json::array();
  if (object == nullptr) {
    return kNone;
  }
  const Json* found = api::FindPath(object->raw(), {"spec", "template", "spec", list});
  found = found == nullptr ? api::FindPath(object->raw(), {"spec", list}) : found;
  return found != nullptr && found->is_array() ? *found : kNone;
}

bool HasNamed(const Json& list, std::string_view name) {
  return std::any_of(list.begin(), list.end(),
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
  return HasNamed(PodList(object, "volumes"), core::kReplicationTlsVolume);
}

bool SpecHasContainer(const api::ObjectPtr& object, std::string_view container) {
  return HasNamed(PodList(object, "containers"), container);
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

}  // namespace breakwater::controllers
