#pragma once

/// Clock: the only source of time. Tests use testing/fake_clock.h and move time by hand.

#include <chrono>
#include <stop_token>

namespace breakwater {

using SteadyTime = std::chrono::steady_clock::time_point;
using SystemTime = std::chrono::system_clock::time_point;

/// Thread safety: all methods may be called from any thread.
class Clock {
 public:
  virtual ~Clock() = default;

  /// Wall clock: for certificate dates and time stamps in conditions, never for durations.
  virtual SystemTime SystemNow() const = 0;

  /// Monotonic clock: for durations, deadlines and leases.
  virtual SteadyTime SteadyNow() const = 0;

  /// Waits until `time` or until a stop is requested; returns false when stopped.
  virtual bool SleepUntil(std::stop_token stop, SteadyTime time) const = 0;

  bool SleepFor(std::stop_token stop, std::chrono::nanoseconds duration) const {
    return SleepUntil(std::move(stop),
                      SteadyNow() + std::chrono::duration_cast<SteadyTime::duration>(duration));
  }
};

/// The clocks of this machine. Lives for the whole process.
const Clock& RealClock();

}  // namespace breakwater
