#pragma once

/// Board: the newest value that one controller has for others.

#include <memory>
#include <mutex>
#include <utility>

namespace breakwater::controllers {

/// Thread safety: all methods from any thread.
template <typename T>
class Board {
 public:
  /// Null: there is none (yet).
  std::shared_ptr<const T> Get() const {
    const std::lock_guard lock(mutex_);
    return value_;
  }

  void Set(std::shared_ptr<const T> value) {
    const std::lock_guard lock(mutex_);
    value_ = std::move(value);
  }

 private:
  mutable std::mutex mutex_;
  std::shared_ptr<const T> value_;  // guarded by mutex_
};

}  // namespace breakwater::controllers
