#include "operator/api/duration.h"

#include <array>
#include <cmath>
#include <cstdint>
#include <utility>

namespace breakwater::api {
namespace {

/// Longest names first, so that "ms" is not read as "m".
constexpr std::array<std::pair<std::string_view, double>, 8> kUnits{{
    {"ns", 1.0},
    {"us", 1e3},
    {"\xC2\xB5s", 1e3},
    {"\xCE\xBCs", 1e3},
    {"ms", 1e6},
    {"s", 1e9},
    {"m", 60e9},
    {"h", 3600e9},
}};

bool IsDigit(char c) {
  return c >= '0' && c <= '9';
}

/// Reads "12" or "1.5" at the start of `text`; nullopt when there is no digit.
std::optional<double> TakeNumber(std::string_view* text) {
  double value = 0;
  double scale = 0;  // 0: before the point
  bool digits = false;
  while (!text->empty() && (IsDigit(text->front()) || (text->front() == '.' && scale == 0))) {
    if (text->front() == '.') {
      scale = 1;
    } else {
      digits = true;
      const double digit = text->front() - '0';
      if (scale == 0) {
        value = value * 10 + digit;
      } else {
        scale /= 10;
        value += digit * scale;
      }
    }
    text->remove_prefix(1);
  }
  return digits ? std::optional(value) : std::nullopt;
}

std::optional<double> TakeUnit(std::string_view* text) {
  for (const auto& [name, nanoseconds] : kUnits) {
    if (text->starts_with(name)) {
      text->remove_prefix(name.size());
      return nanoseconds;
    }
  }
  return std::nullopt;
}

}  // namespace

std::optional<std::chrono::nanoseconds> ParseDuration(std::string_view text) {
  const bool negative = text.starts_with('-');
  if (negative || text.starts_with('+')) {
    text.remove_prefix(1);
  }
  if (text == "0") {
    return std::chrono::nanoseconds{0};
  }
  if (text.empty()) {
    return std::nullopt;
  }
  double total = 0;
  while (!text.empty()) {
    const std::optional<double> number = TakeNumber(&text);
    if (!number) {
      return std::nullopt;
    }
    const std::optional<double> unit = TakeUnit(&text);
    if (!unit) {
      return std::nullopt;
    }
    total += *number * *unit;
  }
  constexpr double kLimit = 9.2e18;  // just below 2^63
  if (total > kLimit) {
    return std::nullopt;
  }
  const auto count = static_cast<std::int64_t>(std::llround(total));
  return std::chrono::nanoseconds{negative ? -count : count};
}

std::string FormatDuration(std::chrono::nanoseconds duration) {
  using std::chrono::duration_cast;
  std::string result = duration.count() < 0 ? "-" : "";
  auto left =
      duration_cast<std::chrono::milliseconds>(duration < duration.zero() ? -duration : duration);
  const auto take = [&](std::chrono::milliseconds unit, std::string_view name) {
    if (left >= unit) {
      result += std::to_string(left / unit);
      result += name;
      left %= unit;
    }
  };
  take(std::chrono::hours{1}, "h");
  take(std::chrono::minutes{1}, "m");
  take(std::chrono::seconds{1}, "s");
  take(std::chrono::milliseconds{1}, "ms");
  return result.empty() || result == "-" ? "0s" : result;
}

}  // namespace breakwater::api
