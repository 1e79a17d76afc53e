// A node whose report is refused or does not come (REVIEW-2 M2), on the whole stack with the real
// agents' Runner on simulated DRBD. What would break for a user: one node, hostile or broken, keeps
// the volumes of all others in plaintext.

#include <algorithm>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "operator/controllers/replication/testing/volume_bed.h"

namespace breakwater::controllers {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;

std::string ClusterValue(VolumeBed& bed) {
  return bed.linstor().With([](auto& state) {
    const auto value = state.controller_props.find("DrbdOptions/Net/tls");
    return value == state.controller_props.end() ? std::string() : value->second;
  });
}

class SilentNodeTest : public ::testing::Test {
 protected:
  static void ExpectUnharmed(VolumeBed& bed) {
    for (const char* name : {"r0", "r1"}) {
      const auto report = bed.Report(name);
      EXPECT_EQ(report.errors + report.lost_writes + report.diverged_blocks, 0U) << bed.Dump();
      EXPECT_FALSE(report.suspended_user) << bed.Dump();
    }
  }

  /// r0 has a replica on every node, r1 none on node3.
  VolumeBed bed_{BedOptions{.resources = {"r0", "r1"}, .replicas_of = {{"r1", 2}}}};
};

TEST_F(SilentNodeTest, VolumesOfOtherNodesMoveAndItsOwnStayAsTheyAre) {
  bed_.hub().SetConnected("node3", false);
  bed_.SetClusterTls("yes");
  EXPECT_TRUE(bed_.RunUntil([&] { return bed_.Summary("r1").encrypted == 1; }, minutes(1)))
      << bed_.Dump();
  bed_.RunFor(minutes(2));
  EXPECT_EQ(bed_.Summary("r0").encrypted, 0);
  EXPECT_EQ(bed_.Summary("r0").connected, 3);
  EXPECT_EQ(ClusterValue(bed_), "") << "nobody knows whether node3 has the pin of r0";
  EXPECT_THAT(bed_.ConditionOf("ReplicationEncrypted").value("message", ""),
              AllOf(HasSubstr("new volumes are not encrypted yet: node node3 does not answer"),
                    HasSubstr("waiting: r0 (node node3 does not answer)")));
  EXPECT_EQ(std::count(bed_.events().begin(), bed_.events().end(), "NewVolumesPlaintext"), 1);
  bed_.hub().SetConnected("node3", true);
  EXPECT_TRUE(bed_.RunUntilPhase("Complete")) << bed_.Dump();
  EXPECT_EQ(ClusterValue(bed_), "yes");
  EXPECT_EQ(bed_.Report("r0").encrypted, 3);
  ExpectUnharmed(bed_);
}

// An agent is restarted now and then: that is no news.
TEST_F(SilentNodeTest, AShortSilenceIsNotSaid) {
  bed_.hub().SetConnected("node3", false);
  bed_.SetClusterTls("yes");
  bed_.RunFor(seconds(40));
  EXPECT_EQ(ClusterValue(bed_), "");
  bed_.hub().SetConnected("node3", true);
  EXPECT_TRUE(bed_.RunUntilPhase("Complete")) << bed_.Dump();
  EXPECT_THAT(bed_.events(), Not(Contains("NewVolumesPlaintext")));
  ExpectUnharmed(bed_);
}

}  // namespace
}  // namespace breakwater::controllers
