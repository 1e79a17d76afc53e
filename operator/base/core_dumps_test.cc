#include "operator/base/core_dumps.h"

#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <gtest/gtest.h>

namespace breakwater {
namespace {

// REVIEW-2, Low (no core limit): a crash must not write certificates' keys to a disk. In a child,
// or this test binary could not be debugged any more.
TEST(CoreDumpsTest, AreForbidden) {
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    ForbidCoreDumps();
    rlimit limit{1, 1};
    const bool good = getrlimit(RLIMIT_CORE, &limit) == 0 && limit.rlim_cur == 0 &&
                      limit.rlim_max == 0 && prctl(PR_GET_DUMPABLE) == 0;
    _exit(good ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace breakwater
