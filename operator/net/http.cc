#include "operator/net/http.h"

#include <algorithm>

namespace breakwater::net {
namespace {

char Lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

bool EqualIgnoringCase(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](char x, char y) { return Lower(x) == Lower(y); });
}

}  // namespace

std::optional<std::string> FindHeader(const Headers& headers, std::string_view name) {
  for (const auto& [key, value] : headers) {
    if (EqualIgnoringCase(key, name)) {
      return value;
    }
  }
  return std::nullopt;
}

std::string_view ToString(TransportError::Kind kind) {
  switch (kind) {
    case TransportError::Kind::kConnect:
      return "connect";
    case TransportError::Kind::kTls:
      return "tls";
    case TransportError::Kind::kTimeout:
      return "timeout";
    case TransportError::Kind::kCanceled:
      return "canceled";
    case TransportError::Kind::kReset:
      return "reset";
    case TransportError::Kind::kTooLarge:
      return "too-large";
    case TransportError::Kind::kProtocol:
      return "protocol";
  }
  return "unknown";
}

Error ToError(const TransportError& error) {
  // Everything but a cancelled call may go away by itself: servers restart, certificates are
  // renewed.
  const ErrorClass error_class = error.kind == TransportError::Kind::kCanceled
                                     ? ErrorClass::kCanceled
                                     : ErrorClass::kTransient;
  return {error_class, std::string(ToString(error.kind)) + ": " + error.message};
}

bool ValidHeader(std::string_view name, std::string_view value) {
  const auto control = [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; };
  return !name.empty() && std::none_of(name.begin(), name.end(), [&](char c) {
    return control(c) || c == ' ' || c == ':';
  }) && std::none_of(value.begin(), value.end(), [&](char c) { return control(c) && c != '\t'; });
}

}  // namespace breakwater::net
