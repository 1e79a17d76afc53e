#include "operator/runtime/health.h"

#include <gtest/gtest.h>

#include "operator/testing/fake_clock.h"

namespace breakwater::runtime {
namespace {

using std::chrono::seconds;

// Breaks: a deadlocked operator is never restarted, or a busy one is restarted again and again.
TEST(HealthTest, LivenessFailsWhenOnePieceOfWorkTakesTooLong) {
  breakwater::testing::FakeClock clock;
  Health health(clock);
  auto worker = health.AddHeartbeat("worker 1", seconds(10));
  clock.Advance(seconds(100));
  EXPECT_TRUE(health.Live().ok) << "idle";
  worker->Busy();
  clock.Advance(seconds(10));
  EXPECT_TRUE(health.Live().ok);
  clock.Advance(seconds(1));
  EXPECT_FALSE(health.Live().ok);
  EXPECT_EQ(health.Live().text, "worker 1: no progress\n");
  worker->Busy();
  EXPECT_TRUE(health.Live().ok) << "progress";
  clock.Advance(seconds(11));
  worker.reset();
  EXPECT_TRUE(health.Live().ok) << "a thread that ended has no pulse and needs none";
}

// Breaks: a rolling update goes on although the new replica sees nothing.
TEST(HealthTest, ReadinessNamesWhatIsMissing) {
  breakwater::testing::FakeClock clock;
  Health health(clock);
  EXPECT_TRUE(health.Ready().ok);
  bool synced = false;
  health.AddReadyCheck("store pods", [&]() -> std::optional<std::string> {
    return synced ? std::nullopt : std::optional<std::string>("not synced");
  });
  EXPECT_FALSE(health.Ready().ok);
  EXPECT_EQ(health.Ready().text, "store pods: not synced\n");
  synced = true;
  EXPECT_EQ(health.Ready().text, "ok\n");
  synced = false;
  health.RemoveReadyCheck("store pods");
  EXPECT_TRUE(health.Ready().ok);
}

}  // namespace
}  // namespace breakwater::runtime
