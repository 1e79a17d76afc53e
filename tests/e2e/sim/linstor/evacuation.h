#pragma once

#include <thread>

#include "tests/e2e/sim/linstor/simulator.h"

namespace breakwater::sim {

/// One look at the nodes with the flag EVACUATE: makes replacements, removes what may go.
void EvacuationStep(Simulator& sim);

/// Looks every second until it is destroyed.
std::jthread StartEvacuation(Simulator& sim);

}  // namespace breakwater::sim
