#include "operator/base/backoff.h"

#include <gtest/gtest.h>

#include "operator/testing/fake_clock.h"

namespace breakwater {
namespace {

using std::chrono::milliseconds;

// Without growth and a cap, a broken API server is hammered, or the operator sleeps for hours.
TEST(BackoffTest, DoublesUpToTheMaximum) {
  testing::FakeClock clock;
  Backoff backoff(clock, [] { return 0.0; },
                  {.first = milliseconds(100), .max = milliseconds(350)});
  EXPECT_EQ(backoff.Next(), milliseconds(100));
  EXPECT_EQ(backoff.Next(), milliseconds(200));
  EXPECT_EQ(backoff.Next(), milliseconds(350));
  EXPECT_EQ(backoff.Next(), milliseconds(350));
  EXPECT_EQ(backoff.attempts(), 4);
}

// Without jitter, all replicas come back in the same millisecond after an outage.
TEST(BackoffTest, AddsJitterOnTop) {
  testing::FakeClock clock;
  Backoff backoff(clock, [] { return 0.5; }, {.first = milliseconds(100), .jitter = 1.0});
  EXPECT_EQ(backoff.Next(), milliseconds(150));
}

// A watch that broke last week must not make today's first retry wait for 30 s.
TEST(BackoffTest, ForgetsAfterATimeOfHealthCountedFromTheEndOfTheWait) {
  testing::FakeClock clock;
  Backoff backoff(clock, [] { return 0.0; },
                  {.first = milliseconds(100), .reset_after = std::chrono::seconds(10)});
  backoff.Next();
  clock.Advance(std::chrono::seconds(10));
  EXPECT_EQ(backoff.Next(), milliseconds(200));
  clock.Advance(std::chrono::milliseconds(10200));
  EXPECT_EQ(backoff.Next(), milliseconds(100));
}

// A success must be felt at once.
TEST(BackoffTest, ResetStartsAgain) {
  testing::FakeClock clock;
  Backoff backoff(clock, [] { return 0.0; }, {.first = milliseconds(100)});
  backoff.Next();
  backoff.Next();
  backoff.Reset();
  EXPECT_EQ(backoff.Next(), milliseconds(100));
}

TEST(BackoffTest, RealRandomStaysInItsRange) {
  const RandomSource random = RealRandom();
  for (int i = 0; i < 1000; ++i) {
    const double value = random();
    ASSERT_GE(value, 0.0);
    ASSERT_LT(value, 1.0);
  }
}

}  // namespace
}  // namespace breakwater
