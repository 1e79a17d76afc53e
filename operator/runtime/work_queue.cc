#include "operator/runtime/work_queue.h"

#include <algorithm>
#include <cmath>

namespace breakwater::runtime {
namespace {

/// Upper bound of a wait without a due time; waking up in between is harmless.
constexpr std::chrono::hours kLongWait{1};

std::chrono::nanoseconds Seconds(double seconds) {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
      std::chrono::duration<double>(seconds));
}

}  // namespace

WorkQueue::WorkQueue(const Clock& clock) : WorkQueue(clock, Options{}, Hooks{}) {}

WorkQueue::WorkQueue(const Clock& clock, Options options) : WorkQueue(clock, options, Hooks{}) {}

WorkQueue::WorkQueue(const Clock& clock, Options options, Hooks hooks)
    : clock_(clock),
      options_(options),
      hooks_(std::move(hooks)),
      tokens_(options.retry_burst),
      tokens_at_(clock.SteadyNow()) {}

void WorkQueue::Add(const Key& key) {
  {
    const MutexLock lock(mutex_);
    if (closed_ || dirty_.contains(key)) {
      return;
    }
    MakeReady(key, clock_.SteadyNow());
  }
  if (hooks_.on_add) {
    hooks_.on_add();
  }
  changed_.NotifyAll();
}

void WorkQueue::AddAfter(const Key& key, std::chrono::nanoseconds delay) {
  if (delay <= std::chrono::nanoseconds{0}) {
    Add(key);
    return;
  }
  bool first = false;
  {
    const MutexLock lock(mutex_);
    if (closed_) {
      return;
    }
    first =
        Schedule(key, clock_.SteadyNow() + std::chrono::duration_cast<SteadyTime::duration>(delay));
  }
  if (first) {
    changed_.NotifyAll();  // those who wait, wait for a later time
  }
}

std::chrono::nanoseconds WorkQueue::AddRateLimited(const Key& key) {
  std::chrono::nanoseconds delay{0};
  {
    const MutexLock lock(mutex_);
    const int retries = retries_[key]++;
    const double own = static_cast<double>(options_.first_delay.count()) * std::exp2(retries);
    const double capped = std::min(own, static_cast<double>(options_.max_delay.count()));
    delay = std::max(Seconds(capped / 1000.0), TakeToken(clock_.SteadyNow()));
  }
  if (hooks_.on_retry) {
    hooks_.on_retry();
  }
  AddAfter(key, delay);
  return delay;
}

void WorkQueue::Forget(const Key& key) {
  const MutexLock lock(mutex_);
  retries_.erase(key);
}

int WorkQueue::Retries(const Key& key) const {
  const MutexLock lock(mutex_);
  const auto it = retries_.find(key);
  return it == retries_.end() ? 0 : it->second;
}

std::optional<WorkQueue::Key> WorkQueue::Get(const Context& ctx) {
  while (true) {
    const Wakeup::Ticket ticket = changed_.GetTicket();
    std::optional<std::pair<Key, SteadyTime>> taken;
    const SteadyTime now = clock_.SteadyNow();
    SteadyTime until = ctx.deadline().value_or(now + kLongWait);
    int moved = 0;
    {
      const MutexLock lock(mutex_);
      if (closed_ || ctx.canceled() || ctx.expired()) {
        return std::nullopt;
      }
      moved = MoveDue(now);
      if (!ready_.empty()) {
        taken = std::move(ready_.front());
        ready_.pop_front();
        dirty_.erase(taken->first);
        processing_.insert(taken->first);
      } else if (!due_order_.empty()) {
        until = std::min(until, due_order_.begin()->first);
      }
    }
    for (int i = 0; hooks_.on_add && i < moved; ++i) {
      hooks_.on_add();
    }
    if (moved > 1) {
      changed_.NotifyAll();  // more than this worker can take
    }
    if (taken) {
      if (hooks_.on_get) {
        hooks_.on_get(now - taken->second);
      }
      return taken->first;
    }
    Wakeup::Wait(ticket, ctx.stop(), clock_, until);
  }
}

void WorkQueue::Done(const Key& key) {
  bool again = false;
  bool idle = false;
  {
    const MutexLock lock(mutex_);
    processing_.erase(key);
    again = dirty_.contains(key);
    if (again) {
      ready_.emplace_back(key, clock_.SteadyNow());
    }
    idle = processing_.empty();
  }
  if (again) {
    changed_.NotifyAll();
  }
  if (idle) {
    idle_.NotifyAll();
  }
}

void WorkQueue::Close() {
  {
    const MutexLock lock(mutex_);
    closed_ = true;
  }
  changed_.NotifyAll();
}

bool WorkQueue::WaitIdle(const Context& ctx) const {
  while (true) {
    const Wakeup::Ticket ticket = idle_.GetTicket();
    if (processing() == 0) {
      return true;
    }
    if (ctx.canceled() || ctx.expired()) {
      return false;
    }
    Wakeup::Wait(ticket, ctx.stop(), clock_,
                 ctx.deadline().value_or(clock_.SteadyNow() + kLongWait));
  }
}

std::size_t WorkQueue::depth() const {
  const MutexLock lock(mutex_);
  return ready_.size();
}

std::size_t WorkQueue::processing() const {
  const MutexLock lock(mutex_);
  return processing_.size();
}

std::size_t WorkQueue::delayed() const {
  const MutexLock lock(mutex_);
  return due_.size();
}

std::chrono::nanoseconds WorkQueue::OldestAge() const {
  const MutexLock lock(mutex_);
  return ready_.empty() ? std::chrono::nanoseconds{0} : clock_.SteadyNow() - ready_.front().second;
}

/// Marks a key that is not dirty; a key in processing becomes ready at its Done.
void WorkQueue::MakeReady(const Key& key, SteadyTime now) {
  dirty_.insert(key);
  if (!processing_.contains(key)) {
    ready_.emplace_back(key, now);
  }
}

/// Makes delayed keys ready whose time has come; returns how many were not ready before.
int WorkQueue::MoveDue(SteadyTime now) {
  int moved = 0;
  while (!due_order_.empty() && due_order_.begin()->first <= now) {
    const auto [due, key] = *due_order_.begin();
    due_order_.erase(due_order_.begin());
    due_.erase(key);
    if (!dirty_.contains(key)) {
      MakeReady(key, due);
      ++moved;
    }
  }
  return moved;
}

/// Whether `key` is the first that is due now, and was not before.
bool WorkQueue::Schedule(const Key& key, SteadyTime due) {
  const auto [it, inserted] = due_.try_emplace(key, due);
  if (!inserted) {
    if (it->second <= due) {
      return false;
    }
    due_order_.erase({it->second, key});
    it->second = due;
  }
  return due_order_.insert({due, key}).first == due_order_.begin();
}

/// Token bucket with reservation: the wait until the token that this retry takes is there.
std::chrono::nanoseconds WorkQueue::TakeToken(SteadyTime now) {
  const double elapsed = std::chrono::duration<double>(now - tokens_at_).count();
  tokens_ = std::min(options_.retry_burst, tokens_ + elapsed * options_.retries_per_second) - 1;
  tokens_at_ = now;
  return tokens_ >= 0 ? std::chrono::nanoseconds{0}
                      : Seconds(-tokens_ / options_.retries_per_second);
}

}  // namespace breakwater::runtime
