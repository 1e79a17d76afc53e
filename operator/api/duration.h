#pragma once

/// Durations as Kubernetes writes them in objects (the syntax of Go's time.ParseDuration): "10s",
/// "1m30s", "0".

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace breakwater::api {

/// Nullopt when `text` is not a duration or does not fit in 64 bits of nanoseconds.
std::optional<std::chrono::nanoseconds> ParseDuration(std::string_view text);

/// The shortest usual form with whole units down to milliseconds: "1m30s", "10s", "250ms", "0s".
std::string FormatDuration(std::chrono::nanoseconds duration);

}  // namespace breakwater::api
