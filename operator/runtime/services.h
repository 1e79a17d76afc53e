#pragma once

/// Services: what every part of the runtime needs from the process.

#include "operator/base/clock.h"

namespace breakwater {
class Logger;
}

namespace breakwater::runtime {

class Metrics;
class Health;

/// References only; the composition root owns all of it and outlives every user.
/// Thread safety: each service may be used from any thread.
struct Services {
  const Clock& clock;
  Logger& log;
  Metrics& metrics;
  Health& health;
};

}  // namespace breakwater::runtime
