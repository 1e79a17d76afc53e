#include "operator/runtime/controller.h"

#include <atomic>
#include <functional>
#include <mutex>
#include <stdexcept>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "operator/runtime/test_support.h"

namespace breakwater::runtime {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

class FakeReconciler final : public Reconciler {
 public:
  using Fn = std::function<Result<Requeue, Error>(const Context&, const api::ObjectKey&)>;

  Result<Requeue, Error> Reconcile(const Context& ctx, const api::ObjectKey& key) override {
    Fn answer;
    {
      const std::lock_guard lock(mutex_);
      keys_.push_back(key.name);
      answer = answer_;
    }
    return answer ? answer(ctx, key) : Result<Requeue, Error>(Requeue{});
  }

  void Answer(Fn answer) {
    const std::lock_guard lock(mutex_);
    answer_ = std::move(answer);
  }

  void Fail(ErrorClass error_class) {
    Answer([error_class](const Context&, const api::ObjectKey&) -> Result<Requeue, Error> {
      return Unexpected{Error{.error_class = error_class, .message = "broken"}};
    });
  }

  std::vector<std::string> keys() const {
    const std::lock_guard lock(mutex_);
    return keys_;
  }

  std::size_t count() const { return keys().size(); }

 private:
  mutable std::mutex mutex_;
  std::vector<std::string> keys_;
  Fn answer_;
};

class ControllerTest : public ::testing::Test {
 protected:
  ControllerTest() { Make({}); }

  ~ControllerTest() override { controller_.reset(); }

  void Make(ControllerOptions options) {
    options.name = "test";
    options.workers = 1;
    controller_ = std::make_unique<Controller>(services_, options, reconciler_);
  }

  bool WaitForCount(std::size_t count) {
    return Eventually([&] { return reconciler_.count() >= count; });
  }

  /// Waits until the only worker waits for a key again.
  void WaitIdle() {
    ASSERT_TRUE(Eventually([&] {
      return controller_->queue().depth() == 0 && controller_->queue().processing() == 0;
    }));
    services_.clock.WaitForSleepers(1);
  }

  double Total(const std::string& result) {
    return services_.metrics
        .Counter("breakwater_reconcile_total", "", {{"controller", "test"}, {"result", result}})
        .Value();
  }

  TestServices services_;
  FakeReconciler reconciler_;
  Store store_{ConfigMaps(), services_.clock};
  Store owners_{ConfigMaps(), services_.clock};
  std::unique_ptr<Controller> controller_;
};

// Breaks: the first reconcile sees an empty cluster and deletes what the owner still wants.
TEST_F(ControllerTest, DoesNotReconcileBeforeAllStoresAreSynced) {
  controller_->WatchSelf(store_).Needs(owners_);
  controller_->Start();
  store_.Replace({Item("a", "1")}, "1");
  services_.clock.WaitForSleepers(1);
  EXPECT_EQ(reconciler_.count(), 0U);
  owners_.Replace({}, "1");
  EXPECT_TRUE(WaitForCount(1));
  EXPECT_EQ(reconciler_.keys(), std::vector<std::string>{"a"});
}

// Breaks: a changed DaemonSet is not put right, because nobody told its owner.
TEST_F(ControllerTest, ReconcilesTheOwnerOfAChangedObject) {
  api::Json owned = Item("child", "1");
  owned["metadata"]["ownerReferences"] = {{{"uid", "uid-parent"}, {"controller", true}}};
  owners_.Replace({Item("parent", "1")}, "1");
  store_.Replace({}, "1");
  controller_->WatchOwned(store_, owners_);
  controller_->Start();
  store_.Upsert(owned);
  EXPECT_TRUE(WaitForCount(1));
  WaitIdle();
  store_.Remove(owned);
  EXPECT_TRUE(WaitForCount(2));
  EXPECT_EQ(reconciler_.keys(), (std::vector<std::string>{"parent", "parent"}));
}

// Breaks: a new node gets no satellite, or every status write of ours makes another reconcile.
TEST_F(ControllerTest, MapsAndFiltersChanges) {
  store_.Replace({}, "1");
  controller_->WatchMapped(
      store_, [](const ChangeEvent& change) { return std::vector{Key("for-" + change.key.name)}; },
      [](const ChangeEvent& change) { return change.key.name != "boring"; });
  controller_->Start();
  store_.Upsert(Item("boring", "2"));
  store_.Upsert(Item("a", "3"));
  EXPECT_TRUE(WaitForCount(1));
  EXPECT_EQ(reconciler_.keys(), std::vector<std::string>{"for-a"});
}

// Breaks: on a standby the queue grows for days without bound, its metrics raise alarms, and all of
// it is worked off at the take-over.
TEST_F(ControllerTest, CollectsNothingBeforeItStarts) {
  store_.Replace({Item("a", "1"), Item("gone", "1")}, "1");
  controller_->WatchSelf(store_);
  store_.Upsert(Item("a", "2"));
  store_.Remove(Item("gone", "3"));
  EXPECT_EQ(controller_->queue().depth(), 0U);
  controller_->Start();
  EXPECT_TRUE(WaitForCount(1));
  WaitIdle();
  EXPECT_EQ(reconciler_.keys(), std::vector<std::string>{"a"});
}

// Breaks: a bug in one mapper stops the watch of a kind for all controllers.
TEST_F(ControllerTest, SurvivesAMapperThatThrows) {
  store_.Replace({}, "1");
  controller_->WatchMapped(store_, [](const ChangeEvent& change) -> std::vector<api::ObjectKey> {
    if (change.key.name == "bad") {
      throw std::runtime_error("bug");
    }
    return {change.key};
  });
  controller_->Start();
  store_.Upsert(Item("bad", "2"));
  store_.Upsert(Item("good", "3"));
  EXPECT_TRUE(WaitForCount(1));
  EXPECT_EQ(reconciler_.keys(), std::vector<std::string>{"good"});
}

// Breaks: the operator crashes in a loop because of one strange object.
TEST_F(ControllerTest, APanicIsCountedAndRetried) {
  reconciler_.Answer([](const Context&, const api::ObjectKey&) -> Result<Requeue, Error> {
    throw std::runtime_error("bug");
  });
  controller_->Start();
  controller_->Enqueue(Key("a"));
  EXPECT_TRUE(WaitForCount(1));
  WaitIdle();
  EXPECT_EQ(
      services_.metrics.Counter("breakwater_panics_total", "", {{"where", "controller"}}).Value(),
      1);
  reconciler_.Answer({});
  services_.clock.Advance(milliseconds(5));
  EXPECT_TRUE(WaitForCount(2));
  WaitIdle();
  EXPECT_EQ(Total("success"), 1);
  EXPECT_EQ(controller_->queue().Retries(Key("a")), 0);
}

// Breaks: a conflict waits for minutes, or an object that a person must mend is hammered.
TEST_F(ControllerTest, RetriesByErrorClass) {
  const struct {
    ErrorClass error_class;
    std::chrono::nanoseconds delay;
  } kCases[] = {{ErrorClass::kConflict, milliseconds(5)}, {ErrorClass::kTransient, milliseconds(5)},
                {ErrorClass::kNotFound, milliseconds(5)}, {ErrorClass::kThrottled, seconds(1)},
                {ErrorClass::kInvalid, minutes(5)},       {ErrorClass::kForbidden, minutes(5)}};

  controller_->Start();
  for (const auto& [error_class, delay] : kCases) {
    const std::string name(ToString(error_class));
    const std::size_t before = reconciler_.count();
    reconciler_.Fail(error_class);
    controller_->Enqueue(Key(name));
    ASSERT_TRUE(WaitForCount(before + 1));
    WaitIdle();
    EXPECT_EQ(Total(name), 1) << name;
    reconciler_.Answer({});
    services_.clock.Advance(delay - std::chrono::nanoseconds(1));
    EXPECT_EQ(controller_->queue().delayed(), 1U) << name;
    services_.clock.Advance(std::chrono::nanoseconds(1));
    ASSERT_TRUE(WaitForCount(before + 2)) << name;
    WaitIdle();
  }
}

// Breaks: an error that no retry can help costs a request every few minutes for ever.
TEST_F(ControllerTest, TerminalAndCanceledAreNotRetried) {
  controller_->Start();
  reconciler_.Fail(ErrorClass::kTerminal);
  controller_->Enqueue(Key("a"));
  EXPECT_TRUE(WaitForCount(1));
  WaitIdle();
  EXPECT_EQ(controller_->queue().delayed(), 0U);
  EXPECT_EQ(Total("terminal"), 1);
}

// Breaks: an API server that asks for patience is asked again at once.
TEST_F(ControllerTest, HonoursRetryAfter) {
  reconciler_.Answer([](const Context&, const api::ObjectKey&) -> Result<Requeue, Error> {
    return Unexpected{Error{.error_class = ErrorClass::kThrottled, .retry_after = seconds(30)}};
  });
  controller_->Start();
  controller_->Enqueue(Key("a"));
  EXPECT_TRUE(WaitForCount(1));
  WaitIdle();
  services_.clock.Advance(seconds(29));
  EXPECT_EQ(controller_->queue().delayed(), 1U);
  services_.clock.Advance(seconds(1));
  EXPECT_TRUE(WaitForCount(2));
}

// Breaks: a rollout that waits for a pod is never looked at again.
TEST_F(ControllerTest, RequeuesAfterTheAskedTime) {
  reconciler_.Answer([](const Context&, const api::ObjectKey&) -> Result<Requeue, Error> {
    return Requeue{.after = seconds(10)};
  });
  controller_->Start();
  controller_->Enqueue(Key("a"));
  EXPECT_TRUE(WaitForCount(1));
  WaitIdle();
  services_.clock.Advance(seconds(10));
  EXPECT_TRUE(WaitForCount(2));
  EXPECT_GE(Total("requeue"), 1);
}

// Breaks: one hanging LINSTOR call takes a worker away for ever, without a retry.
TEST_F(ControllerTest, ADeadlineIsATransientError) {
  Make({.reconcile_deadline = seconds(20)});
  reconciler_.Answer([](const Context& ctx, const api::ObjectKey&) -> Result<Requeue, Error> {
    ctx.SleepFor(minutes(10));
    return Unexpected{Error{.error_class = ErrorClass::kCanceled, .message = "gave up"}};
  });
  controller_->Start();
  controller_->Enqueue(Key("a"));
  EXPECT_TRUE(WaitForCount(1));
  services_.clock.WaitForSleepers(1);
  services_.clock.Advance(seconds(20));
  EXPECT_TRUE(Eventually([&] { return Total("transient") == 1; }));
}

// Breaks: /livez stays green although all workers hang.
TEST_F(ControllerTest, AHangingWorkerFailsLiveness) {
  reconciler_.Answer([](const Context& ctx, const api::ObjectKey&) -> Result<Requeue, Error> {
    ctx.clock().SleepFor(ctx.stop(), std::chrono::hours(5));  // ignores the deadline
    return Requeue{};
  });
  controller_->Start();
  services_.clock.WaitForSleepers(1);
  services_.clock.Advance(std::chrono::hours(1));
  EXPECT_TRUE(services_.health.Live().ok) << "idle is healthy";
  controller_->Enqueue(Key("a"));
  EXPECT_TRUE(WaitForCount(1));
  services_.clock.WaitForSleepers(1);
  services_.clock.Advance(minutes(4));
  EXPECT_FALSE(services_.health.Live().ok);
}

// Breaks: drift that makes no event (a deleted LINSTOR property) is never found.
TEST_F(ControllerTest, ResyncsAllObjectsPeriodically) {
  Make({.resync = minutes(10)});
  store_.Replace({Item("a", "1"), Item("b", "1")}, "1");
  controller_->WatchSelf(store_);
  controller_->Start();
  EXPECT_TRUE(WaitForCount(2));
  services_.clock.WaitForSleepers(2);
  services_.clock.Advance(minutes(10));
  EXPECT_TRUE(WaitForCount(4));
}

// Breaks: the log says nothing about a failure, or says it three times.
TEST_F(ControllerTest, LogsAnErrorOnceWithItsReconcileId) {
  std::mutex mutex;
  std::vector<std::string> lines;
  services_.log = Logger(
      [&](std::string_view line) {
        const std::lock_guard lock(mutex);
        lines.emplace_back(line);
      },
      LogLevel::kInfo, services_.clock);
  Make({});
  reconciler_.Fail(ErrorClass::kInvalid);
  controller_->Start();
  controller_->Enqueue(Key("a"));
  EXPECT_TRUE(WaitForCount(1));
  WaitIdle();
  controller_->Stop();
  ASSERT_EQ(lines.size(), 1U);
  for (const char* part : {R"("controller":"test")", R"("name":"a")", R"("reconcile_id":"1")",
                           R"("error_class":"invalid")", R"("error":"broken")", R"("attempt":1)"}) {
    EXPECT_NE(lines[0].find(part), std::string::npos) << part << " in " << lines[0];
  }
}

// Breaks: the operator hangs at stop until it is killed.
TEST_F(ControllerTest, StopsPromptlyAtEveryAwaitPoint) {
  controller_->WatchSelf(store_);
  controller_->Start();  // waits for the store
  services_.clock.WaitForSleepers(1);
  EXPECT_LT(Took([&] { controller_->Stop(); }), kPromptly);

  Make({.resync = minutes(1)});
  controller_->Start();  // waits for a key, and for the resync
  services_.clock.WaitForSleepers(2);
  EXPECT_LT(Took([&] { controller_->Stop(); }), kPromptly);

  reconciler_.Answer([](const Context& ctx, const api::ObjectKey&) -> Result<Requeue, Error> {
    ctx.SleepFor(minutes(1));
    return Unexpected{Error{.error_class = ErrorClass::kCanceled}};
  });
  Make({});
  controller_->Start();  // reconciles
  controller_->Enqueue(Key("a"));
  EXPECT_TRUE(WaitForCount(1));
  services_.clock.WaitForSleepers(1);
  EXPECT_FALSE(controller_->WaitIdle(services_.Ctx().WithTimeout(seconds(0))));
  EXPECT_LT(Took([&] { controller_->Stop(); }), kPromptly);
  EXPECT_EQ(Total("canceled"), 1);
}

// Breaks: dashboards show "no data" instead of 0, and alerts on rates miss the first failure.
TEST_F(ControllerTest, MetricsExistAtZero) {
  const std::string text = services_.metrics.Serialize();
  for (const char* line : {R"(breakwater_reconcile_total{controller="test",result="success"} 0)",
                           R"(breakwater_reconcile_total{controller="test",result="forbidden"} 0)",
                           R"(breakwater_queue_depth{controller="test"} 0)",
                           R"(breakwater_queue_oldest_seconds{controller="test"} 0)",
                           R"(breakwater_reconcile_seconds_count{controller="test"} 0)"}) {
    EXPECT_NE(text.find(line), std::string::npos) << line << "\n" << text;
  }
}

}  // namespace
}  // namespace breakwater::runtime
