#pragma once

/// How the process treats its heap: it shares a storage node's memory with the data path.

#include "operator/base/clock.h"
#include "operator/runtime/manager.h"

namespace breakwater::cmd {

/// Few arenas, and large blocks go back at once. Call first in main, before any thread exists.
void KeepMemorySmall();

/// Gives free pages back to the system now and every minute. Lists, rollouts and renderings leave
/// holes all over the heap; a pass takes about a millisecond. `clock` must outlive it.
runtime::Runnable MemoryTrimmer(const Clock& clock);

}  // namespace breakwater::cmd
