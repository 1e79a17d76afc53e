#pragma once

/// Base64 as in Secrets and kubeconfig files.

#include <optional>
#include <string>
#include <string_view>

namespace breakwater {

/// Standard alphabet with padding; nothing when `text` is not base64. Line ends are skipped.
std::optional<std::string> DecodeBase64(std::string_view text);

}  // namespace breakwater
