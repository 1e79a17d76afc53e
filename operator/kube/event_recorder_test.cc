#include "operator/kube/event_recorder.h"

#include <atomic>
#include <latch>

#include <gtest/gtest.h>

#include "operator/testing/fake_clock.h"
#include "operator/testing/fake_kube.h"

namespace breakwater::kube {
namespace {

using namespace std::chrono_literals;  // NOLINT(google-build-using-namespace): literals only

const ResourceInfo kEvents{.group = "events.k8s.io", .kind = "Event", .plural = "events"};
const SystemTime kNow = testing::FakeClock::kStart;

EventTime At(std::chrono::nanoseconds since) {
  return {SteadyTime(std::chrono::hours(5)) + since, kNow + since};
}

Event Sample(std::string note = "note") {
  return {.regarding = {.api_version = "v1", .kind = "Pod", .ns = "n", .name = "p", .uid = "u"},
          .action = "Migrate",
          .reason = "Started",
          .note = std::move(note)};
}

// `kubectl describe` shows these fields; the API refuses an event without eventTime or reporter.
TEST(EventAggregatorTest, FirstIsAnEvent) {
  EventAggregator aggregator("c", "i");
  const auto write = aggregator.Add(Sample(), At(0s));
  ASSERT_TRUE(write);
  EXPECT_FALSE(write->update);
  EXPECT_EQ(write->key.ns, "n");
  EXPECT_EQ(write->key.name.substr(0, 2), "p.");
  EXPECT_EQ(write->object["eventTime"], "2026-01-01T00:00:00.000000Z");
  EXPECT_EQ(write->object["reportingController"], "c");
  EXPECT_EQ(write->object["regarding"]["uid"], "u");
  EXPECT_EQ(write->object["type"], "Normal");
  EXPECT_FALSE(write->object.contains("series"));
  EXPECT_FALSE(aggregator.NextDue());
}

// A reconcile that fails every second must not write an event every second.
TEST(EventAggregatorTest, RepetitionsAreCountedAndWrittenSeldom) {
  EventAggregator aggregator("c", "i");
  const ObjectKey key = aggregator.Add(Sample(), At(0s))->key;
  EXPECT_FALSE(aggregator.Add(Sample(), At(1s)));
  EXPECT_FALSE(aggregator.Add(Sample(), At(2s)));
  EXPECT_EQ(aggregator.NextDue(), At(30s).steady);
  EXPECT_TRUE(aggregator.Due(At(29s).steady).empty());
  const auto due = aggregator.Due(At(30s).steady);
  ASSERT_EQ(due.size(), 1U);
  EXPECT_TRUE(due[0].update);
  EXPECT_EQ(due[0].key, key);
  EXPECT_EQ(due[0].object["series"]["count"], 3);
  EXPECT_EQ(due[0].object["series"]["lastObservedTime"], "2026-01-01T00:00:02.000000Z");
  EXPECT_FALSE(aggregator.NextDue());
}

// Progress ("3 of 9", "4 of 9") must stay visible.
TEST(EventAggregatorTest, ANewNoteLaterIsAnEventOfItsOwn) {
  EventAggregator aggregator("c", "i");
  const ObjectKey key = aggregator.Add(Sample("a"), At(0s))->key;
  const auto write = aggregator.Add(Sample("b"), At(30s));
  ASSERT_TRUE(write);
  EXPECT_FALSE(write->update);
  EXPECT_NE(write->key, key);
}

// A note that came too early must not be lost, also when nothing follows it or many do.
TEST(EventAggregatorTest, TheNewestNoteIsWrittenWhenItIsDue) {
  EventAggregator aggregator("c", "i");
  const ObjectKey key = aggregator.Add(Sample("a"), At(0s))->key;
  EXPECT_FALSE(aggregator.Add(Sample("b"), At(10s)));
  EXPECT_FALSE(aggregator.Add(Sample("c"), At(20s)));
  const auto due = aggregator.Due(At(30s).steady);
  ASSERT_EQ(due.size(), 1U);
  EXPECT_FALSE(due[0].update);
  EXPECT_NE(due[0].key, key);
  EXPECT_EQ(due[0].object["note"], "c");
  EXPECT_FALSE(aggregator.NextDue());
}

// Two volumes in trouble: the second must not be swallowed as a repetition of the first.
TEST(EventAggregatorTest, PartsOfAnObjectHaveSeriesOfTheirOwn) {
  EventAggregator aggregator("c", "i");
  Event first = Sample("volume a is stale");
  first.part = "a";
  Event second = Sample("volume b is stale");
  second.part = "b";
  ASSERT_TRUE(aggregator.Add(first, At(0s)));
  const auto write = aggregator.Add(second, At(3s));
  ASSERT_TRUE(write);
  EXPECT_EQ(write->object["note"], "volume b is stale");
}

TEST(EventAggregatorTest, ASeriesEndsAfterSilence) {
  EventAggregator aggregator("c", "i");
  aggregator.Add(Sample(), At(0s));
  const auto write = aggregator.Add(Sample(), At(6min));
  ASSERT_TRUE(write);
  EXPECT_FALSE(write->update);
}

// The API refuses longer fields, and the event would be lost.
TEST(EventAggregatorTest, CutsToTheLimitsOfTheApi) {
  EventAggregator aggregator("c", "i");
  Event event = Sample("x" + std::string(1022, 'y') + "ü");
  event.reason = std::string(200, 'r');
  event.regarding.name = std::string(253, 'n');
  event.regarding.ns = "";
  const auto write = aggregator.Add(event, At(0s));
  ASSERT_TRUE(write);
  EXPECT_EQ(write->object["note"].get<std::string>().size(), 1023U);
  EXPECT_EQ(write->object["reason"].get<std::string>().size(), 128U);
  EXPECT_LE(write->key.name.size(), 253U);
  EXPECT_EQ(write->key.ns, "default");
}

TEST(EventAggregatorTest, MemoryIsBounded) {
  EventAggregator aggregator("c", "i");
  for (int i = 0; i < 5000; ++i) {
    Event event = Sample();
    event.reason = std::to_string(i);
    EXPECT_TRUE(aggregator.Add(event, At(std::chrono::milliseconds(i))));
  }
  Event oldest = Sample();
  oldest.reason = "0";
  EXPECT_FALSE(aggregator.Add(oldest, At(6s))->update);
}

// Breaks: after the clock of a node was set back, repeated warnings are not shown for hours.
TEST(EventAggregatorTest, AWallClockSetBackDoesNotSilenceASeries) {
  EventAggregator aggregator("c", "i");
  (void)aggregator.Add(Sample(), At(0s));
  const EventTime later{At(31s).steady, kNow - 2h};
  EXPECT_TRUE(aggregator.Add(Sample(), later));
}

class EventRecorderTest : public ::testing::Test {
 protected:
  const Context ctx_ = Context(std::stop_token()).WithTimeout(10s);
  testing::FakeKube kube_;
};

TEST_F(EventRecorderTest, WritesInTheBackground) {
  KubeEventRecorder recorder(kube_, RealClock(), Logger::Null(), {});
  const api::Object pod(Json::parse(R"({"kind":"Pod","metadata":{"name":"p","namespace":"n"}})"));
  recorder.Record({.regarding = RefOf(pod),
                   .action = "Migrate",
                   .reason = "Failed",
                   .note = "why",
                   .warning = true});
  ASSERT_TRUE(recorder.Flush(ctx_));
  const auto events = kube_.All(kEvents);
  ASSERT_EQ(events.size(), 1U);
  EXPECT_EQ(events[0]["note"], "why");
  EXPECT_EQ(events[0]["type"], "Warning");
}

// Events are for people; an API server that is away must never stop a controller or fill its
// memory.
TEST_F(EventRecorderTest, NeverBlocksAndCountsWhatItDrops) {
  std::latch reached(1);
  std::latch release(1);
  std::atomic<int> told{0};
  kube_.on_call([&](const testing::FakeKube::Call&) -> std::optional<testing::FakeKube::Fault> {
    reached.count_down();
    release.wait();
    return std::nullopt;
  });
  KubeEventRecorder recorder(kube_, RealClock(), Logger::Null(),
                             {.max_queued = 1, .on_dropped = [&] { ++told; }});
  recorder.Record(Sample());
  reached.wait();
  kube_.on_call(nullptr);
  recorder.Record(Sample("queued"));
  recorder.Record(Sample("dropped"));
  EXPECT_EQ(recorder.dropped(), 1U);
  EXPECT_EQ(told, 1);
  release.count_down();
  EXPECT_TRUE(recorder.Flush(ctx_));
}

TEST_F(EventRecorderTest, FailedWritesAreCounted) {
  kube_.FailCall(1, Status{.code = 403});
  KubeEventRecorder recorder(kube_, RealClock(), Logger::Null(), {});
  recorder.Record(Sample());
  ASSERT_TRUE(recorder.Flush(ctx_));
  EXPECT_EQ(recorder.dropped(), 1U);
}

}  // namespace
}  // namespace breakwater::kube
