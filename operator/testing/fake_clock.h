#pragma once

/// FakeClock: time that moves only when a test says so. Both clocks advance together.
/// Thread safety: all methods may be called from any thread.

#include <chrono>
#include <condition_variable>
#include <iterator>
#include <mutex>
#include <set>
#include <stop_token>

#include "operator/base/clock.h"

namespace breakwater::testing {

class FakeClock final : public Clock {
 public:
  /// 2026-01-01T00:00:00Z: any fixed date that test certificates can be made for.
  static constexpr SystemTime kStart{std::chrono::seconds(1767225600)};

  explicit FakeClock(SystemTime start = kStart) : system_start_(start) {}

  SystemTime SystemNow() const override {
    const std::lock_guard lock(mutex_);
    return system_start_ + std::chrono::duration_cast<SystemTime::duration>(elapsed_);
  }

  SteadyTime SteadyNow() const override {
    const std::lock_guard lock(mutex_);
    return Steady();
  }

  bool SleepUntil(std::stop_token stop, SteadyTime time) const override {
    std::unique_lock lock(mutex_);
    const auto sleeper = sleepers_.insert(time);
    changed_.notify_all();
    const bool reached = changed_.wait(lock, stop, [&] { return Steady() >= time; });
    sleepers_.erase(sleeper);
    return reached && !stop.stop_requested();
  }

  /// Moves both clocks and wakes every sleeper whose time has come.
  void Advance(std::chrono::nanoseconds duration) {
    {
      const std::lock_guard lock(mutex_);
      elapsed_ += duration;
    }
    changed_.notify_all();
  }

  /// Blocks until `count` threads sleep in SleepUntil(): the condition to wait for before
  /// Advance(). Whose time has come does not sleep, even if it has not run yet.
  void WaitForSleepers(int count) const {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return Sleeping() >= count; });
  }

  int sleepers() const {
    const std::lock_guard lock(mutex_);
    return Sleeping();
  }

 private:
  // Starts away from zero: code that takes a default time point for "never" must not pass by luck.
  SteadyTime Steady() const { return SteadyTime(std::chrono::hours(1)) + elapsed_; }

  int Sleeping() const {
    return static_cast<int>(std::distance(sleepers_.upper_bound(Steady()), sleepers_.end()));
  }

  const SystemTime system_start_;
  mutable std::mutex mutex_;
  mutable std::condition_variable_any changed_;
  std::chrono::nanoseconds elapsed_{0};
  mutable std::multiset<SteadyTime> sleepers_;  // by the time at which they wake
};

}  // namespace breakwater::testing
