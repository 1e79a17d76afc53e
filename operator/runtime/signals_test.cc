#include "operator/runtime/signals.h"

#include <signal.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "operator/runtime/test_support.h"

namespace breakwater::runtime {
namespace {

// Breaks: Kubernetes' SIGTERM kills the operator in the middle of a migration step. In a process of
// its own, because the signal mask must be set before any thread starts.
TEST(SignalsDeathTest, SigtermRequestsAStopAndTheWaiterEnds) {
  ::testing::FLAGS_gtest_death_test_style = "threadsafe";
  EXPECT_EXIT(
      {
        BlockSignals();
        {
          const SignalWaiter unused;  // must end without a signal
        }
        const SignalWaiter waiter;
        kill(getpid(), SIGPIPE);
        kill(getpid(), SIGTERM);
        _exit(Eventually([&] { return waiter.stop().stop_requested(); }) ? 0 : 1);
      },
      ::testing::ExitedWithCode(0), "");
}

// Breaks: a person who presses Ctrl-C twice has to wait for the grace.
TEST(SignalsDeathTest, TheSecondSignalEndsTheProcess) {
  ::testing::FLAGS_gtest_death_test_style = "threadsafe";
  EXPECT_EXIT(
      {
        BlockSignals();
        const SignalWaiter waiter;
        kill(getpid(), SIGINT);
        Eventually([&] { return waiter.stop().stop_requested(); });
        kill(getpid(), SIGINT);
        Eventually([] { return false; });
      },
      ::testing::ExitedWithCode(130), "");
}

}  // namespace
}  // namespace breakwater::runtime
