// The controllers as a whole, with the real agents' Runner on simulated DRBD: what a user sees.

#include <utility>
#include <vector>

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

void ExpectUnharmed(VolumeBed& bed, const std::string& resource = "r0") {
  const sim::ResourceReport report = bed.Report(resource);
  EXPECT_EQ(report.errors, 0U) << bed.Dump();
  EXPECT_EQ(report.diverged_blocks, 0U) << bed.Dump();
  EXPECT_EQ(report.lost_writes, 0U) << bed.Dump();
  EXPECT_FALSE(report.suspended_user) << bed.Dump();
}

// The day on which an admin sets one property: every volume becomes encrypted while pods keep
// writing, and nothing of ours is left in LINSTOR.
TEST(ReplicationTest, MovesAllVolumesToTlsAndBack) {
  VolumeBed bed({.resources = {"r0", "r1"}});
  bed.SetClusterTls("yes");
  ASSERT_TRUE(bed.RunUntilPhase("Complete")) << bed.Dump();
  bed.RunFor(seconds(60));
  EXPECT_EQ(bed.ConditionOf("ReplicationEncrypted").value("status", ""), "True") << bed.Dump();
  EXPECT_EQ(bed.Status()["connections"]["encrypted"], 6);
  EXPECT_EQ(bed.Status()["resources"]["migrated"], 2);
  EXPECT_TRUE(bed.Status().value("inFlight", Json::array()).empty()) << bed.Status();
  for (const char* name : {"r0", "r1"}) {
    EXPECT_EQ(bed.Report(name).encrypted, 3);
    ExpectUnharmed(bed, name);
  }
  bed.linstor().With([&](auto& state) {
    EXPECT_EQ(state.controller_props["DrbdOptions/Net/tls"], "yes");
    for (const auto& [name, definition] : state.definitions) {
      EXPECT_FALSE(definition.props.contains("DrbdOptions/Net/tls")) << "the pin goes at the end";
    }
    return 0;
  });
  EXPECT_THAT(bed.events(), Contains("MigrationStarted"));
  EXPECT_THAT(bed.events(), Contains("MigrationDone"));
  bed.SetClusterTls("no");
  ASSERT_TRUE(bed.RunUntilPhase("Idle")) << bed.Dump();
  EXPECT_EQ(bed.Report("r0").encrypted, 0);
  ExpectUnharmed(bed);
}

TEST(ReplicationTest, MovesWithSuspendedIo) {
  VolumeBed bed;
  bed.SetClusterTls("yes", {{"migration", {{"strategy", "SuspendIO"}}}});
  ASSERT_TRUE(bed.RunUntilPhase("Complete")) << bed.Dump();
  EXPECT_EQ(bed.Report().encrypted, 3);
  EXPECT_LT(bed.Report().longest_stall, seconds(10));
  ExpectUnharmed(bed);
  EXPECT_THAT(bed.hub().asks, Contains(StartsWith("SuspendedSwitch node1")));
  EXPECT_NE(bed.metrics().Serialize().find("breakwater_tls_suspension_seconds_count 1"),
            std::string::npos)
      << bed.metrics().Serialize();
}

// An idle operator must not load the API server, LINSTOR's database, or the nodes (G5).
TEST(ReplicationTest, IdleMeansNoWritesAndNoExecs) {
  VolumeBed bed;
  bed.SetClusterTls("yes");
  ASSERT_TRUE(bed.RunUntilPhase("Complete")) << bed.Dump();
  bed.RunFor(minutes(2));
  bed.kube().ClearCalls();
  bed.linstor().ClearWrites();
  bed.execs = 0;
  bed.hub().asks.clear();
  bed.RunFor(minutes(10));
  EXPECT_EQ(bed.kube().write_count(), 0) << bed.Dump();
  EXPECT_THAT(bed.linstor().writes(), IsEmpty());
  EXPECT_EQ(bed.execs, 0);
  EXPECT_THAT(bed.hub().asks, IsEmpty());
}

// What is not written down is not asked for: else a crash leaves a cut connection that the next
// leader does not know of.
TEST(ReplicationTest, AsksForNothingWithoutAJournal) {
  VolumeBed bed;
  bed.SetClusterTls("yes");
  bed.kube().on_call(
      [](const testing::FakeKube::Call& call) -> std::optional<testing::FakeKube::Fault> {
        if (call.verb == "apply" && call.resource.kind == "LinstorCluster") {
          return testing::FakeKube::Fault{kube::Status{503, "ServiceUnavailable", "down", {}}};
        }
        return std::nullopt;
      });
  bed.RunFor(minutes(2));
  EXPECT_THAT(bed.hub().asks, IsEmpty()) << bed.Dump();
  bed.kube().on_call({});
  EXPECT_TRUE(bed.RunUntilPhase("Complete")) << bed.Dump();
}

// REVIEW-1 C4: the operator dies between any two requests; whoever leads next finishes. The agents
// end what was begun by themselves meanwhile.
class TakeOverTest : public ::testing::TestWithParam<std::tuple<int, int, const char*>> {};

TEST_P(TakeOverTest, TheNextLeaderFinishes) {
  const auto [request, pause, strategy] = GetParam();
  VolumeBed bed;
  int count = 0;
  bool dead = false;
  bed.hub().on_ask = [&, at = request](const replication::TransactionRequest&) {
    dead = dead || ++count == at;
  };
  bed.SetClusterTls("yes", {{"migration", {{"strategy", strategy}}}});
  ASSERT_TRUE(bed.RunUntil([&] { return dead; }, minutes(3))) << bed.Dump();
  EXPECT_FALSE(bed.Status().value("inFlight", Json::array()).empty()) << bed.Status();
  bed.KillOperator();
  bed.RunFor(seconds(pause));
  bed.StartOperator();
  ASSERT_TRUE(bed.RunUntilPhase("Complete")) << bed.Dump();
  EXPECT_EQ(bed.Report().encrypted, 3) << bed.Dump();
  EXPECT_LT(bed.Report().longest_stall, seconds(11)) << bed.Dump();
  ExpectUnharmed(bed);
  bed.RunFor(seconds(30));
  EXPECT_TRUE(bed.Status().value("inFlight", Json::array()).empty()) << bed.Status();
}

INSTANTIATE_TEST_SUITE_P(AtEachRequest,
                         TakeOverTest,
                         ::testing::Combine(::testing::Values(1, 2, 3),
                                            ::testing::Values(0, 30),
                                            ::testing::Values("PairByPair", "SuspendIO")));

// G8: pods that a Piraeus operator made have no agent. F12's state is mended there all the same,
// nothing else is touched, and the condition says what to do. Also while LINSTOR is down.
TEST(ReplicationTest, WithoutAgentsAStalePeerIsHealedAndNothingIsCut) {
  VolumeBed bed({.agents = false});
  bed.RunFor(minutes(2));
  ASSERT_TRUE(bed.InjectStale("r0"));
  bed.RunFor(minutes(4));
  EXPECT_EQ(bed.Report().stale_peers, 0U) << bed.Dump();
  EXPECT_THAT(bed.events(), Contains("StalePeer"));
  EXPECT_THAT(bed.events(), Contains("StalePeerHealed"));
  bed.SetClusterTls("yes");
  bed.RunFor(minutes(3));
  EXPECT_THAT(bed.hub().asks, IsEmpty());
  EXPECT_EQ(bed.Report().encrypted, 0);
  EXPECT_EQ(bed.SatelliteCondition("node1").value("reason", ""), "AgentMissing")
      << bed.SatelliteCondition("node1");
  ExpectUnharmed(bed);
}

// Facts CSI K12: what was wrong is over, and nothing of ours ended it. A failure that stays in the
// status for ever sends people to a volume that is well.
TEST(ReplicationTest, AFailureIsTakenBackWhenTheVolumeIsWellByItself) {
  VolumeBed bed({.agents = false});
  bed.refuse_heals = true;
  bed.RunFor(minutes(2));
  ASSERT_TRUE(bed.InjectStale("r0"));
  const auto blocked = [&] {
    for (const api::Json& failure : bed.Status().value("failures", api::Json::array())) {
      if (failure.value("reason", "") == "Blocked") {
        return true;
      }
    }
    return false;
  };
  ASSERT_TRUE(bed.RunUntil(blocked, minutes(3))) << bed.Dump();
  bed.Shell("node1", {"drbdsetup", "invalidate-remote", "r0", "1", "0", "--reset-bitmap=no"});
  EXPECT_TRUE(bed.RunUntil([&] { return !blocked(); }, minutes(4))) << bed.Dump();
  EXPECT_EQ(bed.Status()["resources"].value("failed", 1), 0);
}

// A stream that is gone is no event for what runs; the volume goes on when it is back.
TEST(ReplicationTest, WaitsForAnAgentThatIsAway) {
  VolumeBed bed;
  bool away = false;
  bed.hub().on_ask = [&](const replication::TransactionRequest& request) {
    away = away || request.kind == replication::TransactionKind::kLead;
  };
  bed.SetClusterTls("yes");
  ASSERT_TRUE(bed.RunUntil([&] { return away; }, minutes(3))) << bed.Dump();
  bed.hub().SetConnected("node2", false);
  bed.RunFor(minutes(3));
  EXPECT_NE(bed.Status().value("phase", ""), "Complete");
  ExpectUnharmed(bed);
  bed.hub().SetConnected("node2", true);
  EXPECT_TRUE(bed.RunUntilPhase("Complete", minutes(10))) << bed.Dump();
  ExpectUnharmed(bed);
}

// REVIEW-1 H3, R3: nodes whose exec takes seconds kept the operator from ever acting again. Nothing
// that moves a volume is an exec any more.
TEST(ReplicationTest, SlowExecsDoNotMatter) {
  VolumeBed bed;
  bed.exec_takes = sim::Millis(3000);
  bed.SetClusterTls("yes");
  EXPECT_TRUE(bed.RunUntilPhase("Complete")) << bed.Dump();
  ExpectUnharmed(bed);
}

// REVIEW-1 R5: tlshd of node2 hangs although its container is Ready. One volume finds out; the
// others are not cut and rolled back in turn, and the condition names the node.
TEST(ReplicationTest, OneProvenBadNodeHoldsBackTheOthers) {
  VolumeBed bed({.resources = {"r0", "r1", "r2"}});
  bed.cluster().SetTlshd("node2", /*running=*/false);
  bed.SetClusterTls("yes", {{"migration", {{"maxParallelResources", 1}}}});
  bed.RunFor(minutes(2));
  EXPECT_THAT(bed.events(), Contains("MigrationRolledBack")) << bed.Dump();
  int leads = 0;
  for (const std::string& ask : bed.hub().asks) {
    leads += ask.starts_with("Lead") ? 1 : 0;
  }
  EXPECT_GE(leads, 1) << bed.Dump();
  EXPECT_LE(leads, 3) << "not each volume in turn: " << bed.Dump();
  for (const char* name : {"r0", "r1", "r2"}) {
    ExpectUnharmed(bed, name);
    EXPECT_EQ(bed.Report(name).connected, 3);
  }
  bed.RunFor(minutes(7));  // the next try would be 16 minutes after the first
  bed.RestartDaemon("node2");
  EXPECT_TRUE(bed.RunUntilPhase("Complete", minutes(5))) << bed.Dump();
}

// REVIEW-1 R8: Complete -> Migrating -> Complete while the last pins went made people look.
TEST(ReplicationTest, ThePhaseDoesNotFlap) {
  VolumeBed bed({.resources = {"r0", "r1"}});
  std::vector<std::string> phases;
  int writes = -1;
  bed.agents().on_step = [&] {
    if (std::exchange(writes, bed.kube().write_count()) == writes) {
      return;
    }
    const std::string phase = bed.Status().value("phase", "");
    if (phases.empty() || phases.back() != phase) {
      phases.push_back(phase);
    }
  };
  bed.SetClusterTls("yes");
  ASSERT_TRUE(bed.RunUntilPhase("Complete")) << bed.Dump();
  bed.RunFor(minutes(3));
  ASSERT_FALSE(phases.empty());
  EXPECT_EQ(phases.back(), "Complete");
  EXPECT_EQ(std::count(phases.begin(), phases.end(), "Complete"), 1)
      << ::testing::PrintToString(phases);
}

// Policy Manual: only what the annotation releases.
TEST(ReplicationTest, ManualPolicyWaitsForTheRelease) {
  VolumeBed bed({.resources = {"r0", "r1"}});
  bed.SetClusterTls("yes", {{"migration", {{"policy", "Manual"}}}});
  bed.Annotate("breakwater.io/migrate", "r1");
  bed.RunFor(minutes(2));
  EXPECT_EQ(bed.Report("r0").encrypted, 0) << bed.Dump();
  EXPECT_EQ(bed.Report("r1").encrypted, 3) << bed.Dump();
  bed.Annotate("breakwater.io/migrate", "*");
  EXPECT_TRUE(bed.RunUntilPhase("Complete")) << bed.Dump();
}

// A node without a good certificate is named, with the next step; nothing of it is touched.
TEST(ReplicationTest, HoldsBackANodeThatFailsPreflight) {
  VolumeBed bed;
  bed.RemoveCertificates("node2");
  bed.SetClusterTls("yes");
  bed.RunFor(minutes(2));
  EXPECT_EQ(bed.Status().value("phase", ""), "Preflight") << bed.Dump();
  EXPECT_EQ(bed.SatelliteCondition("node2").value("reason", ""), "CertificateMissing");
  EXPECT_EQ(bed.SatelliteCondition("node1").value("status", ""), "True")
      << bed.SatelliteCondition("node1");
  EXPECT_THAT(bed.hub().asks, IsEmpty());
  bed.linstor().With([](auto& state) {
    EXPECT_FALSE(state.controller_props.contains("DrbdOptions/Net/tls"));
    EXPECT_EQ(state.definitions["r0"].props["DrbdOptions/Net/tls"], "no");
    return 0;
  });
  bed.GiveCertificates("node2");
  EXPECT_TRUE(bed.RunUntilPhase("Complete", minutes(20))) << bed.Dump();
}

}  // namespace
}  // namespace breakwater::controllers
