#include "operator/controllers/replication/agent_link/exec_pacer.h"

#include <algorithm>
#include <chrono>
#include <iterator>

namespace breakwater::controllers {
namespace {

/// Given back by a success: its own token and one more, so that recovery doubles.
constexpr double kPerSuccess = 2;
/// The longest wait: successes of others may have brought the turn forward.
constexpr std::chrono::seconds kAskAgain{5};
constexpr std::chrono::seconds kPatience{15};

using Minutes = std::chrono::duration<double, std::ratio<60>>;

}  // namespace

void ExecPacer::Refill(SteadyTime now) {
  if (last_ && now > *last_) {
    const Minutes minutes = now - *last_;
    tokens_ = std::min<double>(options_.burst, tokens_ + minutes.count() * options_.per_minute);
  }
  last_ = last_ ? std::max(*last_, now) : now;
}

std::optional<SteadyTime> ExecPacer::TryTake(SteadyTime now, const std::string& who) {
  const std::lock_guard lock(mutex_);
  Refill(now);
  queue_.remove_if(
      [&](const Waiter& waiter) { return waiter.who != who && now - waiter.asked > kPatience; });
  auto place = std::find_if(queue_.begin(), queue_.end(),
                            [&](const Waiter& waiter) { return waiter.who == who; });
  if (place == queue_.end()) {
    place = queue_.insert(queue_.end(), {.who = who});
  }
  place->asked = now;
  const auto position = std::distance(queue_.begin(), place);
  const double missing = static_cast<double>(position + 1) - tokens_;
  if (missing <= 0) {  // there is one for each of those in front, too
    tokens_ -= 1;
    queue_.erase(place);
    return std::nullopt;
  }
  // Rounded up: who comes back a nanosecond early would find the bucket empty again.
  const Minutes wait(missing / options_.per_minute);
  return now + std::min<SteadyTime::duration>(std::chrono::ceil<std::chrono::milliseconds>(wait),
                                              kAskAgain);
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
    return stopped_ ||
           (opening_ < options_.open_at_once && (!retry || retrying_ < options_.retries_at_once));
  });
  if (!free || stopped_ || stop.stop_requested()) {
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

void ExecPacer::Stop() {
  {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
  }
  freed_.notify_all();
}

}  // namespace breakwater::controllers
