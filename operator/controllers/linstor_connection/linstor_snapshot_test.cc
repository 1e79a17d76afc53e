#include "operator/controllers/linstor_connection/linstor_snapshot.h"

#include <latch>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "operator/testing/fake_clock.h"
#include "operator/testing/fake_linstor.h"

namespace breakwater::controllers {
namespace {

using breakwater::testing::FakeClock;
using breakwater::testing::FakeLinstor;
using ::testing::HasSubstr;

class OneLinstor final : public LinstorProvider {
 public:
  Result<std::shared_ptr<linstor::Client>, Error> ClientFor(const std::string& cluster) override {
    (void)cluster;
    return std::shared_ptr<linstor::Client>(client);
  }

  std::shared_ptr<FakeLinstor> client = std::make_shared<FakeLinstor>();
};

class LinstorSnapshotsTest : public ::testing::Test {
 protected:
  LinstorSnapshotsTest() {
    fake().With([](FakeLinstor::State& state) {
      state.nodes["a"] = {.name = "a", .connection_status = "ONLINE"};
      state.nodes["b"] = {.name = "b", .connection_status = "OFFLINE"};
      state.pools[{"a", "p"}] = {
          .name = "p", .node = "a", .provider_kind = "LVM", .free_kib = 1, .total_kib = 4};
      state.pools[{"a", "d"}] = {.name = "d", .node = "a", .provider_kind = "DISKLESS"};
      state.pools[{"b", "p"}] = {.name = "p", .node = "b", .provider_kind = "LVM"};
      state.resources = {
          {.name = "r1", .node = "a"}, {.name = "r1", .node = "b"}, {.name = "r2", .node = "a"}};
      state.snapshots = {{.name = "s", .resource = "r1", .nodes = {"a", "b"}}};
      return 0;
    });
  }

  FakeLinstor& fake() { return *provider_.client; }

  Result<LinstorSnapshotPtr, Error> Get(std::chrono::milliseconds max_age = kMinute) {
    return snapshots_.Get(ctx_, "c", max_age);
  }

  std::string Failure() {
    const auto snapshot = Get();
    return snapshot ? "none" : snapshot.error().message;
  }

  static constexpr std::chrono::minutes kMinute{1};
  FakeClock clock_;
  std::stop_source stop_;
  Context ctx_{stop_.get_token(), clock_};
  OneLinstor provider_;
  LinstorSnapshots snapshots_{provider_};
};

// These numbers are what `kubectl get` shows.
TEST_F(LinstorSnapshotsTest, CountsPerNodeAndForAll) {
  const auto snapshot = Get();
  ASSERT_TRUE(snapshot);
  const LinstorUsage all = (*snapshot)->UsageOf("");
  EXPECT_EQ(all.total_bytes, 4096);
  EXPECT_EQ(all.free_bytes, 1024);
  EXPECT_EQ(all.volumes, 2);
  EXPECT_EQ(all.snapshots, 1);
  const LinstorUsage a = (*snapshot)->UsageOf("a");
  EXPECT_EQ(a.volumes, 2);
  EXPECT_EQ(a.snapshots, 1);
  EXPECT_EQ((*snapshot)->UsageOf("b").total_bytes, 0);
  EXPECT_FALSE((*snapshot)->Find("c"));
}

// A hundred satellites must not cost a hundred times the lists.
TEST_F(LinstorSnapshotsTest, ManyCallersReadOnce) {
  std::latch entered(1);
  std::latch go(1);
  std::atomic<bool> first = true;
  fake().OnCall([&](const Context&) {
    if (first.exchange(false)) {
      entered.count_down();
      go.wait();
    }
  });
  std::vector<std::jthread> callers;
  callers.emplace_back([&] { EXPECT_TRUE(Get()); });
  entered.wait();
  for (int i = 0; i < 4; ++i) {
    callers.emplace_back([&] { EXPECT_TRUE(Get()); });
  }
  go.count_down();
  callers.clear();
  EXPECT_EQ(fake().calls(), 5U);
  clock_.Advance(std::chrono::seconds(59));
  EXPECT_TRUE(Get());
  EXPECT_EQ(fake().calls(), 5U);
  clock_.Advance(std::chrono::seconds(1));
  EXPECT_TRUE(Get());
  EXPECT_EQ(fake().calls(), 10U);
}

// Every caller that asks a hanging LINSTOR loses a worker for the length of a timeout.
TEST_F(LinstorSnapshotsTest, WhoDoesNotAnswerIsLeftAloneAndThenAskedByOne) {
  ASSERT_TRUE(Get());
  fake().SetDown(true);
  clock_.Advance(kMinute);
  EXPECT_THAT(Failure(), HasSubstr("connection refused"));
  EXPECT_FALSE(snapshots_.Reachable("c"));
  EXPECT_FALSE(snapshots_.Last("c")) << "what was known must not be shown as if all were well";
  const std::size_t calls = fake().calls();
  clock_.Advance(std::chrono::seconds(9));
  EXPECT_THAT(Failure(), HasSubstr("connection refused"));
  EXPECT_EQ(fake().calls(), calls);

  clock_.Advance(std::chrono::seconds(1));
  std::latch entered(1);
  std::latch go(1);
  fake().OnCall([&](const Context&) {
    entered.count_down();
    go.wait();
  });
  {
    const std::jthread probe([&] { EXPECT_THAT(Failure(), HasSubstr("connection refused")); });
    entered.wait();
    EXPECT_THAT(Failure(), HasSubstr("connection refused")) << "at once, while another one waits";
    go.count_down();
  }
  fake().OnCall({});
  fake().SetDown(false);
  clock_.Advance(std::chrono::seconds(10));
  EXPECT_TRUE(Get());
  EXPECT_TRUE(snapshots_.Reachable("c"));
}

// What was just written must not be written again because a list was read before.
TEST_F(LinstorSnapshotsTest, WritesShowAtOnceAlsoInAListThatIsBeingRead) {
  ASSERT_TRUE(Get());
  LinstorNodeFacts facts = *(*Get())->Find("b");
  facts.node.connection_status = "ONLINE";
  snapshots_.Update("c", facts);
  EXPECT_TRUE((*Get())->Find("b")->node.online());

  fake().OnCall([&](const Context&) { snapshots_.Update("c", facts); });
  clock_.Advance(kMinute);
  ASSERT_TRUE(Get());
  EXPECT_TRUE((*Get())->Find("b")->node.online());

  fake().OnCall({});
  snapshots_.Invalidate("c");
  EXPECT_FALSE((*Get())->Find("b")->node.online());
}

// Another address: what the old controller said, good or bad, is not to be believed.
TEST_F(LinstorSnapshotsTest, AnotherClientStartsAnew) {
  fake().SetDown(true);
  EXPECT_THAT(Failure(), HasSubstr("connection refused"));
  provider_.client = std::make_shared<FakeLinstor>();
  ASSERT_TRUE(Get());
  EXPECT_FALSE((*Get())->Find("a"));
}

// A stop is no word about LINSTOR.
TEST_F(LinstorSnapshotsTest, AStopIsNotRemembered) {
  stop_.request_stop();
  EXPECT_FALSE(Get());
  EXPECT_TRUE(snapshots_.Reachable("c"));
}

}  // namespace
}  // namespace breakwater::controllers
