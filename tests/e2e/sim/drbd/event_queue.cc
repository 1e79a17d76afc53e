#include "tests/e2e/sim/drbd/event_queue.h"

#include <algorithm>

namespace breakwater::sim {

std::optional<Time> EventQueue::next() const {
  if (events_.empty()) {
    return std::nullopt;
  }
  return events_.begin()->first.first;
}

void EventQueue::After(Time delay, Action action) {
  events_.emplace(std::pair(now_ + std::max(delay, Time{0}), sequence_++), std::move(action));
}

void EventQueue::AdvanceTo(Time time) {
  while (!events_.empty() && events_.begin()->first.first <= time) {
    Step();
  }
  now_ = std::max(now_, time);
}

bool EventQueue::Step() {
  if (events_.empty()) {
    return false;
  }
  auto node = events_.extract(events_.begin());
  now_ = std::max(now_, node.key().first);
  node.mapped()();
  return true;
}

}  // namespace breakwater::sim
