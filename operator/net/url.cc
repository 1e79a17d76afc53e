#include "operator/net/url.h"

#include <charconv>

namespace breakwater::net {

std::string Url::Authority() const {
  const bool literal = host.find(':') != std::string::npos;
  return (literal ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

std::string HideUserInfo(std::string_view text) {
  const std::size_t at = text.rfind('@');
  return at == std::string_view::npos ? std::string(text) : "..." + std::string(text.substr(at));
}

Result<Url, Error> ParseUrl(std::string_view text) {
  const auto invalid = [&] {
    return Unexpected{Error{ErrorClass::kInvalid, "not an http(s) URL: " + HideUserInfo(text)}};
  };
  Url url;
  std::string_view rest = text;
  url.secure = rest.substr(0, 8) == "https://";
  if (!url.secure && rest.substr(0, 7) != "http://") {
    return invalid();
  }
  rest.remove_prefix(url.secure ? 8 : 7);
  const std::size_t slash = std::min(rest.find('/'), rest.size());
  std::string_view authority = rest.substr(0, slash);
  url.path = std::string(rest.substr(slash));
  while (!url.path.empty() && url.path.back() == '/') {
    url.path.pop_back();
  }
  const std::size_t bracket = authority.find(']');
  if (!authority.empty() && authority.front() == '[') {
    if (bracket == std::string_view::npos) {
      return invalid();
    }
    url.host = std::string(authority.substr(1, bracket - 1));
    authority.remove_prefix(bracket + 1);
  } else {
    const std::size_t colon = std::min(authority.find(':'), authority.size());
    url.host = std::string(authority.substr(0, colon));
    authority.remove_prefix(colon);
  }
  url.port = url.secure ? 443 : 80;
  if (!authority.empty()) {
    const char* end = authority.data() + authority.size();
    const auto read = std::from_chars(authority.data() + 1, end, url.port);
    if (authority.front() != ':' || read.ec != std::errc() || read.ptr != end || url.port == 0) {
      return invalid();
    }
  }
  const bool odd = url.host.find_first_of("@?# \t\r\n") != std::string::npos ||
                   url.path.find_first_of("?# \t\r\n") != std::string::npos;
  return url.host.empty() || odd ? Result<Url, Error>(invalid()) : url;
}

}  // namespace breakwater::net
