#pragma once

/// What worker and supervisor say to each other over their socket pair: one short line each.
///
///   worker                                supervisor
///   guard ID UNTIL MINOR[,MINOR...]   ->  resume these minors a moment after UNTIL unless released
///                                     <-  ok ID
///   release ID                        ->
///   keep ID[,ID...]                   ->  these are in the journal: guards of others are void
///   alive                             ->
///
/// UNTIL is nanoseconds of the monotonic clock, which both read. "keep" without ids is "keep -".
/// Thread safety: pure functions.

#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "operator/base/clock.h"

namespace breakwater::agent {

inline constexpr std::size_t kMaxGuardLine = 16384;
inline constexpr std::size_t kMaxGuards = 256;
inline constexpr std::size_t kMaxGuardedMinors = 128;

struct GuardLine {
  std::string id{};
  SteadyTime until{};
  std::vector<int> minors{};

  bool operator==(const GuardLine&) const = default;
};

struct ReleaseLine {
  std::string id{};

  bool operator==(const ReleaseLine&) const = default;
};

struct KeepLine {
  std::vector<std::string> ids{};

  bool operator==(const KeepLine&) const = default;
};

struct AliveLine {
  bool operator==(const AliveLine&) const = default;
};

using WorkerLine = std::variant<GuardLine, ReleaseLine, KeepLine, AliveLine>;

/// With its line end.
std::string EncodeWorkerLine(const WorkerLine& line);

/// Nothing: not understood, or not within the bounds above.
std::optional<WorkerLine> DecodeWorkerLine(std::string_view line);

/// Letters, digits, '.', '_', '-'; 1 to 64 characters; not "." or ".." or "-": also names a file.
bool IsTransactionId(std::string_view id);

}  // namespace breakwater::agent
