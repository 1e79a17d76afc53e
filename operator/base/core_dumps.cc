#include "operator/base/core_dumps.h"

#include <sys/prctl.h>
#include <sys/resource.h>

namespace breakwater {

void ForbidCoreDumps() {
  const rlimit none{0, 0};
  // Neither can fail for a process that lowers its own.
  (void)setrlimit(RLIMIT_CORE, &none);
  (void)prctl(PR_SET_DUMPABLE, 0);
}

}  // namespace breakwater
