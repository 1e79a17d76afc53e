#pragma once

/// Walk: one seeded run of a volume's migration with everything that can go wrong, and the limits
/// that must hold at every moment of it:
/// - I/O frozen by us at most suspendTimeout + 1 s;
/// - a connection cut by us at most its deadline + the time of a reconnect, while both nodes live;
/// - no acknowledged write lost, no block different, no I/O error, no violation of the simulator;
/// - when the faults are over, the volume gets to what is wanted.

#include <cstdint>
#include <string>

#include "tests/walks/agent_actor.h"

namespace breakwater::walks {

struct WalkOptions {
  std::uint64_t seed = 1;
  WithoutGuard without = WithoutGuard::kNone;
  bool trace = false;  ///< prints what happens, for one walk
};

struct WalkResult {
  std::string shape{};  ///< what kind of volume, strategy, direction
  int kills = 0;
  Millis longest_freeze{0};
  Millis longest_cut{0};
  std::uint64_t lost = 0;
  std::uint64_t diverged = 0;
  std::uint64_t errors = 0;
  std::uint64_t violations = 0;
  std::string broken{};  ///< the first limit that did not hold, "" = all held
};

WalkResult RunWalk(const WalkOptions& options);

}  // namespace breakwater::walks
