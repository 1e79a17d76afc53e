#pragma once

/// Times as Kubernetes writes them: RFC 3339 in UTC. Pure functions, safe from any thread.

#include <optional>
#include <string>
#include <string_view>

#include "operator/base/clock.h"

namespace breakwater {

/// "2026-03-01T12:00:00Z": metav1.Time (conditions, creationTimestamp). Fractions are dropped.
std::string FormatRfc3339(SystemTime time);

/// "2026-03-01T12:00:00.000Z": for log lines.
std::string FormatRfc3339Millis(SystemTime time);

/// "2026-03-01T12:00:00.000000Z": metav1.MicroTime (Lease, Event).
std::string FormatRfc3339Micros(SystemTime time);

/// Accepts fractions of any length (cut to the clock's resolution) and numeric offsets; nothing
/// when `text` is not a valid time.
std::optional<SystemTime> ParseRfc3339(std::string_view text);

}  // namespace breakwater
