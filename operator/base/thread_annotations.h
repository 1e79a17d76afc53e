#pragma once

/// Lock annotations that clang checks (-Wthread-safety) and other compilers ignore, and the Mutex
/// they work with: libstdc++'s std::mutex carries no annotations, so the analysis cannot see it.

#include <mutex>

#if defined(__clang__)
#define BREAKWATER_ATTRIBUTE_(x) __attribute__((x))
#else
#define BREAKWATER_ATTRIBUTE_(x)
#endif

/// The field may be touched only while the mutex `m` is held.
#define BREAKWATER_GUARDED_BY(m) BREAKWATER_ATTRIBUTE_(guarded_by(m))
/// The caller must hold the mutex.
#define BREAKWATER_REQUIRES(...) BREAKWATER_ATTRIBUTE_(requires_capability(__VA_ARGS__))
/// The caller must not hold the mutex.
#define BREAKWATER_EXCLUDES(...) BREAKWATER_ATTRIBUTE_(locks_excluded(__VA_ARGS__))
/// For predicates of condition variables, which the analysis cannot follow.
#define BREAKWATER_NO_THREAD_SAFETY_ANALYSIS BREAKWATER_ATTRIBUTE_(no_thread_safety_analysis)

namespace breakwater {

/// std::mutex that clang's analysis knows.
class BREAKWATER_ATTRIBUTE_(capability("mutex")) Mutex {
 public:
  void lock() BREAKWATER_ATTRIBUTE_(acquire_capability()) { mutex_.lock(); }

  void unlock() BREAKWATER_ATTRIBUTE_(release_capability()) { mutex_.unlock(); }

  bool try_lock() BREAKWATER_ATTRIBUTE_(try_acquire_capability(true)) { return mutex_.try_lock(); }

  /// Tells the analysis that the mutex is held here: first line of a wait's predicate.
  void AssertHeld() const BREAKWATER_ATTRIBUTE_(assert_capability(this)) {}

 private:
  std::mutex mutex_;
};

/// Holds a Mutex for a scope; may be passed to std::condition_variable_any.
class BREAKWATER_ATTRIBUTE_(scoped_lockable) MutexLock {
 public:
  explicit MutexLock(Mutex& mutex) BREAKWATER_ATTRIBUTE_(acquire_capability(mutex))
      : mutex_(mutex) {
    mutex_.lock();
  }

  ~MutexLock() BREAKWATER_ATTRIBUTE_(release_capability()) {
    if (held_) {
      mutex_.unlock();
    }
  }

  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

  void lock() BREAKWATER_ATTRIBUTE_(acquire_capability()) {
    mutex_.lock();
    held_ = true;
  }

  void unlock() BREAKWATER_ATTRIBUTE_(release_capability()) {
    mutex_.unlock();
    held_ = false;
  }

 private:
  Mutex& mutex_;
  bool held_ = true;
};

}  // namespace breakwater
