#pragma once

/// Wakeup: a condition variable whose time comes from a Clock, so that tests with a FakeClock control
/// every timed wait of the runtime.

#include <mutex>
#include <stop_token>

#include "operator/base/clock.h"

namespace breakwater::runtime {

/// Use like a condition variable: check the state under a lock, take a Ticket under the same lock,
/// unlock, Wait. A NotifyAll between the ticket and the wait is not lost.
/// Thread safety: all methods may be called from any thread, NotifyAll also under the caller's lock
/// when no stop callback of the tokens involved takes that lock.
class Wakeup {
 public:
  using Ticket = std::stop_token;

  /// Fires at the next NotifyAll.
  Ticket GetTicket() const;

  /// Wakes all that wait with a ticket taken before.
  void NotifyAll();

  /// Waits until the ticket fires, `stop` is requested or `until` is reached; may also return early.
  static void Wait(const Ticket& ticket, const std::stop_token& stop, const Clock& clock,
                   SteadyTime until);

 private:
  mutable std::mutex mutex_;
  std::stop_source source_;  // guarded by mutex_; replaced at each notification
};

}  // namespace breakwater::runtime
