#pragma once

/// Backoff: how long to wait before the next try. Exponential with jitter, so that many clients
/// that failed together do not come back together; forgets its history after a time of health.

#include <chrono>
#include <functional>

#include "operator/base/clock.h"

namespace breakwater {

/// Gives a number in [0, 1). Injected, so that tests are deterministic.
using RandomSource = std::function<double()>;

/// Seeded by the operating system. Thread safety: the returned function may be called from any
/// thread.
RandomSource RealRandom();

/// Thread safety: none; one owner.
class Backoff {
 public:
  /// Defaults: client-go's reflector (0.8 s to 30 s, factor 2, jitter 1, forgotten after 120 s).
  struct Options {
    std::chrono::milliseconds first{800};
    std::chrono::milliseconds max{30000};
    double factor = 2.0;
    double jitter = 1.0;                    ///< a wait is drawn from [delay, delay * (1 + jitter))
    std::chrono::seconds reset_after{120};  ///< so long without Next() = healthy again
  };

  /// `clock` must outlive the object.
  Backoff(const Clock& clock, RandomSource random, Options options);

  Backoff(const Clock& clock, RandomSource random) : Backoff(clock, std::move(random), Options{}) {}

  /// The wait before the next try; each call lengthens the following one.
  std::chrono::milliseconds Next();

  /// The last try succeeded: start again from `first`.
  void Reset();

  /// Calls of Next() since the last reset.
  int attempts() const { return attempts_; }

 private:
  const Clock& clock_;
  RandomSource random_;
  Options options_;
  double delay_ms_ = 0;
  int attempts_ = 0;
  SteadyTime last_{};
};

}  // namespace breakwater
