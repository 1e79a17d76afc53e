#include "operator/testing/fake_kube.h"

#include <thread>

#include <gtest/gtest.h>

#include "operator/api/object.h"

namespace breakwater::testing {
namespace {

using namespace std::chrono_literals;  // NOLINT(google-build-using-namespace): literals only

const ResourceInfo kMaps{.kind = "ConfigMap", .plural = "configmaps"};
const ResourceInfo kThings{
    .group = "example.com", .kind = "Thing", .plural = "things", .namespaced = false};

// Here: what only the fake can do. What it shares with a real server is in kube_contract_test.cc.
class FakeKubeTest : public ::testing::Test {
 protected:
  const Context ctx_ = Context(std::stop_token()).WithTimeout(5s);
  FakeKube kube_;
};

// "Fail each call once, still converge" tests rest on this.
TEST_F(FakeKubeTest, InjectsFaultsBeforeAndAfterTheEffect) {
  const KubeError lost(net::TransportError{net::TransportError::Kind::kReset, "lost"});
  const Json map = {{"kind", "ConfigMap"}, {"metadata", {{"name", "a"}}}};
  kube_.FailCall(1, lost);
  EXPECT_FALSE(kube_.Create(ctx_, kMaps, "n", map));
  EXPECT_FALSE(kube_.Find(kMaps, {"n", "a"}));
  kube_.FailCall(1, lost, /*after_effect=*/true);
  EXPECT_FALSE(kube_.Create(ctx_, kMaps, "n", map));
  EXPECT_TRUE(kube_.Find(kMaps, {"n", "a"}));
  kube_.on_call([&](const FakeKube::Call& call) -> std::optional<FakeKube::Fault> {
    return call.verb == "get" ? std::optional(FakeKube::Fault{lost}) : std::nullopt;
  });
  EXPECT_FALSE(kube_.Get(ctx_, kMaps, {"n", "a"}));
  EXPECT_EQ(kube_.write_count(), 2);
  EXPECT_EQ(kube_.calls().back().verb, "get");
}

TEST_F(FakeKubeTest, LettingATestPlayOtherActors) {
  kube_.Put(kThings, {{"metadata", {{"name", "t"}}}, {"status", {{"ready", true}}}});
  EXPECT_TRUE(kube_.Mutate(kThings, {"", "t"}, [](Json& thing) { thing["spec"]["a"] = 1; }));
  const api::Object thing(kube_.Find(kThings, {"", "t"}).value());
  EXPECT_EQ(thing.generation(), 2);
  EXPECT_EQ(thing.raw()["status"]["ready"], true);
  kube_.Remove(kThings, {"", "t"});
  EXPECT_TRUE(kube_.All(kThings).empty());
  EXPECT_FALSE(kube_.Mutate(kThings, {"", "t"}, [](Json&) {}));
}

TEST_F(FakeKubeTest, CollectsGarbageDownTheTree) {
  const Json owner = kube_.Put(kThings, {{"metadata", {{"name", "owner"}}}});
  const auto owned_by = [](const Json& o) {
    return Json::array({{{"uid", o["metadata"]["uid"]}, {"kind", "Thing"}, {"name", "x"}}});
  };
  const Json child = kube_.Put(
      kMaps,
      {{"metadata", {{"name", "c"}, {"namespace", "n"}, {"ownerReferences", owned_by(owner)}}}});
  kube_.Put(kMaps, {{"metadata",
                     {{"name", "g"}, {"namespace", "n"}, {"ownerReferences", owned_by(child)}}}});
  kube_.CollectGarbage();
  EXPECT_EQ(kube_.All(kMaps).size(), 2U);
  kube_.Remove(kThings, {"", "owner"});
  kube_.CollectGarbage();
  EXPECT_TRUE(kube_.All(kMaps).empty());
}

TEST_F(FakeKubeTest, CompactionMakesOldVersionsGone) {
  kube_.Put(kThings, {{"metadata", {{"name", "a"}}}});
  kube_.Put(kThings, {{"metadata", {{"name", "b"}}}});
  const auto page = kube_.List(ctx_, kThings, {.limit = 1});
  kube_.Compact();
  EXPECT_TRUE(kube_.List(ctx_, kThings, {.continue_token = page->continue_token}).error().IsGone());
  EXPECT_TRUE(
      kube_.Watch(ctx_, kThings, {.resource_version = page->resource_version}).error().IsGone());
  const auto now = kube_.List(ctx_, kThings, {});
  EXPECT_TRUE(kube_.Watch(ctx_, kThings, {.resource_version = now->resource_version}));
}

TEST_F(FakeKubeTest, WatchesEndAsAskedFor) {
  auto expired = kube_.Watch(ctx_, kThings, {}).value();
  kube_.SendBookmarks();
  EXPECT_EQ(expired->Next(ctx_).value()->type, kube::WatchEvent::Type::kBookmark);
  kube_.ExpireWatches();
  EXPECT_EQ(expired->Next(ctx_).value()->type, kube::WatchEvent::Type::kError);
  EXPECT_FALSE(expired->Next(ctx_).value().has_value());
  auto closed = kube_.Watch(ctx_, kThings, {}).value();
  EXPECT_EQ(kube_.open_watches(), 2);
  kube_.CloseWatches();
  EXPECT_FALSE(closed->Next(ctx_).value().has_value());
}

// A reflector's thread must end at once on stop.
TEST_F(FakeKubeTest, StopEndsAWaitingWatch) {
  std::stop_source stop;
  auto watch = kube_.Watch(ctx_, kThings, {}).value();
  std::thread stopper([&] { stop.request_stop(); });
  const auto event = watch->Next(Context(stop.get_token()));
  stopper.join();
  ASSERT_FALSE(event);
  EXPECT_TRUE(event.error().IsCanceled());
}

}  // namespace
}  // namespace breakwater::testing
