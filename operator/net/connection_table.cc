#include "operator/net/connection_table.h"

#include <algorithm>
#include <utility>

namespace breakwater::net {

std::optional<ConnectionTable::Entry> ConnectionTable::Add(std::function<void()> close) {
  std::function<void()> close_oldest;
  std::optional<Entry> entry;
  {
    const std::lock_guard lock(mutex_);
    if (open_.size() >= limit_) {
      const auto oldest = std::find_if(open_.begin(), open_.end(),
                                       [](const Connection& other) { return !other.in_work; });
      if (oldest == open_.end()) {
        return std::nullopt;
      }
      oldest->evicted = true;
      close_oldest = std::move(oldest->close);
      evicted_.splice(evicted_.end(), open_, oldest);
    }
    entry = open_.insert(open_.end(), {.close = std::move(close)});
  }
  if (close_oldest) {
    close_oldest();
  }
  return entry;
}

bool ConnectionTable::Begin(Entry entry) {
  const std::lock_guard lock(mutex_);
  if (entry->evicted) {
    return false;
  }
  entry->in_work = true;
  ++in_work_;
  return true;
}

void ConnectionTable::End(Entry entry) {
  const std::lock_guard lock(mutex_);
  entry->in_work = false;
  --in_work_;
  open_.splice(open_.end(), open_, entry);
  idle_.notify_all();
}

void ConnectionTable::Remove(Entry entry) {
  const std::lock_guard lock(mutex_);
  (entry->evicted ? evicted_ : open_).erase(entry);
}

void ConnectionTable::AwaitIdle(std::chrono::milliseconds time) {
  std::unique_lock lock(mutex_);
  idle_.wait_for(lock, time, [this] { return in_work_ == 0; });
}

}  // namespace breakwater::net
