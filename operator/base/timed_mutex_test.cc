#include "operator/base/timed_mutex.h"

#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace breakwater {
namespace {

using namespace std::chrono_literals;  // NOLINT(google-build-using-namespace): literals only

// Two writers of one journal at a time would lose an entry, and with it a volume that is half-way.
TEST(TimedMutexTest, OnlyOneHoldsIt) {
  TimedMutex mutex;
  int counter = 0;
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([&] {
        for (int j = 0; j < 1000; ++j) {
          const std::lock_guard lock(mutex);
          ++counter;
        }
      });
    }
  }
  EXPECT_EQ(counter, 4000);
}

// A driver must not wait for a slow write of somebody else for longer than it said.
TEST(TimedMutexTest, WaitsNoLongerThanTheLimit) {
  TimedMutex mutex;
  std::unique_lock held(mutex);
  std::jthread([&] {
    EXPECT_FALSE(mutex.try_lock());
    EXPECT_FALSE(mutex.try_lock_for(10ms));
  }).join();
  const std::jthread waiting([&] { EXPECT_TRUE(mutex.try_lock_for(1min)); });
  held.unlock();
}

}  // namespace
}  // namespace breakwater
