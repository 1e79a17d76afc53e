// Names of DRBD's states, as drbd-utils prints them, and the simulator's clock.
#pragma once

#include <chrono>
#include <cstdint>
#include <string_view>

namespace breakwater::sim {

// Virtual time since the simulation began. The daemon maps it to the real clock, tests jump.
using Time = std::chrono::microseconds;
using Millis = std::chrono::milliseconds;

enum class Role { kUnknown, kSecondary, kPrimary };

enum class DiskState {
  kDiskless,
  kAttaching,
  kFailed,
  kInconsistent,
  kOutdated,
  kUnknown,
  kConsistent,
  kUpToDate,
};

enum class ConnState {
  kStandAlone,
  kDisconnecting,
  kUnconnected,
  kNetworkFailure,
  kTearDown,
  kConnecting,
  kConnected,
};

enum class ReplState {
  kOff,
  kEstablished,
  kWfBitMapS,
  kWfBitMapT,
  kSyncSource,
  kSyncTarget,
  kVerifyS,
  kVerifyT,
};

[[nodiscard]] std::string_view Name(Role role);
[[nodiscard]] std::string_view Name(DiskState state);
[[nodiscard]] std::string_view Name(ConnState state);
[[nodiscard]] std::string_view Name(ReplState state);

// Size of DRBD's bitmap granularity: one bit stands for 4 KiB.
inline constexpr std::uint64_t kBlockKib = 4;

// Size of the volumes of the recorded samples.
inline constexpr std::uint64_t kDefaultSizeKib = 204720;

}  // namespace breakwater::sim
