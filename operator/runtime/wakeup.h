#pragma once

/// Wakeup: a condition variable whose time comes from a Clock, so that tests with a FakeClock
/// control every timed wait of the runtime.

#include <stop_token>

#include "operator/base/clock.h"
#include "operator/base/thread_annotations.h"

namespace breakwater::runtime {

/// Use like a condition variable: check the state under a lock, take a Ticket under the same lock,
/// unlock, Wait. A NotifyAll between the ticket and the wait is not lost.
/// Thread safety: all methods may be called from any thread; call NotifyAll without a lock held.
class Wakeup {
 public:
  using Ticket = std::stop_token;

  /// Fires at the next NotifyAll.
  Ticket GetTicket() const;

  /// Wakes all that wait with a ticket taken before.
  void NotifyAll();

  /// Waits until the ticket fires, `stop` is requested or `until` is reached; may also return
  /// early.
  static void Wait(const Ticket& ticket,
                   const std::stop_token& stop,
                   const Clock& clock,
                   SteadyTime until);

 private:
  mutable Mutex mutex_;
  /// Replaced at each notification.
  std::stop_source source_ BREAKWATER_GUARDED_BY(mutex_);
};

}  // namespace breakwater::runtime
