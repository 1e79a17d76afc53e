#include "operator/base/clock.h"

#include <condition_variable>
#include <mutex>

namespace breakwater {
namespace {

class SystemClock final : public Clock {
 public:
  SystemTime SystemNow() const override { return std::chrono::system_clock::now(); }

  SteadyTime SteadyNow() const override { return std::chrono::steady_clock::now(); }

  bool SleepUntil(std::stop_token stop, SteadyTime time) const override {
    std::mutex mutex;
    std::condition_variable_any changed;
    std::unique_lock lock(mutex);
    changed.wait_until(lock, stop, time, [] { return false; });
    return !stop.stop_requested();
  }
};

}  // namespace

const Clock& RealClock() {
  static const SystemClock kClock;
  return kClock;
}

}  // namespace breakwater
