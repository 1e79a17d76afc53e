#pragma once

/// How the process treats its heap: it shares a storage node's memory with the data path.

#include "operator/base/clock.h"
#include "operator/runtime/manager.h"

namespace breakwater::cmd {

/// glibc gives each of our threads an arena that never shrinks, and stops giving large bodies back
/// after the first one. Most threads sleep, so one arena is enough. Call first in main.
void KeepMemorySmall();

/// Gives free pages back to the system now and every 15 seconds (less than 1 % of an idle process's
/// time). Lists, rollouts and renderings leave holes all over the heap. `clock` must outlive it.
runtime::Runnable MemoryTrimmer(const Clock& clock);

}  // namespace breakwater::cmd
