// Ordered queue of future events on a virtual clock.
//
// Not thread-safe: one owner drives it. Events of the same instant run in the order they were
// added, which keeps runs with one seed identical.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <utility>

#include "tests/e2e/sim/drbd/types.h"

namespace breakwater::sim {

class EventQueue {
 public:
  using Action = std::function<void()>;

  [[nodiscard]] Time now() const { return now_; }

  [[nodiscard]] std::optional<Time> next() const;

  void After(Time delay, Action action);

  // Runs everything that is due up to and including `time`, then sets the clock to it.
  void AdvanceTo(Time time);

  // Runs the earliest event; false when there is none.
  bool Step();

 private:
  Time now_{0};
  std::uint64_t sequence_ = 0;
  std::map<std::pair<Time, std::uint64_t>, Action> events_;
};

}  // namespace breakwater::sim
