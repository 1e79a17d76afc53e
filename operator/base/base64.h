#pragma once

/// Base64 as in Secrets and kubeconfig files.

#include <optional>
#include <string>
#include <string_view>

namespace breakwater {

/// Standard alphabet with padding; nothing when `text` is not base64. Line ends are skipped.
std::optional<std::string> DecodeBase64(std::string_view text);

/// Standard alphabet with padding, no line ends (RFC 4648 section 4).
std::string EncodeBase64(std::string_view bytes);

}  // namespace breakwater
