#pragma once

/// WorkQueue: keys to reconcile, without duplicates and never one key in two hands.

#include <chrono>
#include <cstddef>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "operator/api/resource_info.h"
#include "operator/base/context.h"
#include "operator/base/thread_annotations.h"
#include "operator/runtime/wakeup.h"

namespace breakwater::runtime {

/// Rules (client-go workqueue): an Add while the key waits does nothing; an Add while the key is
/// processed hands it out again after Done; keys come out in the order of the first Add.
///
/// Thread safety: all methods may be called from any thread.
/// Ownership: keeps a reference to `clock`, which must outlive the queue.
class WorkQueue {
 public:
  using Key = api::ObjectKey;

  struct Options {
    /// Delay after the first failure of a key; doubles with each. Source: client-go
    /// DefaultTypedControllerRateLimiter, 5 ms.
    std::chrono::milliseconds first_delay{5};
    /// Longest delay of a key. Source: same, 1000 s.
    std::chrono::milliseconds max_delay{std::chrono::seconds{1000}};
    /// Retries per second of all keys together. Source: same, 10/s.
    double retries_per_second = 10;
    /// Retries that may be used at once before the rate applies. Source: same, 100.
    double retry_burst = 100;
  };

  /// What happened, for metrics. Called without a lock held, from the thread that caused it.
  struct Hooks {
    std::function<void()> on_add{};    ///< a key became ready
    std::function<void()> on_retry{};  ///< AddRateLimited was called
    /// A key was handed out; how long it was ready before.
    std::function<void(std::chrono::nanoseconds)> on_get{};
  };

  explicit WorkQueue(const Clock& clock);
  WorkQueue(const Clock& clock, Options options);
  WorkQueue(const Clock& clock, Options options, Hooks hooks);
  WorkQueue(const WorkQueue&) = delete;
  WorkQueue& operator=(const WorkQueue&) = delete;

  /// Makes the key ready now.
  void Add(const Key& key);
  /// Makes the key ready after `delay`; keeps the earlier of two pending times of one key.
  void AddAfter(const Key& key, std::chrono::nanoseconds delay);
  /// AddAfter with the key's backoff or the global rate, whichever is later; returns the delay.
  std::chrono::nanoseconds AddRateLimited(const Key& key);
  /// The key is healthy again: its next backoff starts from the first delay.
  void Forget(const Key& key);
  /// Number of AddRateLimited calls since the last Forget.
  int Retries(const Key& key) const;

  /// Waits until a key is ready. Nothing once `ctx` ended or Close() was called.
  /// Each key that was handed out must be given back by Done.
  std::optional<Key> Get(const Context& ctx);
  void Done(const Key& key);

  /// Waits until no key is in the hands of a worker; false when `ctx` ended first.
  bool WaitIdle(const Context& ctx) const;

  /// Wakes all Gets; nothing is handed out any more, further Adds are dropped.
  void Close();

  /// Keys that are ready and wait for a worker (those with a delay are not counted).
  std::size_t depth() const;
  /// Keys in the hands of workers.
  std::size_t processing() const;
  /// Keys that wait for their time.
  std::size_t delayed() const;
  /// How long the oldest ready key has been waiting; zero when there is none.
  std::chrono::nanoseconds OldestAge() const;

 private:
  void MakeReady(const Key& key, SteadyTime now) BREAKWATER_REQUIRES(mutex_);
  int MoveDue(SteadyTime now) BREAKWATER_REQUIRES(mutex_);
  bool Schedule(const Key& key, SteadyTime due) BREAKWATER_REQUIRES(mutex_);
  std::chrono::nanoseconds TakeToken(SteadyTime now) BREAKWATER_REQUIRES(mutex_);

  const Clock& clock_;     // constant after construction
  const Options options_;  // constant after construction
  const Hooks hooks_;      // constant after construction

  mutable Mutex mutex_;
  /// Keys to hand out and since when they are ready.
  std::deque<std::pair<Key, SteadyTime>> ready_ BREAKWATER_GUARDED_BY(mutex_);
  /// Keys in ready_, and those to become ready at their Done.
  std::set<Key> dirty_ BREAKWATER_GUARDED_BY(mutex_);
  std::set<Key> processing_ BREAKWATER_GUARDED_BY(mutex_);
  std::map<Key, SteadyTime> due_ BREAKWATER_GUARDED_BY(mutex_);
  /// The same pairs as due_, by time.
  std::set<std::pair<SteadyTime, Key>> due_order_ BREAKWATER_GUARDED_BY(mutex_);
  std::map<Key, int> retries_ BREAKWATER_GUARDED_BY(mutex_);
  /// Global rate; negative = reserved by retries that wait already.
  double tokens_ BREAKWATER_GUARDED_BY(mutex_);
  SteadyTime tokens_at_ BREAKWATER_GUARDED_BY(mutex_);
  bool closed_ BREAKWATER_GUARDED_BY(mutex_) = false;
  Wakeup changed_;       // own locking; for Get
  mutable Wakeup idle_;  // own locking; for WaitIdle
};

}  // namespace breakwater::runtime
