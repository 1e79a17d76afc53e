#pragma once

/// TLS blocks of the custom resources. `{}` is not the same as absent: it means "TLS with the
/// default secret names and no cert-manager", hence std::optional around each of them.

#include <optional>
#include <string>

#include "operator/api/field_reader.h"

namespace breakwater::api {

/// Where the certificates of trusted authorities come from, instead of `ca.crt` in the TLS secret.
struct CaReference {
  std::string kind = "Secret";  ///< "Secret" or "ConfigMap"
  std::string name{};
  std::string key = "ca.crt";
  std::optional<bool> optional{};

  bool operator==(const CaReference&) const = default;
};

/// A cert-manager Issuer or ClusterIssuer.
struct IssuerReference {
  std::string name{};
  std::string kind{};
  std::string group{};

  bool operator==(const IssuerReference&) const = default;
};

struct TlsConfig {
  std::string secret_name{};  ///< "": the default of the place where it is used
  std::optional<IssuerReference> cert_manager{};
  std::optional<CaReference> ca_reference{};
  /// Run tlshd beside the satellite, for DRBD's own TLS. Only on satellites.
  bool tls_handshake_daemon = false;
  /// `tlsHandshakeDaemon: false` stands there, which is more than not saying anything: several
  /// blocks are merged. Not written back.
  bool refuses_handshake_daemon = false;

  bool operator==(const TlsConfig&) const = default;
};

std::optional<CaReference> ReadCaReference(const FieldReader& parent, std::string_view key);
std::optional<IssuerReference> ReadIssuerReference(const FieldReader& parent, std::string_view key);
std::optional<TlsConfig> ReadTlsConfig(const FieldReader& parent, std::string_view key);
Json ToJson(const CaReference& reference);
Json ToJson(const IssuerReference& reference);
Json ToJson(const TlsConfig& config);

}  // namespace breakwater::api
