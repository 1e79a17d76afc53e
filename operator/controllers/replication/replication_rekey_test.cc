// New session keys (REVIEW-2 M8), on the whole stack with the real agents' Runner on simulated
// DRBD. What would break for a user: keys that are never renewed although he asked for it, or a
// cluster that cuts its connections again and again.

#include <algorithm>
#include <set>
#include <tuple>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "operator/controllers/replication/testing/volume_bed.h"

namespace breakwater::controllers {
namespace {

using api::Json;
using std::chrono::minutes;
using std::chrono::seconds;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::SizeIs;
using ::testing::StartsWith;

class RekeyTest : public ::testing::Test {
 protected:
  /// All encrypted; then every session that is there has carried 100 GiB.
  void Fill(VolumeBed& bed) {
    bed.SetClusterTls("yes");
    ASSERT_TRUE(bed.RunUntilPhase("Complete")) << bed.Dump();
    bed.hub().on_sockets = [this](replication::SocketTable* table) {
      for (replication::Socket& socket : table->sockets) {
        const auto key = std::tuple(socket.local_address, socket.local_port, socket.remote_address,
                                    socket.remote_port);
        if (learning_) {
          full_.insert(key);
        }
        socket.gib = full_.contains(key) ? 100 : 0;
      }
    };
    bed.RunFor(minutes(3));
    learning_ = false;
    bed.hub().asks.clear();
    bed.hub().on_ask = [this](const replication::TransactionRequest& request) {
      requests_.push_back(request);
    };
  }

  bool learning_ = true;
  std::set<std::tuple<std::string, int, std::string, int>> full_;
  std::vector<replication::TransactionRequest> requests_;
};

TEST_F(RekeyTest, EachConnectionIsReconnectedOnceAndOneAtATime) {
  VolumeBed bed({.resources = {"r0", "r1"}});
  Fill(bed);
  bed.SetClusterTls("yes", {{"rekey", {{"maxBytes", "101Gi"}}}});
  bed.RunFor(minutes(5));
  EXPECT_THAT(bed.hub().asks, SizeIs(0)) << "not so much yet";
  bed.SetClusterTls("yes", {{"rekey", {{"maxBytes", "100Gi"}}}});
  int down_at_most = 0;
  std::set<std::string> phases;
  const auto watch = [&] {
    const auto r0 = bed.Summary("r0");
    const auto r1 = bed.Summary("r1");
    down_at_most = std::max(down_at_most, 6 - r0.connected - r1.connected);
    phases.insert(bed.Status().value("phase", ""));
    return false;
  };
  (void)bed.RunUntil(watch, minutes(10));
  EXPECT_THAT(bed.hub().asks, SizeIs(6)) << bed.Dump();
  EXPECT_THAT(bed.hub().asks, Each(StartsWith("Lead "))) << "the far end keeps its value";
  for (const replication::TransactionRequest& request : requests_) {
    EXPECT_TRUE(request.rekey && request.tls && request.floor_tls) << "never over plaintext";
  }
  EXPECT_EQ(down_at_most, 1);
  EXPECT_THAT(phases, Each("Complete")) << "new keys are no migration";
  for (const char* name : {"r0", "r1"}) {
    const auto report = bed.Report(name);
    EXPECT_EQ(report.encrypted, 3);
    EXPECT_EQ(report.lost_writes + report.diverged_blocks + report.errors, 0U);
  }
  EXPECT_THAT(bed.metrics().Serialize(),
              AllOf(HasSubstr("breakwater_tls_session_bytes{connection=\"node1/node2\","
                              "resource=\"r0\"} 0"),
                    HasSubstr("breakwater_tls_session_start_time_seconds{")));
}

TEST_F(RekeyTest, NothingIsCutWithoutTheFieldOrWhilePaused) {
  VolumeBed bed;
  Fill(bed);
  bed.RunFor(minutes(10));
  bed.SetClusterTls("yes",
                    {{"rekey", {{"maxBytes", "1Gi"}}}, {"migration", {{"policy", "Paused"}}}});
  bed.RunFor(minutes(10));
  EXPECT_THAT(bed.hub().asks, SizeIs(0));
  EXPECT_THAT(bed.ConditionOf("ReplicationEncrypted").value("message", ""),
              HasSubstr("session keys of volume r0 are older than asked for (paused)"));
}

// A certificate that is gone would keep the connection down. Nobody has said that it is: the files
// are looked at once a day, and before keys are renewed.
TEST_F(RekeyTest, AnUnfitNodeKeepsItsSessions) {
  VolumeBed bed;
  Fill(bed);
  bed.RemoveCertificates("node2");
  bed.RunFor(minutes(2));
  bed.SetClusterTls("yes", {{"rekey", {{"maxBytes", "1Gi"}}}});
  bed.RunFor(minutes(10));
  EXPECT_EQ(bed.Summary().connected, 3);
  for (const replication::TransactionRequest& request : requests_) {
    EXPECT_THAT(request.peers, Not(Contains("node2"))) << bed.Dump();
  }
  EXPECT_THAT(bed.hub().asks, Not(Contains(HasSubstr("node2"))));
}

// With two copies the Primary would be alone with its own: only the user can accept that.
TEST_F(RekeyTest, TheSecondCopyIsNotCutUnasked) {
  VolumeBed bed({.replicas = 2});
  Fill(bed);
  bed.SetClusterTls("yes", {{"rekey", {{"maxBytes", "1Gi"}}}});
  bed.RunFor(minutes(5));
  EXPECT_THAT(bed.hub().asks, SizeIs(0));
  EXPECT_THAT(bed.ConditionOf("ReplicationEncrypted").value("message", ""),
              AllOf(HasSubstr("session keys of volume r0 are older than asked for"),
                    HasSubstr("the Primary node1 would be alone with its copy"),
                    HasSubstr("spec.replicationTLS.migration.allowSingleCopy accepts that")));
  EXPECT_EQ(bed.ConditionOf("ReplicationEncrypted").value("status", ""), "True")
      << "old keys are keys";
  bed.SetClusterTls("yes",
                    {{"rekey", {{"maxBytes", "1Gi"}}}, {"migration", {{"allowSingleCopy", true}}}});
  bed.RunFor(minutes(5));
  EXPECT_THAT(bed.hub().asks, SizeIs(1));
  ASSERT_THAT(requests_, SizeIs(1));
  EXPECT_TRUE(requests_[0].rekey && requests_[0].tls && requests_[0].floor_tls);
  EXPECT_THAT(bed.ConditionOf("ReplicationEncrypted").value("message", ""),
              Not(HasSubstr("session keys")));
  const auto report = bed.Report();
  EXPECT_EQ(report.encrypted, 1);
  EXPECT_EQ(report.lost_writes + report.diverged_blocks + report.errors, 0U) << bed.Dump();
}

// Nobody writes, so nobody is alone with his copy: the guide says that a closed volume needs no
// consent.
TEST_F(RekeyTest, AClosedVolumeWithTwoCopiesGetsNewKeys) {
  VolumeBed bed({.replicas = 2});
  Fill(bed);
  bed.cluster().StopWriter("r0", "node1");
  ASSERT_TRUE(bed.RunUntil(
      [&] {
        return bed.Shell("node1", {"drbdsetup", "secondary", "r0"}) == 0;
      },
      minutes(1)));
  bed.SetClusterTls("yes", {{"rekey", {{"maxBytes", "1Gi"}}}});
  bed.RunFor(minutes(5));
  EXPECT_THAT(bed.hub().asks, SizeIs(1)) << bed.Dump();
  EXPECT_EQ(bed.Report().encrypted, 1);
}

}  // namespace
}  // namespace breakwater::controllers
