// How long commands take.
#pragma once

#include <map>
#include <string>

#include "tests/e2e/sim/drbd/rng.h"
#include "tests/e2e/sim/drbd/types.h"

namespace breakwater::sim {

// Half of the samples lie below the median; few come near the maximum.
struct Spread {
  Millis min{0};
  Millis median{0};
  Millis max{0};

  [[nodiscard]] Time Sample(Rng& rng) const {
    const double u = rng.Unit() * 2;
    const bool low = u < 1;
    const double x = low ? u : (u - 1) * (u - 1) * (u - 1);
    const Time from = low ? min : median;
    const Time to = low ? median : max;
    return from + Time(static_cast<std::int64_t>(static_cast<double>((to - from).count()) * x));
  }
};

// By drbdsetup's command; "disconnect --force" is one of its own.
using CommandTimes = std::map<std::string, Spread>;

// Three emulated machines with a loaded core each: F15, F26.1, F29, F31 and the log of a switch.
// From the start of the program until it ends.
[[nodiscard]] inline CommandTimes LabTimes() {
  using M = Millis;
  return {{"status", {M(20), M(40), M(250)}},
          {"show", {M(20), M(40), M(250)}},
          {"suspend-io", {M(30), M(60), M(400)}},
          {"resume-io", {M(30), M(60), M(400)}},
          {"disconnect", {M(75), M(210), M(1130)}},
          {"disconnect --force", {M(170), M(460), M(1030)}},
          {"net-options", {M(30), M(60), M(480)}},
          {"connect", {M(30), M(50), M(400)}},
          {"invalidate-remote", {M(30), M(60), M(400)}}};
}

}  // namespace breakwater::sim
