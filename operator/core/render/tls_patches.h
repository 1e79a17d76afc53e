#pragma once

/// Built-in patches for TLS volumes and certificates, shared by the components.

#include <optional>
#include <string>

#include "operator/api/tls_config.h"
#include "operator/core/render/patches.h"

namespace breakwater::core {

/// Volume `name` with the files of a TLS secret; `ca` puts another authority over its ca.crt.
api::Json TlsVolume(const std::string& name,
                    const std::string& secret,
                    const std::optional<api::CaReference>& ca);

/// A cert-manager Certificate of a client of LINSTOR's REST API; secret and issuer are set by
/// CertificatePatch().
api::Json ClientCertificate(const std::string& name, const std::string& common_name);

/// Sets secret and issuer of a cert-manager Certificate.
ParsedPatch CertificatePatch(const std::string& certificate,
                             const std::string& secret,
                             const api::IssuerReference& issuer);

}  // namespace breakwater::core
