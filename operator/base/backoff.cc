#include "operator/base/backoff.h"

#include <algorithm>
#include <memory>
#include <mutex>
#include <random>
#include <utility>

namespace breakwater {

RandomSource RealRandom() {
  struct State {
    std::mutex mutex;
    std::mt19937_64 engine{std::random_device{}()};
  };

  return [state = std::make_shared<State>()] {
    const std::lock_guard lock(state->mutex);
    return std::uniform_real_distribution<double>(0.0, 1.0)(state->engine);
  };
}

Backoff::Backoff(const Clock& clock, RandomSource random, Options options)
    : clock_(clock), random_(std::move(random)), options_(options) {}

std::chrono::milliseconds Backoff::Next() {
  const SteadyTime now = clock_.SteadyNow();
  if (attempts_ > 0 && now - last_ >= options_.reset_after) {
    Reset();
  }
  const auto max = static_cast<double>(options_.max.count());
  delay_ms_ = attempts_ == 0 ? static_cast<double>(options_.first.count())
                             : std::min(delay_ms_ * options_.factor, max);
  ++attempts_;
  const auto wait = std::chrono::milliseconds(
      static_cast<std::int64_t>(delay_ms_ * (1.0 + options_.jitter * random_())));
  // The time of health is counted from the end of this wait, not from its start: a long wait alone
  // must not look like health.
  last_ = now + wait;
  return wait;
}

void Backoff::Reset() {
  attempts_ = 0;
  delay_ms_ = 0;
}

}  // namespace breakwater
