#include "operator/kube/status.h"

#include <charconv>

#include <nlohmann/json.hpp>

#include "operator/api/object.h"

namespace breakwater::kube {
namespace {

/// Longest text taken from a body that is not a Status: enough for a proxy's one-line error.
constexpr std::size_t kMaxForeignText = 200;

/// Longest Retry-After that is believed: a day-long one would look like a hang.
constexpr std::chrono::seconds kMaxRetryAfter{300};

std::optional<std::chrono::milliseconds> Seconds(std::int64_t seconds) {
  if (seconds < 0) {
    return std::nullopt;
  }
  return std::min(std::chrono::seconds(seconds), kMaxRetryAfter);
}

std::optional<std::chrono::milliseconds> RetryAfterHeader(const net::Headers& headers) {
  const auto text = net::FindHeader(headers, "Retry-After");
  std::int64_t seconds = 0;
  if (!text || text->empty() ||
      std::from_chars(text->data(), text->data() + text->size(), seconds).ec != std::errc()) {
    return std::nullopt;  // the date form is not used by Kubernetes
  }
  return Seconds(seconds);
}

std::string Printable(std::string_view text) {
  std::size_t length = std::min(text.size(), kMaxForeignText);
  while (length < text.size() && length > 0 &&
         (static_cast<unsigned char>(text[length]) & 0xc0U) == 0x80U) {
    --length;  // not inside a character
  }
  std::string result(text.substr(0, length));
  for (char& c : result) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f) {
      c = ' ';
    }
  }
  return result;
}

}  // namespace

Status StatusFromJson(const Json& json) {
  Status status;
  const Json* code = api::FindMember(json, "code");
  status.code = code != nullptr && code->is_number_integer() ? code->get<int>() : 0;
  status.reason = api::StringAt(json, "reason");
  status.message = api::StringAt(json, "message");
  const Json* seconds = api::FindPath(json, {"details", "retryAfterSeconds"});
  if (seconds != nullptr && seconds->is_number_integer() && seconds->get<std::int64_t>() > 0) {
    status.retry_after = Seconds(seconds->get<std::int64_t>());
  }
  return status;
}

Status DecodeStatus(int code, const net::Headers& headers, const std::string& body) {
  const Json json = Json::parse(body, nullptr, /*allow_exceptions=*/false);
  Status status;
  if (json.is_object() && api::StringAt(json, "kind") == "Status") {
    status = StatusFromJson(json);
  } else {
    status.message = Printable(body);
  }
  status.code = code;
  if (const auto after = RetryAfterHeader(headers)) {
    status.retry_after = after;
  }
  return status;
}

}  // namespace breakwater::kube
