#pragma once

/// TimedMutex: a mutex that can be waited for with a time limit.
///
/// As std::timed_mutex, and for the same std::unique_lock. That one waits in
/// pthread_mutex_clocklock, which ThreadSanitizer (LLVM 14) does not know: it would see races
/// behind every such lock, and we would have to do without it.

#include <chrono>
#include <condition_variable>
#include <mutex>

namespace breakwater {

class TimedMutex {
 public:
  void lock() {
    std::unique_lock guard(mutex_);
    free_.wait(guard, [this] { return !locked_; });
    locked_ = true;
  }

  bool try_lock() { return try_lock_for(std::chrono::nanoseconds(0)); }

  bool try_lock_for(std::chrono::nanoseconds limit) {
    std::unique_lock guard(mutex_);
    if (!free_.wait_for(guard, limit, [this] { return !locked_; })) {
      return false;
    }
    locked_ = true;
    return true;
  }

  void unlock() {
    {
      const std::lock_guard guard(mutex_);
      locked_ = false;
    }
    free_.notify_one();
  }

 private:
  std::mutex mutex_{};
  std::condition_variable free_{};
  bool locked_ = false;  // guarded by mutex_
};

}  // namespace breakwater
