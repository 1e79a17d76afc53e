#include "operator/kube/lease.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "operator/testing/fake_clock.h"
#include "operator/testing/fake_kube.h"

namespace breakwater::kube {
namespace {

using namespace std::chrono_literals;  // NOLINT(google-build-using-namespace): literals only

const ResourceInfo kLeases{.group = "coordination.k8s.io", .kind = "Lease", .plural = "leases"};

class LeaseTest : public ::testing::Test {
 protected:
  const Context ctx_{std::stop_token()};
  testing::FakeKube kube_;
  LeaseClient lease_{kube_, {"ns", "leader"}};
};

TEST_F(LeaseTest, ReadsBackWhatItWrites) {
  const SystemTime now = testing::FakeClock::kStart + 5us;
  EXPECT_TRUE(lease_.Get(ctx_).error().IsNotFound());
  const auto created = lease_.Create(
      ctx_,
      {.holder = "a", .duration = 15s, .acquire_time = now, .renew_time = now, .transitions = 1});
  ASSERT_TRUE(created);
  const Lease read = lease_.Get(ctx_).value();
  EXPECT_EQ(read.holder, "a");
  EXPECT_EQ(read.duration, 15s);
  EXPECT_EQ(read.renew_time, now);
  EXPECT_EQ(read.transitions, 1);
  EXPECT_EQ(read.resource_version, created->resource_version);
}

// Two leaders at once would run two migrations of one volume.
TEST_F(LeaseTest, OnlyOneOfTwoWritersWins) {
  Lease mine = lease_.Create(ctx_, {.holder = "a", .duration = 15s}).value();
  Lease theirs = mine;
  theirs.holder = "b";
  ASSERT_TRUE(lease_.Update(ctx_, theirs));
  mine.renew_time = testing::FakeClock::kStart;
  const auto late = lease_.Update(ctx_, mine);
  ASSERT_FALSE(late);
  EXPECT_TRUE(late.error().IsConflict());
  EXPECT_EQ(lease_.Get(ctx_)->holder, "b");
  EXPECT_TRUE(lease_.Create(ctx_, {.holder = "c"}).error().IsConflict());
}

// A released lease must be valid to the API, or a clean stop would leave the lease held.
TEST_F(LeaseTest, ReleasesWithAValidDuration) {
  Lease lease = lease_.Create(ctx_, {.holder = "a", .duration = 15s}).value();
  lease.holder.clear();
  lease.duration = 0s;
  ASSERT_TRUE(lease_.Update(ctx_, lease));
  EXPECT_EQ(lease_.Get(ctx_)->duration, 1s);
}

// Labels set by an admin or by another tool stay.
TEST_F(LeaseTest, KeepsForeignMetadataAndSurvivesRubbish) {
  kube_.Put(kLeases, Json::parse(R"({"metadata": {"name": "leader", "namespace": "ns",
      "labels": {"a": "b"}}, "spec": {"holderIdentity": 5, "renewTime": "yesterday"}})"));
  Lease lease = lease_.Get(ctx_).value();
  EXPECT_EQ(lease.holder, "");
  EXPECT_FALSE(lease.renew_time);
  lease.holder = "a";
  ASSERT_TRUE(lease_.Update(ctx_, lease));
  EXPECT_EQ(kube_.Find(kLeases, {"ns", "leader"}).value()["metadata"]["labels"]["a"], "b");
}

}  // namespace
}  // namespace breakwater::kube
