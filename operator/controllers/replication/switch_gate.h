#pragma once

/// SwitchGate: keeps changes of LINSTOR and transactions of volumes apart.

#include <mutex>
#include <set>
#include <string>

namespace breakwater::controllers {

/// While a volume has a transaction, nobody changes LINSTOR's value for the whole
/// cluster, and the other way round: LINSTOR adjusts every volume then (L17), and resumes one that
/// is suspended (L24). Thread safety: all methods from any thread.
class SwitchGate {
 public:
  /// A transaction of this volume is about to be asked for; false: not now, try again soon.
  bool Begin(const std::string& resource) {
    const std::lock_guard lock(mutex_);
    if (pushing_) {
      return false;
    }
    switching_.insert(resource);
    return true;
  }

  void End(const std::string& resource) {
    const std::lock_guard lock(mutex_);
    switching_.erase(resource);
  }

  bool BeginPush() {
    const std::lock_guard lock(mutex_);
    pushing_ = switching_.empty();
    return pushing_;
  }

  void EndPush() {
    const std::lock_guard lock(mutex_);
    pushing_ = false;
  }

  std::set<std::string> Switching() const {
    const std::lock_guard lock(mutex_);
    return switching_;
  }

 private:
  mutable std::mutex mutex_;
  std::set<std::string> switching_;  // guarded by mutex_
  bool pushing_ = false;             // guarded by mutex_
};

}  // namespace breakwater::controllers
