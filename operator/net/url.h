#pragma once

/// Splits a base URL. Pure.

#include <cstdint>
#include <string>
#include <string_view>

#include "operator/base/error.h"
#include "operator/base/result.h"

namespace breakwater::net {

struct Url {
  bool secure = false;  ///< https
  std::string host{};   ///< without the brackets of an IPv6 literal
  std::uint16_t port = 0;
  std::string path{};  ///< "" or "/prefix" without a slash at its end

  /// "host:port" with brackets where needed.
  std::string Authority() const;
};

/// `text`, a URL or a message with one, for people and logs: without what stands before an "@",
/// which may be a password.
std::string HideUserInfo(std::string_view text);

/// kInvalid for anything but http(s)://host[:port][/path]. The error shows no user information.
Result<Url, Error> ParseUrl(std::string_view text);

}  // namespace breakwater::net
