// How often the API server is asked. What would break for a user: a hundred nodes with a broken
// container make the operator flood the API server (today about 1,800 requests a minute), or after
// an outage the operator is blind for minutes.

#include "operator/controllers/replication/agent_link/exec_pacer.h"

#include <algorithm>
#include <deque>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace breakwater::controllers {
namespace {

using namespace std::chrono_literals;  // NOLINT(google-build-using-namespace): literals only

constexpr SteadyTime kStart{std::chrono::hours(1)};

// G5: nodes whose exec always fails cost fewer than 60 requests in any minute together with the 20
// looks of NodeReconciler, and each is tried.
TEST(ExecPacerTest, AHundredFailingNodesStayBelowSixtyAMinute) {
  ExecPacer pacer({});
  std::deque<SteadyTime> last_minute;
  std::vector<int> tries(100);
  std::vector<SteadyTime> next(100, kStart + 1s);
  for (SteadyTime now = kStart; now < kStart + 20min; now += 200ms) {
    for (std::size_t node = 0; node < next.size(); ++node) {
      if (now < next[node]) {
        continue;
      }
      if (const auto later = pacer.TryTake(now, std::to_string(node))) {
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
      ASSERT_LT(last_minute.size(), 60U - 20U);
    }
  }
  EXPECT_GT(*std::min_element(tries.begin(), tries.end()), 5);
}

// One node whose agent restarts is back after a second, not after a minute.
TEST(ExecPacerTest, ASingleNodeDoesNotWait) {
  ExecPacer pacer({});
  for (int i = 0; i < 5; ++i) {
    EXPECT_FALSE(pacer.TryTake(kStart, "n"));
  }
  EXPECT_TRUE(pacer.TryTake(kStart, "n"));
}

// What happens for a reason does not wait, but the others pay for it.
TEST(ExecPacerTest, UrgentTriesTakeOnCredit) {
  ExecPacer pacer({.per_minute = 60, .burst = 1});
  for (int i = 0; i < 11; ++i) {
    pacer.Take(kStart);
  }
  EXPECT_TRUE(pacer.TryTake(kStart + 10s, "n"));
  EXPECT_FALSE(pacer.TryTake(kStart + 11s, "n"));
  for (int i = 0; i < 1000; ++i) {
    pacer.Take(kStart);
  }
  EXPECT_FALSE(pacer.TryTake(kStart + 80s, "n")) << "the debt is bounded";
}

// After an outage of the API server each node that is reached pulls another one along.
TEST(ExecPacerTest, SuccessesPayForMore) {
  ExecPacer pacer({});
  while (!pacer.TryTake(kStart, "n")) {
  }
  pacer.Succeeded(kStart);
  EXPECT_FALSE(pacer.TryTake(kStart, "n"));
  EXPECT_FALSE(pacer.TryTake(kStart, "n"));
  EXPECT_TRUE(pacer.TryTake(kStart, "n"));
}

// A node that was taken away while it waited must not hold up those behind it.
TEST(ExecPacerTest, WhoDoesNotAskAgainLosesItsPlace) {
  ExecPacer pacer({.per_minute = 60, .burst = 1});
  EXPECT_FALSE(pacer.TryTake(kStart, "a"));
  EXPECT_TRUE(pacer.TryTake(kStart, "gone"));
  EXPECT_TRUE(pacer.TryTake(kStart, "b"));
  EXPECT_TRUE(pacer.TryTake(kStart + 2s, "b")) << "the other one is in front";
  EXPECT_FALSE(pacer.TryTake(kStart + 16s, "b"));
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
