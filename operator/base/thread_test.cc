#include "operator/base/thread.h"

#include <atomic>
#include <condition_variable>
#include <mutex>

#include <gtest/gtest.h>

#include "operator/testing/fake_clock.h"

namespace breakwater {
namespace {

// A thread that is not joined at stop races with the destruction of what it uses.
TEST(ThreadTest, DestructorStopsAndJoins) {
  std::atomic<bool> ended = false;
  {
    const Thread thread("worker", [&](std::stop_token stop) {
      std::mutex mutex;
      std::condition_variable_any changed;
      std::unique_lock lock(mutex);
      changed.wait(lock, stop, [] { return false; });
      ended = true;
    });
  }
  EXPECT_TRUE(ended);
}

// A lost lease must cancel the work, and so must SIGTERM.
TEST(LinkedStopSourceTest, FiresByItselfAndByItsParent) {
  std::stop_source parent;
  LinkedStopSource first(parent.get_token());
  LinkedStopSource second(parent.get_token());
  first.RequestStop();
  EXPECT_TRUE(first.token().stop_requested());
  EXPECT_FALSE(second.token().stop_requested());
  parent.request_stop();
  EXPECT_TRUE(second.token().stop_requested());
}

// Tests of every time-driven part rest on this order.
TEST(FakeClockTest, WakesSleepersWhenTheirTimeComes) {
  testing::FakeClock clock;
  std::atomic<int> woken = 0;
  Thread a("a", [&](std::stop_token stop) {
    woken += clock.SleepFor(stop, std::chrono::seconds(1)) ? 1 : 100;
  });
  Thread b("b", [&](std::stop_token stop) {
    woken += clock.SleepFor(stop, std::chrono::hours(1)) ? 1 : 100;
  });
  clock.WaitForSleepers(2);
  clock.Advance(std::chrono::seconds(1));
  a.Join();
  EXPECT_EQ(woken, 1);
  b.RequestStop();
  b.Join();
  EXPECT_EQ(woken, 101);
}

}  // namespace
}  // namespace breakwater
