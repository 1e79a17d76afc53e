#include "operator/controllers/replication/agent_link/exec_pacer.h"

#include <algorithm>
#include <chrono>

namespace breakwater::controllers {
namespace {

/// Given back by a success: its own token and one more, so that recovery doubles.
constexpr double kPerSuccess = 2;

}  // namespace

void ExecPacer::Refill(SteadyTime now) {
  if (last_ && now > *last_) {
    const std::chrono::duration<double, std::ratio<60>> minutes = now - *last_;
    tokens_ = std::min<double>(options_.burst, tokens_ + minutes.count() * options_.per_minute);
  }
  last_ = last_ ? std::max(*last_, now) : now;
}

std::optional<SteadyTime> ExecPacer::TryTake(SteadyTime now) {
  const std::lock_guard lock(mutex_);
  Refill(now);
  if (tokens_ >= 1) {
    tokens_ -= 1;
    return std::nullopt;
  }
  const std::chrono::duration<double, std::ratio<60>> wait((1 - tokens_) / options_.per_minute);
  // Rounded up: who comes back a nanosecond early would find the bucket empty again.
  return now + std::chrono::ceil<std::chrono::milliseconds>(wait);
}

void ExecPacer::Take(SteadyTime now) {
  const std::lock_guard lock(mutex_);
  Refill(now);
  // The debt is bounded: a new cluster of a thousand nodes must not stop all retries for an hour.
  tokens_ = std::max<double>(tokens_ - 1, -options_.per_minute);
}

void ExecPacer::Succeeded(SteadyTime now) {
  const std::lock_guard lock(mutex_);
  Refill(now);
  tokens_ = std::min<double>(options_.burst, tokens_ + kPerSuccess);
}

bool ExecPacer::Acquire(const std::stop_token& stop, bool retry) {
  std::unique_lock lock(mutex_);
  const bool free = freed_.wait(lock, stop, [&] {
    return opening_ < options_.open_at_once && (!retry || retrying_ < options_.retries_at_once);
  });
  if (!free || stop.stop_requested()) {
    return false;
  }
  ++opening_;
  retrying_ += retry ? 1 : 0;
  return true;
}

void ExecPacer::Release(bool retry) {
  {
    const std::lock_guard lock(mutex_);
    --opening_;
    retrying_ -= retry ? 1 : 0;
  }
  freed_.notify_all();
}

}  // namespace breakwater::controllers
