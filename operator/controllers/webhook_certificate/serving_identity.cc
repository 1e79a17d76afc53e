#include "operator/controllers/webhook_certificate/serving_identity.h"

#include <algorithm>
#include <utility>

#include "operator/base/base64.h"
#include "operator/base/rfc3339.h"
#include "operator/controllers/certificates/authority.h"
#include "operator/controllers/certificates/pem_files.h"

namespace breakwater::controllers {
namespace {

using api::Json;

// "https://127.0.0.1:9443/path" -> "127.0.0.1"; "[::1]" without its brackets.
std::string HostOf(const std::string& url) {
  const std::size_t scheme = url.find("://");
  std::string host = scheme == std::string::npos ? url : url.substr(scheme + 3);
  host = host.substr(0, host.find('/'));
  if (host.starts_with('[')) {
    return host.substr(1, host.find(']') - 1);
  }
  return host.substr(0, host.find(':'));
}

bool IsAddress(const std::string& host) {
  return host.find(':') != std::string::npos ||
         (!host.empty() && host.find_first_not_of("0123456789.") == std::string::npos);
}

bool Covers(const crypto::Certificate& leaf, const ServingNames& names) {
  const std::vector<std::string> dns = leaf.dns_names();
  const std::vector<std::string> ips = leaf.ip_addresses();
  const auto in = [](const std::vector<std::string>& list, const std::set<std::string>& wanted) {
    return std::all_of(wanted.begin(), wanted.end(), [&](const std::string& name) {
      return std::find(list.begin(), list.end(), name) != list.end();
    });
  };
  return in(dns, names.dns) && in(ips, names.ips);
}

SystemTime ServedFrom(const IssuedCertificate& next) {
  return next.leaf.certificate.not_before() + kBackdated + kServingOverlap;
}

Result<IssuedCertificate, Error> ReadIssued(const api::Object& secret, const std::string& prefix) {
  const auto text = [&](const std::string& name) {
    return SecretText(secret, prefix + name).value_or("");
  };
  BREAKWATER_ASSIGN_OR_RETURN(const std::vector<crypto::Certificate> chain,
                              crypto::Certificate::ParsePem(text("tls.crt")));
  BREAKWATER_ASSIGN_OR_RETURN(const std::vector<crypto::Certificate> authority,
                              crypto::Certificate::ParsePem(text("ca.crt")));
  BREAKWATER_ASSIGN_OR_RETURN(crypto::PrivateKey key,
                              crypto::PrivateKey::Parse(Secret<>(text("tls.key"))));
  if (!chain.front().Matches(key)) {
    return Unexpected{
        Error{ErrorClass::kInvalid, prefix + "tls.crt is not of the key in " + prefix + "tls.key"}};
  }
  return IssuedCertificate{{chain.front(), std::move(key)}, authority.front()};
}

void Put(const std::string& prefix, const std::optional<IssuedCertificate>& issued, Json* data) {
  const auto value = [&](const auto& text) {
    return issued ? Json(EncodeBase64(text(*issued))) : Json();
  };
  (*data)[prefix + "tls.crt"] =
      value([](const IssuedCertificate& it) { return it.leaf.certificate.ToPem(); });
  (*data)[prefix + "tls.key"] =
      value([](const IssuedCertificate& it) { return it.leaf.key.ToPem().Expose(); });
  (*data)[prefix + "ca.crt"] =
      value([](const IssuedCertificate& it) { return it.authority.ToPem(); });
}

}  // namespace

ServingNames NamesOf(const Json& configuration) {
  ServingNames names;
  const Json* webhooks = api::FindMember(configuration, "webhooks");
  if (webhooks == nullptr || !webhooks->is_array()) {
    return names;
  }
  for (const Json& webhook : *webhooks) {
    if (const Json* service = api::FindPath(webhook, {"clientConfig", "service"})) {
      names.dns.insert(api::StringAt(*service, "name") + "." +
                       api::StringAt(*service, "namespace") + ".svc");
    } else if (const Json* config = api::FindMember(webhook, "clientConfig")) {
      const std::string host = HostOf(api::StringAt(*config, "url"));
      if (!host.empty()) {
        (IsAddress(host) ? names.ips : names.dns).insert(host);
      }
    }
  }
  return names;
}

std::string ServingIdentity::Bundle() const {
  return current.authority.ToPem() + (next ? next->authority.ToPem() : "") +
         (previous ? previous->ToPem() : "");
}

Result<IssuedCertificate, Error> IssueServing(const ServingNames& names, SystemTime now) {
  const SystemTime from = now - kBackdated;
  const SystemTime until = now + kServingLife;
  // A name of its own: libraries look an issuer up by its name, and several are trusted at once.
  BREAKWATER_ASSIGN_OR_RETURN(
      const crypto::Identity authority,
      crypto::CreateAuthority({.common_name = "breakwater-webhook-ca " + FormatRfc3339(now),
                               .not_before = from,
                               .not_after = until}));
  BREAKWATER_ASSIGN_OR_RETURN(
      crypto::Identity leaf,
      crypto::IssueCertificate(authority, {.common_name = "breakwater-webhook",
                                           .dns_names = {names.dns.begin(), names.dns.end()},
                                           .ip_addresses = {names.ips.begin(), names.ips.end()},
                                           .client_auth = false,
                                           .not_before = from,
                                           .not_after = until}));
  return IssuedCertificate{std::move(leaf), authority.certificate};
}

Result<ServingIdentity, Error> ReadServing(const api::Object& secret) {
  BREAKWATER_ASSIGN_OR_RETURN(IssuedCertificate current, ReadIssued(secret, ""));
  ServingIdentity identity{.current = std::move(current)};
  if (SecretText(secret, "next-tls.crt")) {
    BREAKWATER_ASSIGN_OR_RETURN(identity.next, ReadIssued(secret, "next-"));
  }
  if (const std::optional<std::string> pem = SecretText(secret, "previous-ca.crt")) {
    BREAKWATER_ASSIGN_OR_RETURN(const std::vector<crypto::Certificate> previous,
                                crypto::Certificate::ParsePem(*pem));
    identity.previous = previous.front();
  }
  return identity;
}

Json ServingContent(const ServingIdentity& identity) {
  Json data;
  Put("", identity.current, &data);
  Put("next-", identity.next, &data);
  data["previous-ca.crt"] =
      identity.previous ? Json(EncodeBase64(identity.previous->ToPem())) : Json();
  return {{"data", std::move(data)}};
}

Result<ServingIdentity, Error> NextServing(const std::optional<ServingIdentity>& known,
                                           const ServingNames& names,
                                           const std::vector<crypto::Certificate>& trusted,
                                           SystemTime now) {
  // Nobody can be talked to with such a one: there is nothing to overlap with.
  if (!known || now >= known->current.leaf.certificate.not_after() ||
      !Covers(known->current.leaf.certificate, names)) {
    BREAKWATER_ASSIGN_OR_RETURN(IssuedCertificate first, IssueServing(names, now));
    return ServingIdentity{.current = std::move(first)};
  }
  ServingIdentity identity = *known;
  const bool next_fits = identity.next && Covers(identity.next->leaf.certificate, names) &&
                         now < RenewalTime(identity.next->leaf.certificate);
  if (!next_fits && (identity.next || now >= RenewalTime(identity.current.leaf.certificate))) {
    BREAKWATER_ASSIGN_OR_RETURN(identity.next, IssueServing(names, now));
    identity.previous.reset();  // two thirds of a life ago
    return identity;
  }
  if (identity.next && now >= ServedFrom(*identity.next) &&
      std::find(trusted.begin(), trusted.end(), identity.next->authority) != trusted.end()) {
    identity.previous = identity.current.authority;
    identity.current = *std::move(identity.next);
    identity.next.reset();
  }
  return identity;
}

SystemTime NextServingChange(const ServingIdentity& identity) {
  return identity.next ? ServedFrom(*identity.next)
                       : RenewalTime(identity.current.leaf.certificate);
}

}  // namespace breakwater::controllers
