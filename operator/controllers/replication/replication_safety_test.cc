// What the controllers must never do, whoever fails around them.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "operator/api/resources.h"
#include "operator/controllers/replication/testing/volume_bed.h"

namespace breakwater::controllers {
namespace {

using api::Json;
using std::chrono::minutes;
using std::chrono::seconds;
using ::testing::Contains;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;

void MakeEncrypted(VolumeBed& bed) {
  bed.SetClusterTls("yes");
  ASSERT_TRUE(bed.RunUntilPhase("Complete")) << bed.Dump();
  bed.RunFor(seconds(60));
  bed.hub().asks.clear();
}

// The operator restarts while LINSTOR is down and a certificate was missing for a moment. It does
// not know what is wanted, and would decrypt the volume if it took that for "no".
TEST(ReplicationSafetyTest, RepairsWithoutLinstorOnlyByConnecting) {
  VolumeBed bed;
  MakeEncrypted(bed);
  bed.linstor().SetDown(true);
  bed.KillOperator();
  bed.StartOperator();
  bed.RunFor(seconds(30));
  bed.BreakByCertificate("node1", "node2");
  ASSERT_EQ(bed.StateOf("node1", "node2"), "StandAlone");
  bed.RunFor(seconds(90));
  bed.GiveCertificates("node1");
  EXPECT_TRUE(
      bed.RunUntil([&] { return bed.StateOf("node1", "node2") == "Connected"; }, minutes(20)))
      << bed.Dump();
  bed.RunFor(minutes(1));
  EXPECT_THAT(bed.hub().asks, ::testing::Each(StartsWith("Reconnect"))) << bed.Dump();
  EXPECT_EQ(bed.Report().encrypted, 3) << bed.Dump();
}

// A rollout ends the operator while a reconcile still runs: what it asked for then would be asked
// twice, by two leaders.
TEST(ReplicationSafetyTest, AsksForNothingOnceLeadershipIsLost) {
  VolumeBed bed;
  bed.RunFor(seconds(10));
  bed.LoseLeadership();
  bed.SetClusterTls("yes");
  bed.RunFor(minutes(2));
  EXPECT_THAT(bed.hub().asks, IsEmpty()) << bed.Dump();
  bed.KillOperator();
  bed.StartOperator();
  EXPECT_TRUE(bed.RunUntilPhase("Complete")) << bed.Dump();
}

// Somebody's own DRBD resource beside LINSTOR's: not ours to reconnect or to configure.
TEST(ReplicationSafetyTest, LeavesResourcesAloneThatLinstorDoesNotKnow) {
  VolumeBed bed;
  MakeEncrypted(bed);
  bed.linstor().With([](auto& state) {
    state.definitions.clear();
    state.resources.clear();
    return 0;
  });
  bed.RunFor(minutes(2));
  bed.hub().asks.clear();
  bed.BreakByCertificate("node1", "node2");
  bed.GiveCertificates("node1");
  bed.RunFor(minutes(4));
  EXPECT_THAT(bed.hub().asks, IsEmpty()) << bed.Dump();
  (void)bed.Shell("node1", {"drbdadm", "connect", "r0:node2"});
  bed.RunFor(seconds(10));
  ASSERT_TRUE(bed.InjectStale("r0", "node1", "node3"));
  bed.RunFor(minutes(1));
  EXPECT_EQ(bed.Report().stale_peers, 0U) << "only that danger is mended: " << bed.Dump();
}

// A typing error, or a deleted line, is not the wish to decrypt everything.
TEST(ReplicationSafetyTest, AWrongOrRemovedValueChangesNothing) {
  VolumeBed bed;
  MakeEncrypted(bed);
  bed.SetClusterTls("true");
  bed.RunFor(minutes(1));
  EXPECT_EQ(bed.ConditionOf("ReplicationEncrypted").value("reason", ""), "InvalidValue");
  EXPECT_EQ(bed.Status().value("phase", ""), "Blocked");
  bed.SetClusterTls("");
  bed.RunFor(minutes(1));
  EXPECT_EQ(bed.Report().encrypted, 3);
  EXPECT_THAT(bed.hub().asks, IsEmpty());
  ASSERT_FALSE(bed.Status().value("failures", Json::array()).empty()) << bed.Status();
  EXPECT_EQ(bed.Status()["failures"][0].value("reason", ""), "ValueRemoved") << bed.Status();
  EXPECT_EQ(bed.ConditionOf("ReplicationEncrypted").value("status", ""), "True");
  bed.SetClusterTls("no");
  ASSERT_TRUE(bed.RunUntilPhase("Idle")) << bed.Dump();
  EXPECT_EQ(bed.Report().encrypted, 0);
}

// A value that a person sets on one connection in LINSTOR changes nothing else there: it is found
// by the slow look at all of them.
TEST(ReplicationSafetyTest, SeesAValueOnAConnection) {
  VolumeBed bed;
  bed.RunFor(seconds(30));
  bed.linstor().With([](auto& state) {
    linstor::Connection connection;
    connection.node_a = "node1";
    connection.node_b = "node2";
    connection.props["DrbdOptions/Net/tls"] = "yes";
    state.resource_connections["r0"].push_back(connection);
    return 0;
  });
  EXPECT_TRUE(bed.RunUntil([&] { return bed.Status()["resources"]["pending"] == 1; }, minutes(15)))
      << bed.Dump();
}

// The connection drops and comes back between two looks: every state is clean, the blocks differ.
// A new leader must still know, until a person says that the copies are equal again.
TEST(ReplicationSafetyTest, AReconnectIsNotTakenForAHeal) {
  VolumeBed bed;
  bed.SetClusterTls("", {{"migration", {{"healStale", false}}}});
  bed.RunFor(seconds(10));
  ASSERT_TRUE(bed.InjectStale("r0"));
  bed.RunFor(seconds(30));
  EXPECT_EQ(bed.ConditionOf("ReplicationEncrypted").value("reason", ""), "StalePeer") << bed.Dump();
  (void)bed.Shell("node1", {"drbdadm", "disconnect", "r0:node2"});
  (void)bed.Shell("node1", {"drbdadm", "connect", "r0:node2"});
  bed.RunFor(seconds(30));
  EXPECT_EQ(bed.ConditionOf("ReplicationEncrypted").value("reason", ""), "Diverged") << bed.Dump();
  EXPECT_THAT(bed.events(), Not(Contains("StalePeerHealed")));
  bed.KillOperator();
  bed.StartOperator();
  bed.RunFor(seconds(30));
  EXPECT_EQ(bed.ConditionOf("ReplicationEncrypted").value("reason", ""), "Diverged") << bed.Dump();
  const std::string since = bed.Status()["stalePeers"][0].value("since", "");
  bed.Annotate("breakwater.io/resynced", "r0@" + since);
  bed.RunFor(seconds(30));
  EXPECT_FALSE(bed.Status().contains("stalePeers")) << bed.Status();
}

// REVIEW-1 R1: `drbdadm disconnect` by a person is meant; only what a fault of TLS explains comes
// back by itself.
TEST(ReplicationSafetyTest, AnAdminsDisconnectStays) {
  VolumeBed bed;
  MakeEncrypted(bed);
  (void)bed.Shell("node1", {"drbdadm", "disconnect", "r0:node2"});
  bed.RunFor(minutes(3));
  EXPECT_THAT(bed.hub().asks, IsEmpty()) << bed.Dump();
  ASSERT_FALSE(bed.Status().value("failures", Json::array()).empty()) << bed.Dump();
  EXPECT_EQ(bed.Status()["failures"][0].value("reason", ""), "StandAlone") << bed.Status();
  EXPECT_NE(bed.Status()["failures"][0].value("message", "").find("drbdadm connect r0:node2"),
            std::string::npos);
  (void)bed.Shell("node1", {"drbdadm", "connect", "r0:node2"});
  bed.RunFor(minutes(1));
  EXPECT_TRUE(bed.Status().value("failures", Json::array()).empty()) << bed.Status();
}

// REVIEW-1 H4: LINSTOR suspends a volume while it takes a snapshot, a person for some work. It is
// reported and never ended; no value of ours makes LINSTOR end it (L24).
TEST(ReplicationSafetyTest, ASuspensionOfOthersIsLeftAlone) {
  VolumeBed bed;
  bed.RunFor(seconds(5));
  (void)bed.Shell("node1", {"drbdadm", "suspend-io", "r0"});
  bed.RunFor(seconds(3));
  bed.linstor().ClearWrites();
  bed.SetClusterTls("yes");
  bed.RunFor(minutes(5));
  EXPECT_TRUE(bed.Report().suspended_user) << bed.Dump();
  EXPECT_THAT(bed.hub().asks, IsEmpty()) << bed.Dump();
  EXPECT_THAT(bed.linstor().writes(), IsEmpty());
  const Json failures = bed.Status().value("failures", Json::array());
  ASSERT_FALSE(failures.empty()) << bed.Dump();
  EXPECT_EQ(failures[0].value("reason", ""), "Suspended") << failures;
  (void)bed.Shell("node1", {"drbdadm", "resume-io", "r0"});
  EXPECT_TRUE(bed.RunUntilPhase("Complete")) << bed.Dump();
}

// The same with the setting that allows it.
TEST(ReplicationSafetyTest, ASuspensionOfOthersEndsWhenTheUserSaysSo) {
  VolumeBed bed;
  bed.SetClusterTls("", {{"migration", {{"resumeForeignSuspensionsAfter", "60s"}}}});
  bed.RunFor(seconds(5));
  (void)bed.Shell("node1", {"drbdadm", "suspend-io", "r0"});
  bed.RunFor(seconds(40));
  EXPECT_TRUE(bed.Report().suspended_user) << bed.Dump();
  EXPECT_TRUE(bed.RunUntil([&] { return !bed.Summary().suspended_user; }, minutes(2)))
      << bed.Dump();
}

// "Encrypted" without any connection is no news.
TEST(ReplicationSafetyTest, TheConditionKnowsThatThereIsNothing) {
  VolumeBed bed({.resources = {}});
  bed.SetClusterTls("yes");
  bed.RunFor(seconds(30));
  EXPECT_EQ(bed.ConditionOf("ReplicationEncrypted").value("reason", ""), "NoConnections")
      << bed.Dump();
}

// The LinstorCluster is deleted and made anew: nothing that was remembered is about the new one.
TEST(ReplicationSafetyTest, AnotherClusterBeginsAnew) {
  VolumeBed bed;
  bed.SetClusterTls("yes");
  ASSERT_TRUE(bed.RunUntil([&] { return !bed.hub().asks.empty(); }, minutes(2))) << bed.Dump();
  bed.kube().Remove(api::kLinstorCluster, {.ns = "", .name = "cluster"});
  bed.RunFor(seconds(30));
  bed.SetClusterTls("yes");
  EXPECT_TRUE(bed.RunUntilPhase("Complete")) << bed.Dump();
  EXPECT_EQ(bed.Report().diverged_blocks + bed.Report().errors, 0U);
}

}  // namespace
}  // namespace breakwater::controllers
