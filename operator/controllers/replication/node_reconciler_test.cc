// What is still asked of nodes by exec: seldom, and never in a hurry when it fails.

#include <algorithm>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "operator/api/resources.h"
#include "operator/controllers/replication/testing/volume_bed.h"

namespace breakwater::controllers {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

// A renewal that goes wrong must be told soon, not at the next handshake, when the node is rebooted
// and cannot reach its peers any more; and looking for it must not cost an exec every few minutes.
TEST(NodeReconcilerTest, CertificatesAreReadWhenTheirSecretChangesAndOnceADay) {
  VolumeBed bed;
  bed.SetClusterTls("yes");
  ASSERT_TRUE(bed.RunUntilPhase("Complete")) << bed.Dump();
  bed.RunFor(minutes(1));
  bed.execs = 0;
  bed.RemoveCertificates("node2");
  bed.RunFor(minutes(10));
  EXPECT_EQ(bed.execs, 0);
  EXPECT_EQ(bed.SatelliteCondition("node2").value("status", ""), "True") << "seldom";
  bed.controllers().NoteSecret(
      api::Object({{"metadata", {{"name", "node2-tls"}, {"namespace", "ns"}}},
                   {"type", "kubernetes.io/tls"},
                   {"data", {{"tls.crt", "eA=="}, {"tls.key", "eA=="}}}}));
  bed.RunFor(seconds(10));
  EXPECT_EQ(bed.SatelliteCondition("node2").value("reason", ""), "CertificateMissing")
      << bed.Dump();
  EXPECT_EQ(bed.execs, 1) << "only of the node that uses it";
}

// T3: the clock of one node is ten minutes off. It is said once, with an event, nothing is cut, and
// it is over soon after somebody has set the clock, not a day later.
TEST(NodeReconcilerTest, AClockThatIsOffIsSaidAndNothingIsCut) {
  VolumeBed bed;
  bed.SetClusterTls("yes");
  ASSERT_TRUE(bed.RunUntilPhase("Complete")) << bed.Dump();
  bed.hub().asks.clear();
  bed.cluster().world().GetNode("node2").clock_ahead_s = -600;
  bed.RestartDaemon("node2");
  bed.RunFor(minutes(20));
  const auto said = bed.SatelliteCondition("node2");
  EXPECT_EQ(said.value("status", ""), "True") << bed.Dump();
  EXPECT_THAT(said.value("message", ""),
              HasSubstr("ClockDiffers: the clock of node node2 is 10 minutes behind"));
  EXPECT_EQ(std::count(bed.events().begin(), bed.events().end(), "ClockDiffers"), 1);
  EXPECT_EQ(bed.Summary().connected, 3);
  EXPECT_THAT(bed.hub().asks, IsEmpty());
  bed.cluster().world().GetNode("node2").clock_ahead_s = 0;
  bed.RunFor(minutes(16));
  EXPECT_THAT(bed.SatelliteCondition("node2").value("message", ""), Not(HasSubstr("ClockDiffers")));
}

// T3: the clock of a node that was good jumps. Nothing of it changes but the time: what brings the
// look is what its agent says of the time, not the daily round.
TEST(NodeReconcilerTest, AClockThatJumpsIsSeenWithinAMinute) {
  VolumeBed bed;
  bed.SetClusterTls("yes");
  ASSERT_TRUE(bed.RunUntilPhase("Complete")) << bed.Dump();
  bed.RunFor(minutes(2));
  bed.execs = 0;
  bed.cluster().world().GetNode("node2").clock_ahead_s = 600;
  bed.RunFor(minutes(1));
  EXPECT_THAT(bed.SatelliteCondition("node2").value("message", ""),
              HasSubstr("ClockDiffers: the clock of node node2 is 10 minutes ahead"));
  EXPECT_LE(bed.execs, 4) << "only there, and less and less";
  bed.cluster().world().GetNode("node2").clock_ahead_s = 0;
  bed.RunFor(minutes(1));
  EXPECT_THAT(bed.SatelliteCondition("node2").value("message", ""), Not(HasSubstr("ClockDiffers")));
}

// G5: nodes whose exec always fails cost less and less.
TEST(NodeReconcilerTest, ANodeThatNeverAnswersIsAskedLessAndLess) {
  VolumeBed bed({.agents = false});
  bed.silent_nodes = {"node1", "node2", "node3"};
  bed.RunFor(minutes(20));
  bed.execs = 0;
  bed.RunFor(minutes(31));
  EXPECT_LE(bed.execs, 3 * 2 * 3) << "each node and kind of look every 15 min";
  EXPECT_GE(bed.execs, 3);
}

}  // namespace
}  // namespace breakwater::controllers
