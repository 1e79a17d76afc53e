#include "operator/runtime/wakeup.h"

#include <utility>

namespace breakwater::runtime {

Wakeup::Ticket Wakeup::GetTicket() const {
  const MutexLock lock(mutex_);
  return source_.get_token();
}

void Wakeup::NotifyAll() {
  std::stop_source fired;
  {
    const MutexLock lock(mutex_);
    std::swap(fired, source_);
  }
  fired.request_stop();
}

void Wakeup::Wait(const Ticket& ticket,
                  const std::stop_token& stop,
                  const Clock& clock,
                  SteadyTime until) {
  std::stop_source either;
  const std::stop_callback on_notify(ticket, [&either] { either.request_stop(); });
  const std::stop_callback on_stop(stop, [&either] { either.request_stop(); });
  clock.SleepUntil(either.get_token(), until);
}

}  // namespace breakwater::runtime
