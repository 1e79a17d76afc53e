#pragma once

/// Context: how long a call may take and who may cancel it. Every call that may block takes one
/// first.

#include <algorithm>
#include <chrono>
#include <optional>
#include <stop_token>
#include <utility>

#include "operator/base/clock.h"

namespace breakwater {

/// Value type; cheap to copy. A child context can only shorten the deadline.
class Context {
 public:
  /// No deadline: for the outermost loops, which end by `stop`.
  explicit Context(std::stop_token stop, const Clock& clock = RealClock())
      : stop_(std::move(stop)), clock_(&clock) {}

  Context WithTimeout(std::chrono::nanoseconds timeout) const {
    return WithDeadline(clock_->SteadyNow() +
                        std::chrono::duration_cast<SteadyTime::duration>(timeout));
  }

  Context WithDeadline(SteadyTime deadline) const {
    Context child = *this;
    child.deadline_ = deadline_ ? std::min(*deadline_, deadline) : deadline;
    return child;
  }

  /// The same deadline, cancelled by another token (which must be linked to the parent's by the
  /// caller).
  Context WithStop(std::stop_token stop) const {
    Context child = *this;
    child.stop_ = std::move(stop);
    return child;
  }

  const std::stop_token& stop() const { return stop_; }

  std::optional<SteadyTime> deadline() const { return deadline_; }

  const Clock& clock() const { return *clock_; }

  bool canceled() const { return stop_.stop_requested(); }

  bool expired() const { return deadline_ && clock_->SteadyNow() >= *deadline_; }

  /// Time left, never negative; `limit` when there is no deadline or more is left.
  std::chrono::nanoseconds Remaining(std::chrono::nanoseconds limit) const {
    if (!deadline_) {
      return limit;
    }
    const std::chrono::nanoseconds left = *deadline_ - clock_->SteadyNow();
    return std::clamp(left, std::chrono::nanoseconds{0}, limit);
  }

  /// Sleeps, but not past the deadline; returns false when cancelled or out of time.
  bool SleepFor(std::chrono::nanoseconds duration) const {
    const bool enough = Remaining(duration) == duration;
    return clock_->SleepFor(stop_, Remaining(duration)) && enough;
  }

 private:
  std::stop_token stop_;
  std::optional<SteadyTime> deadline_;
  const Clock* clock_;
};

}  // namespace breakwater
