#include "operator/controllers/replication/tls_secret.h"

#include <string>

#include "operator/base/base64.h"
#include "operator/crypto/certificate.h"

namespace breakwater::controllers {

namespace {

std::optional<std::string> DataOf(const api::Object& secret, const char* key) {
  const api::Json* value = api::FindPath(secret.raw(), {"data", key});
  return value == nullptr || !value->is_string()
             ? std::nullopt
             : DecodeBase64(value->get_ref<const std::string&>());
}

}  // namespace

bool IsTlsSecret(const api::Object& secret) {
  return api::FindPath(secret.raw(), {"data", "tls.crt"}) != nullptr ||
         api::FindPath(secret.raw(), {"data", "ca.crt"}) != nullptr;
}

std::optional<bool> KeyFits(const api::Object& secret) {
  const std::optional<std::string> certificate = DataOf(secret, "tls.crt");
  std::optional<std::string> key = DataOf(secret, "tls.key");
  if (!certificate || !key) {
    return std::nullopt;
  }
  const auto chain = crypto::Certificate::ParsePem(*certificate);
  if (!chain) {
    return std::nullopt;
  }
  const auto parsed = crypto::PrivateKey::Parse(Secret<>(std::move(*key)));
  return parsed && chain->front().Matches(*parsed);
}

}  // namespace breakwater::controllers
