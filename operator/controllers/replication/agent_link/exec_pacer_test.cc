// How often the API server is asked. What would break for a user: a hundred nodes with a broken
// container make the operator flood the API server (today about 1,800 requests a minute), or after
// an outage the operator is blind for minutes.

#include "operator/controllers/replication/agent_link/exec_pacer.h"

#include <algorithm>
#include <deque>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace breakwater::controllers {
namespace {

using namespace std::chrono_literals;  // NOLINT(google-build-using-namespace): literals only

constexpr SteadyTime kStart{std::chrono::hours(1)};

// G5: nodes whose exec always fails cost fewer than 60 requests in any minute, and each is tried.
TEST(ExecPacerTest, AHundredFailingNodesStayBelowSixtyAMinute) {
  ExecPacer pacer({});
  std::deque<SteadyTime> last_minute;
  std::vector<int> tries(100);
  std::vector<SteadyTime> next(100, kStart + 1s);
  for (SteadyTime now = kStart; now < kStart + 1h; now += 100ms) {
    for (std::size_t node = 0; node < next.size(); ++node) {
      if (now < next[node]) {
        continue;
      }
      if (const auto later = pacer.TryTake(now)) {
        EXPECT_GT(*later, now);
        next[node] = *later;
        continue;
      }
      ++tries[node];
      next[node] = now + 60s;
      last_minute.push_back(now);
      while (last_minute.front() <= now - 60s) {
        last_minute.pop_front();
      }
      ASSERT_LT(last_minute.size(), 60U);
    }
  }
  EXPECT_GT(*std::min_element(tries.begin(), tries.end()), 15);
}

// One node whose agent restarts is back after a second, not after a minute.
TEST(ExecPacerTest, ASingleNodeDoesNotWait) {
  ExecPacer pacer({});
  for (int i = 0; i < 5; ++i) {
    EXPECT_FALSE(pacer.TryTake(kStart));
  }
  EXPECT_TRUE(pacer.TryTake(kStart));
}

// What happens for a reason does not wait, but the others pay for it.
TEST(ExecPacerTest, UrgentTriesTakeOnCredit) {
  ExecPacer pacer({.per_minute = 60, .burst = 1});
  for (int i = 0; i < 11; ++i) {
    pacer.Take(kStart);
  }
  const auto later = pacer.TryTake(kStart);
  ASSERT_TRUE(later);
  EXPECT_GE(*later - kStart, 10s);
  EXPECT_LE(*later - kStart, 12s);
  for (int i = 0; i < 1000; ++i) {
    pacer.Take(kStart);
  }
  EXPECT_LE(*pacer.TryTake(kStart) - kStart, 62s) << "the debt is bounded";
}

// After an outage of the API server each node that is reached pulls another one along.
TEST(ExecPacerTest, SuccessesPayForMore) {
  ExecPacer pacer({});
  while (!pacer.TryTake(kStart)) {
  }
  pacer.Succeeded(kStart);
  EXPECT_FALSE(pacer.TryTake(kStart));
  EXPECT_FALSE(pacer.TryTake(kStart));
  EXPECT_TRUE(pacer.TryTake(kStart));
}

// Nodes that hang while they are tried again must leave room for those that have just come.
TEST(ExecPacerTest, RetriesLeaveRoom) {
  ExecPacer pacer({.open_at_once = 3, .retries_at_once = 2});
  std::stop_source stop;
  EXPECT_TRUE(pacer.Acquire(stop.get_token(), /*retry=*/true));
  EXPECT_TRUE(pacer.Acquire(stop.get_token(), /*retry=*/true));
  bool third = true;
  std::jthread waiting([&] { third = pacer.Acquire(stop.get_token(), /*retry=*/true); });
  EXPECT_TRUE(pacer.Acquire({}, /*retry=*/false));
  stop.request_stop();
  waiting.join();
  EXPECT_FALSE(third);
  pacer.Release(/*retry=*/true);
  EXPECT_TRUE(pacer.Acquire({}, /*retry=*/true));
}

}  // namespace
}  // namespace breakwater::controllers
