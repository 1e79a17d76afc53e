#include "operator/api/tls_config.h"

#include <utility>

namespace breakwater::api {

std::optional<CaReference> ReadCaReference(const FieldReader& parent, std::string_view key) {
  const auto reader = parent.Child(key);
  if (!reader) {
    return std::nullopt;
  }
  CaReference reference{
      .kind = reader->OneOf("kind", {"Secret", "ConfigMap"}, "Secret"),
      .name = reader->String("name"),
      .key = reader->String("key", "ca.crt"),
  };
  if (reader->Raw("optional") != nullptr) {
    reference.optional = reader->Bool("optional");
  }
  if (reference.name.empty()) {
    reader->AddError("name", "must name a " + reference.kind);
    return std::nullopt;
  }
  return reference;
}

std::optional<IssuerReference> ReadIssuerReference(const FieldReader& parent,
                                                   std::string_view key) {
  const auto reader = parent.Child(key);
  if (!reader) {
    return std::nullopt;
  }
  IssuerReference reference{reader->String("name"), reader->String("kind"),
                            reader->String("group")};
  if (reference.name.empty()) {
    reader->AddError("name", "must name an Issuer or ClusterIssuer");
    return std::nullopt;
  }
  return reference;
}

std::optional<TlsConfig> ReadTlsConfig(const FieldReader& parent, std::string_view key) {
  const auto reader = parent.Child(key);
  if (!reader) {
    return std::nullopt;
  }
  const bool daemon = reader->Bool("tlsHandshakeDaemon");
  return TlsConfig{
      .secret_name = reader->String("secretName"),
      .cert_manager = ReadIssuerReference(*reader, "certManager"),
      .ca_reference = ReadCaReference(*reader, "caReference"),
      .tls_handshake_daemon = daemon,
      .refuses_handshake_daemon = !daemon && reader->Raw("tlsHandshakeDaemon") != nullptr,
  };
}

Json ToJson(const CaReference& reference) {
  Json result{{"kind", reference.kind}, {"name", reference.name}, {"key", reference.key}};
  if (reference.optional) {
    result["optional"] = *reference.optional;
  }
  return result;
}

Json ToJson(const IssuerReference& reference) {
  Json result{{"name", reference.name}};
  if (!reference.kind.empty()) {
    result["kind"] = reference.kind;
  }
  if (!reference.group.empty()) {
    result["group"] = reference.group;
  }
  return result;
}

Json ToJson(const TlsConfig& config) {
  Json result = Json::object();
  if (!config.secret_name.empty()) {
    result["secretName"] = config.secret_name;
  }
  if (config.cert_manager) {
    result["certManager"] = ToJson(*config.cert_manager);
  }
  if (config.ca_reference) {
    result["caReference"] = ToJson(*config.ca_reference);
  }
  if (config.tls_handshake_daemon) {
    result["tlsHandshakeDaemon"] = true;
  }
  return result;
}

}  // namespace breakwater::api
