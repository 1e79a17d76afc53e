#include "operator/runtime/work_queue.h"

#include <algorithm>
#include <atomic>
#include <map>
#include <mutex>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "operator/runtime/test_support.h"

namespace breakwater::runtime {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class WorkQueueTest : public ::testing::Test {
 protected:
  std::string Take() {
    const auto key = queue_.Get(services_.Ctx().WithTimeout(milliseconds(1)));
    return key ? key->name : "-";
  }

  TestServices services_;
  WorkQueue queue_{services_.clock};
};

// Breaks: a burst of events for one object makes a burst of reconciles.
TEST_F(WorkQueueTest, HandsOutAKeyOnceHoweverOftenItWasAdded) {
  queue_.Add(Key("a"));
  queue_.Add(Key("a"));
  EXPECT_EQ(queue_.depth(), 1U);
  EXPECT_EQ(Take(), "a");
  EXPECT_EQ(queue_.depth(), 0U);
}

// Breaks: two workers write the same object at the same time, or a change during a reconcile is
// lost.
TEST_F(WorkQueueTest, HandsOutAKeyAgainAfterDoneWhenItWasAddedMeanwhile) {
  queue_.Add(Key("a"));
  EXPECT_EQ(Take(), "a");
  queue_.Add(Key("a"));
  EXPECT_EQ(queue_.depth(), 0U);
  queue_.Done(Key("a"));
  EXPECT_EQ(Take(), "a");
  queue_.Done(Key("a"));
  EXPECT_EQ(queue_.depth(), 0U);
  EXPECT_EQ(queue_.processing(), 0U);
}

// Breaks: an object that changes all the time starves the others.
TEST_F(WorkQueueTest, IsFair) {
  for (const char* name : {"b", "a", "c", "b"}) {
    queue_.Add(Key(name));
  }
  std::string order = Take();
  order += Take();
  order += Take();
  EXPECT_EQ(order, "bac");
}

// Breaks: a long requeue delays a short one that was asked for later (a certificate expires).
TEST_F(WorkQueueTest, KeepsTheEarlierOfTwoTimes) {
  queue_.AddAfter(Key("a"), seconds(10));
  queue_.AddAfter(Key("a"), seconds(5));
  queue_.AddAfter(Key("a"), seconds(20));
  EXPECT_EQ(queue_.delayed(), 1U);
  services_.clock.Advance(seconds(5));
  EXPECT_EQ(Take(), "a");
  queue_.Done(Key("a"));
  EXPECT_EQ(queue_.delayed(), 0U);
}

// Breaks: a broken object is retried in a busy loop, or a healed one waits a quarter of an hour.
TEST_F(WorkQueueTest, BacksOffPerKeyUntilForget) {
  EXPECT_EQ(queue_.AddRateLimited(Key("a")), milliseconds(5));
  EXPECT_EQ(queue_.AddRateLimited(Key("a")), milliseconds(10));
  EXPECT_EQ(queue_.AddRateLimited(Key("b")), milliseconds(5));
  for (int i = 0; i < 30; ++i) {
    services_.clock.Advance(seconds(1));
    queue_.AddRateLimited(Key("a"));
  }
  EXPECT_EQ(queue_.AddRateLimited(Key("a")), seconds(1000));
  EXPECT_EQ(queue_.Retries(Key("a")), 33);
  queue_.Forget(Key("a"));
  EXPECT_EQ(queue_.AddRateLimited(Key("a")), milliseconds(5));
}

// Breaks: ten thousand objects that fail together (API server back after an outage) come back
// together.
TEST_F(WorkQueueTest, LimitsAllRetriesTogether) {
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(queue_.AddRateLimited(Key(std::to_string(i))), milliseconds(5));
  }
  EXPECT_EQ(queue_.AddRateLimited(Key("x")), milliseconds(100));
  EXPECT_EQ(queue_.AddRateLimited(Key("y")), milliseconds(200));
  services_.clock.Advance(seconds(60));
  EXPECT_EQ(queue_.AddRateLimited(Key("z")), milliseconds(5));
}

// Breaks: a worker sleeps past the time of a delayed key, or past one that was added meanwhile.
TEST_F(WorkQueueTest, WakesForTheEarliestKey) {
  std::atomic<int> got{0};
  std::jthread worker([&](const std::stop_token& stop) {
    while (const auto key = queue_.Get(services_.Ctx(stop))) {
      ++got;
      queue_.Done(*key);
    }
  });
  services_.clock.WaitForSleepers(1);
  queue_.AddAfter(Key("a"), seconds(30));
  EXPECT_TRUE(Eventually([&] { return queue_.delayed() == 1; }));
  EXPECT_EQ(got, 0);
  queue_.Add(Key("b"));
  EXPECT_TRUE(Eventually([&] { return got == 1; }));
  services_.clock.Advance(seconds(30));
  EXPECT_TRUE(Eventually([&] { return got == 2; }));
}

// Breaks: the operator does not end when it is told to, and is killed with its lease held.
TEST_F(WorkQueueTest, StopAndCloseWakeAWaitingGet) {
  std::jthread stopped(
      [&](const std::stop_token& stop) { EXPECT_FALSE(queue_.Get(services_.Ctx(stop))); });
  std::jthread closed([&] { EXPECT_FALSE(queue_.Get(services_.Ctx())); });
  services_.clock.WaitForSleepers(2);
  EXPECT_LT(Took([&] {
              stopped.request_stop();
              stopped.join();
            }),
            kPromptly);
  EXPECT_LT(Took([&] {
              queue_.Close();
              closed.join();
            }),
            kPromptly);
  queue_.Add(Key("late"));
  EXPECT_EQ(queue_.depth(), 0U);
}

// Breaks: shutdown reports "idle" while a reconcile still writes.
TEST_F(WorkQueueTest, WaitIdleWaitsForTheKeysInHand) {
  queue_.Add(Key("a"));
  EXPECT_EQ(Take(), "a");
  EXPECT_FALSE(queue_.WaitIdle(services_.Ctx().WithTimeout(seconds(0))));
  std::jthread waiter([&] { EXPECT_TRUE(queue_.WaitIdle(services_.Ctx())); });
  services_.clock.WaitForSleepers(1);
  queue_.Done(Key("a"));
}

// Breaks: the alert "queue is stuck" never fires.
TEST_F(WorkQueueTest, TellsTheAgeOfTheOldestKey) {
  queue_.Add(Key("a"));
  services_.clock.Advance(seconds(7));
  queue_.Add(Key("b"));
  EXPECT_EQ(queue_.OldestAge(), seconds(7));
  EXPECT_EQ(Take(), "a");
  EXPECT_EQ(queue_.OldestAge(), seconds(0));
}

/// The rules of the queue in the simplest possible form.
struct Model {
  std::vector<std::string> ready{};
  std::set<std::string> again{}, processing{};
  std::map<std::string, SteadyTime> due{};

  void Add(const std::string& key) {
    if (processing.contains(key)) {
      again.insert(key);
    } else if (std::find(ready.begin(), ready.end(), key) == ready.end()) {
      ready.push_back(key);
    }
  }

  void MoveDue(SteadyTime now) {
    std::vector<std::pair<SteadyTime, std::string>> order;
    for (const auto& [key, time] : due) {
      if (time <= now) {
        order.emplace_back(time, key);
      }
    }
    std::sort(order.begin(), order.end());
    for (const auto& [time, key] : order) {
      due.erase(key);
      Add(key);
    }
  }
};

// Breaks: any of the above, in an order of operations that nobody thought of.
TEST(WorkQueueModelTest, AgreesWithTheModelUnderRandomOperations) {
  for (unsigned seed = 1; seed <= 50; ++seed) {
    std::mt19937 random(seed);
    TestServices services;
    WorkQueue queue(services.clock);
    Model model;
    for (int step = 0; step < 600; ++step) {
      const std::string name(1, static_cast<char>('a' + random() % 6));
      const SteadyTime now = services.clock.SteadyNow();
      switch (random() % 5) {
        case 0:
          queue.Add(Key(name));
          model.Add(name);
          break;
        case 1: {
          const seconds delay(1 + random() % 5);
          queue.AddAfter(Key(name), delay);
          const auto [it, inserted] = model.due.try_emplace(name, now + delay);
          it->second = std::min(it->second, now + delay);
          break;
        }
        case 2:
          services.clock.Advance(seconds(random() % 3));
          break;
        case 3: {
          Model next = model;
          next.MoveDue(now);
          if (!next.ready.empty()) {  // else Get would block
            model = std::move(next);
            const auto got = queue.Get(services.Ctx());
            ASSERT_TRUE(got);
            ASSERT_EQ(got->name, model.ready.front()) << "seed " << seed << " step " << step;
            model.processing.insert(model.ready.front());
            model.ready.erase(model.ready.begin());
          }
          break;
        }
        default:
          if (!model.processing.empty()) {
            const std::string key = *model.processing.begin();
            queue.Done(Key(key));
            model.processing.erase(key);
            if (model.again.erase(key) != 0) {
              model.Add(key);
            }
          }
      }
      ASSERT_EQ(queue.processing(), model.processing.size()) << "seed " << seed << " step " << step;
    }
  }
}

// Breaks: two workers hold one key, or the last change of an object is never looked at.
TEST(WorkQueueThreadsTest, NeverGivesOneKeyToTwoHandsAndLosesNothing) {
  constexpr int kKeys = 5;
  constexpr int kAdds = 2000;
  WorkQueue queue(RealClock());
  std::atomic<int> holders[kKeys] = {};
  std::atomic<int> written[kKeys] = {};
  std::atomic<int> seen[kKeys] = {};
  std::atomic<bool> shared{false};
  {
    std::vector<std::jthread> workers;
    for (int i = 0; i < 4; ++i) {
      workers.emplace_back([&](const std::stop_token& stop) {
        while (const auto key = queue.Get(Context(stop))) {
          const auto n = static_cast<std::size_t>(std::stoi(key->name));
          shared = shared || ++holders[n] != 1;
          seen[n] = written[n].load();
          --holders[n];
          queue.Done(*key);
        }
      });
    }
    {
      std::vector<std::jthread> writers;
      for (unsigned i = 0; i < 2; ++i) {
        writers.emplace_back([&, i] {
          std::mt19937 random(i);
          for (int step = 0; step < kAdds; ++step) {
            const std::size_t n = random() % kKeys;
            ++written[n];
            queue.Add(Key(std::to_string(n)));
          }
        });
      }
    }
    EXPECT_TRUE(Eventually([&] {
      return std::equal(std::begin(seen), std::end(seen), std::begin(written),
                        [](const auto& a, const auto& b) { return a.load() == b.load(); });
    }));
  }
  EXPECT_FALSE(shared);
}

}  // namespace
}  // namespace breakwater::runtime
