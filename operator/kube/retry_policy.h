#pragma once

/// When and after what time a failed request is sent again. RetryDelay is pure.

#include <chrono>
#include <mutex>
#include <optional>

#include "operator/kube/client.h"

namespace breakwater::kube {

/// What happens when a request runs twice.
enum class Repeat {
  kSafe,   ///< nothing: a read
  kOnce,   ///< nothing new: apply, delete with a uid; repeated once after a reset
  kNever,  ///< something: create, update, patch
};

/// The wait before attempt number `attempt` + 1, or nothing when the error is final. `random` in
/// [0, 1) lengthens the wait by up to itself, so that clients do not return in step.
std::optional<std::chrono::milliseconds> RetryDelay(const KubeError& error,
                                                    Repeat repeat,
                                                    int attempt,
                                                    std::chrono::milliseconds first_retry,
                                                    double random);

/// Thread safety: all methods may be called from any thread.
class RetryBudget {
 public:
  explicit RetryBudget(int tokens) : max_tenths_(tokens * 10), tenths_(tokens * 10) {}

  /// False when the budget is used up: give the error to the caller instead.
  bool Take() {
    const std::lock_guard lock(mutex_);
    if (tenths_ < 10) {
      return false;
    }
    tenths_ -= 10;
    return true;
  }

  void Succeeded() {
    const std::lock_guard lock(mutex_);
    tenths_ = tenths_ < max_tenths_ ? tenths_ + 1 : tenths_;
  }

 private:
  const int max_tenths_;
  std::mutex mutex_;
  int tenths_;  // guarded by mutex_
};

}  // namespace breakwater::kube
