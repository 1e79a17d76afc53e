#pragma once

/// Two small locks between volumes that are worked on at the same time.

#include <cstddef>
#include <mutex>
#include <set>
#include <string>
#include <vector>

namespace breakwater::controllers {

/// SwitchGate: while a volume has a transaction, nobody changes LINSTOR's value for the whole
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

/// RepairBudget: at most so many volumes are mended at the same time: after a mistake with a CA all
/// of them are broken at once (REVIEW-1 M1). Thread safety: all methods from any thread.
class RepairBudget {
 public:
  explicit RepairBudget(std::size_t places) : places_(places) {}

  /// True: it has a place now. False: it is told by Release of another one.
  bool Take(const std::string& resource) {
    const std::lock_guard lock(mutex_);
    if (taken_.contains(resource) || taken_.size() < places_) {
      taken_.insert(resource);
      waiting_.erase(resource);
      return true;
    }
    waiting_.insert(resource);
    return false;
  }

  /// It needs no place any more, or none. Returns those that may ask again now.
  std::vector<std::string> Release(const std::string& resource) {
    const std::lock_guard lock(mutex_);
    waiting_.erase(resource);
    taken_.erase(resource);
    std::vector<std::string> next;
    while (!waiting_.empty() && taken_.size() + next.size() < places_) {
      next.push_back(*waiting_.begin());
      waiting_.erase(waiting_.begin());
    }
    return next;
  }

 private:
  const std::size_t places_;
  std::mutex mutex_;
  std::set<std::string> taken_;    // guarded by mutex_
  std::set<std::string> waiting_;  // guarded by mutex_
};

}  // namespace breakwater::controllers
