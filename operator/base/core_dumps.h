#pragma once

/// ForbidCoreDumps: keys and passphrases in memory stay there.

namespace breakwater {

/// No core file for this process and its children, not even where the system pipes cores to a
/// program (those ignore the limit, but not that a process is not dumpable). Besides, no process
/// without CAP_SYS_PTRACE may read its memory. Call first in main, and again after a change of
/// user.
void ForbidCoreDumps();

}  // namespace breakwater
