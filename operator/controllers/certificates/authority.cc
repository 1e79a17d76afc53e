#include "operator/controllers/certificates/authority.h"

#include <algorithm>
#include <utility>

#include "operator/base/base64.h"
#include "operator/base/rfc3339.h"
#include "operator/controllers/certificates/pem_files.h"

namespace breakwater::controllers {
namespace {

constexpr std::size_t kMaxCommonName = 64;

Result<crypto::Identity, Error> NewIdentity(SystemTime now) {
  // A name of its own: libraries look an issuer up by its name, and two authorities are trusted at
  // once during a rotation.
  return crypto::CreateAuthority({.common_name = "breakwater-replication-ca " + FormatRfc3339(now),
                                  .not_before = now - kBackdated,
                                  .not_after = now + kAuthorityLife});
}

Result<crypto::Identity, Error> ReadIdentity(const api::Object& secret,
                                             const char* certificate,
                                             const char* key) {
  const std::optional<std::string> pem = SecretText(secret, certificate);
  std::optional<std::string> key_pem = SecretText(secret, key);
  if (!pem || !key_pem) {
    return Unexpected{
        Error{ErrorClass::kInvalid, std::string(certificate) + " or " + key + " is missing"}};
  }
  BREAKWATER_ASSIGN_OR_RETURN(const std::vector<crypto::Certificate> chain,
                              crypto::Certificate::ParsePem(*pem));
  BREAKWATER_ASSIGN_OR_RETURN(crypto::PrivateKey parsed,
                              crypto::PrivateKey::Parse(Secret<>(*std::move(key_pem))));
  if (!chain.front().is_ca() || !chain.front().Matches(parsed)) {
    return Unexpected{Error{ErrorClass::kInvalid,
                            std::string(certificate) + " is no authority with the key in " + key}};
  }
  return crypto::Identity{chain.front(), std::move(parsed)};
}

}  // namespace

SystemTime RenewalTime(const crypto::Certificate& certificate) {
  const auto life = certificate.not_after() - certificate.not_before();
  return certificate.not_before() + life / 3 * 2;
}

Result<Authority, Error> NewAuthority(SystemTime now, std::string obeyed) {
  BREAKWATER_ASSIGN_OR_RETURN(crypto::Identity current, NewIdentity(now));
  return Authority{.current = std::move(current), .obeyed = std::move(obeyed)};
}

Result<Authority, Error> Rotate(const Authority& authority, SystemTime now, std::string obeyed) {
  BREAKWATER_ASSIGN_OR_RETURN(crypto::Identity current, NewIdentity(now));
  return Authority{
      .current = std::move(current), .previous = authority.current, .obeyed = std::move(obeyed)};
}

bool RotationDue(const Authority& authority, const std::string& asked, SystemTime now) {
  if (authority.previous) {
    return false;
  }
  return (!asked.empty() && asked != authority.obeyed) ||
         now >= RenewalTime(authority.current.certificate);
}

Result<Authority, Error> ReadAuthority(const api::Object& secret) {
  BREAKWATER_ASSIGN_OR_RETURN(crypto::Identity current, ReadIdentity(secret, "tls.crt", "tls.key"));
  Authority authority{.current = std::move(current),
                      .obeyed = secret.annotation(kRotateAnnotation)};
  if (SecretText(secret, "previous.crt")) {
    BREAKWATER_ASSIGN_OR_RETURN(authority.previous,
                                ReadIdentity(secret, "previous.crt", "previous.key"));
  }
  return authority;
}

api::Json AuthorityContent(const Authority& authority) {
  const auto pem = [](const crypto::Identity& identity) {
    return EncodeBase64(identity.certificate.ToPem());
  };
  const auto key = [](const crypto::Identity& identity) {
    return EncodeBase64(identity.key.ToPem().Expose());
  };
  api::Json data{{"tls.crt", pem(authority.current)}, {"tls.key", key(authority.current)}};
  data["previous.crt"] = authority.previous ? api::Json(pem(*authority.previous)) : api::Json();
  data["previous.key"] = authority.previous ? api::Json(key(*authority.previous)) : api::Json();
  return {{"metadata", {{"annotations", {{kRotateAnnotation, authority.obeyed}}}}},
          {"data", std::move(data)}};
}

Result<crypto::Identity, Error> IssueForNode(const crypto::Identity& authority,
                                             const std::string& node,
                                             std::chrono::nanoseconds life,
                                             SystemTime now) {
  const SystemTime end = now + std::chrono::duration_cast<SystemTime::duration>(life);
  return crypto::IssueCertificate(
      authority, {.common_name = node.size() <= kMaxCommonName ? node : "",
                  .dns_names = {node},
                  .not_before = std::max(now - kBackdated, authority.certificate.not_before()),
                  .not_after = std::min(end, authority.certificate.not_after())});
}

}  // namespace breakwater::controllers
