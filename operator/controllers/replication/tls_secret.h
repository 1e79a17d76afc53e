#pragma once

/// What can be said of a node's certificate from its Secret alone. Pure.

#include <optional>

#include "operator/api/object.h"

namespace breakwater::controllers {

/// Whether a Secret holds anything of TLS: a certificate or a CA bundle.
bool IsTlsSecret(const api::Object& secret);

/// Whether tls.key belongs to tls.crt; nothing when the Secret lacks one of them or the certificate
/// cannot be read. A key that cannot be read does not fit.
std::optional<bool> KeyFits(const api::Object& secret);

}  // namespace breakwater::controllers
