#pragma once

/// ExecPacer: how many execs are started for the links of all nodes together, and how many are
/// being opened at a time. With the looks of NodeReconciler, which has a budget of its own, a
/// hundred nodes whose exec always fails cost the API server fewer than 60 requests a minute (G5).
///
/// A token bucket. Retries wait for a token, first come, first served; what happens for a reason (a
/// new pod, a restarted container, a stream that was healthy and broke) does not wait but takes
/// one, on credit. Each success gives tokens back: after an outage of the API server the first node
/// that is reached pulls the others along.

#include <condition_variable>
#include <list>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>

#include "operator/base/clock.h"

namespace breakwater::controllers {

/// Thread safety: all methods from any thread.
class ExecPacer {
 public:
  struct Options {
    int per_minute = 30;  ///< retries
    int burst = 5;        ///< saved up while nothing is retried
    int open_at_once = 8;
    int retries_at_once = 4;  ///< of those; the rest is for what happens for a reason
  };

  explicit ExecPacer(Options options) : options_(options), tokens_(options.burst) {}

  /// Takes a token for a retry of `who`; when there is none, the time at which to ask again. Who
  /// does not ask again in time loses its place in the queue.
  std::optional<SteadyTime> TryTake(SteadyTime now, const std::string& who);
  /// Takes a token that need not be there.
  void Take(SteadyTime now);
  /// An exec was opened.
  void Succeeded(SteadyTime now);

  /// Waits for a place among those that open an exec; false when stopped. Release it afterwards.
  bool Acquire(const std::stop_token& stop, bool retry);
  void Release(bool retry);
  /// No place is given any more.
  void Stop();

 private:
  struct Waiter {
    std::string who{};
    SteadyTime asked{};
  };

  void Refill(SteadyTime now);

  const Options options_;
  std::mutex mutex_;
  std::condition_variable_any freed_;
  double tokens_;
  std::list<Waiter> queue_{};
  std::optional<SteadyTime> last_{};
  bool stopped_ = false;
  int opening_ = 0;
  int retrying_ = 0;
};

}  // namespace breakwater::controllers
