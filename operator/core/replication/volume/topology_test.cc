// Which cut is harmless, seen from the topology. What would break for a user: writes that only one
// copy has, or a volume that freezes because its Primary lost quorum.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "operator/core/replication/volume/gate.h"
#include "operator/core/replication/plan/planner.h"
#include "operator/core/replication/volume/test_observations.h"

namespace breakwater::replication {
namespace {

using std::chrono::seconds;
using ::testing::HasSubstr;
using testing_seen::End;
using testing_seen::Healthy;
using testing_seen::kNow;
using testing_seen::Want;
using GateKind = GateResult::Kind;

// KubeVirt's live migration opens a volume on two nodes: the two writers must not be separated.
TEST(TopologyTest, NothingIsCutWhileTwoNodesArePrimary) {
  ResourceObservation seen = Healthy({"n1", "n2", "n3"});
  seen.nodes["n2"].primary = true;
  EXPECT_THAT(CutObstacle(seen, Pair::Of("n1", "n2")).value_or(""), HasSubstr("more than one"));
  RunState cutting;
  cutting.journal = {Strategy::kPairByPair, Step::kCut, false, Pair::Of("n1", "n2"), kNow};
  EXPECT_TRUE(std::holds_alternative<Wait>(Next(seen, Want(seen, true), cutting, kNow).action));
}

// The nodes are asked one after the other: n2 became Primary after its own report.
TEST(TopologyTest, APeersViewOfARoleCountsToo) {
  ResourceObservation seen = Healthy({"n1", "n2", "n3"});
  for (const char* node : {"n2", "n3"}) {
    End(seen, node, "n1").peer_role = "Primary";
    EXPECT_FALSE(CutObstacle(seen, Pair::Of("n1", "n2")));
  }
  End(seen, "n3", "n2").peer_role = "Primary";
  EXPECT_TRUE(CutObstacle(seen, Pair::Of("n1", "n2")));
  ResourceObservation nobody = Healthy({"n1", "n2", "n3"});
  nobody.nodes["n1"].primary = false;
  EXPECT_FALSE(CutObstacle(nobody, Pair::Of("n2", "n3")));
  End(nobody, "n2", "n1").peer_role = "Primary";
  EXPECT_THAT(CutObstacle(nobody, Pair::Of("n2", "n3")).value_or(""), HasSubstr("agree"));
}

// After an I/O error DRBD detaches: "Diskless", but no client. The last copy must not be cut off.
TEST(TopologyTest, AFailedDiskIsNoTieBreaker) {
  ResourceObservation seen = Healthy({"n1", "n2", "n3"});
  seen.nodes["n3"].devices[0].disk = "Diskless";
  End(seen, "n1", "n3").devices[0].peer_disk = "Diskless";
  End(seen, "n2", "n3").devices[0].peer_disk = "Diskless";
  EXPECT_EQ(CheckGate(seen, {}).kind, GateKind::kDisk);
  EXPECT_TRUE(CutObstacle(seen, Pair::Of("n1", "n2"))) << "n1 would be alone with its data";
  seen.nodes["n3"].devices[0].disk = "UpToDate";
  EXPECT_EQ(CheckGate(seen, {}).kind, GateKind::kDisk) << "the Primary's view alone is enough";
  seen.nodes["n3"].devices[0] = {
      .volume = 0, .minor = 1, .disk = "Diskless", .client = true, .quorum = true};
  End(seen, "n1", "n3").devices[0].peer_client = true;
  End(seen, "n2", "n3").devices[0].peer_client = true;
  EXPECT_TRUE(CheckGate(seen, {}).ok()) << CheckGate(seen, {}).reason;
  EXPECT_FALSE(CutObstacle(seen, Pair::Of("n1", "n2")));
}

// An option that the tools did not print is no permission.
TEST(TopologyTest, UnknownOptionsBlock) {
  ResourceObservation seen = Healthy({"n1", "n2", "n3"});
  seen.nodes["n1"].quorum = "";
  EXPECT_THAT(CutObstacle(seen, Pair::Of("n1", "n2")).value_or(""), HasSubstr("quorum"));
  seen.nodes["n1"].quorum = "majority";
  seen.nodes["n1"].minimum_redundancy = "";
  EXPECT_THAT(CutObstacle(seen, Pair::Of("n1", "n2")).value_or(""), HasSubstr("quorum"));
  ResourceObservation two = Healthy({"n1", "n2"});
  two.nodes["n1"].devices[0] = {
      .volume = 0, .minor = 1, .disk = "Diskless", .client = true, .quorum = true};
  two.nodes["n1"].on_no_data = "";
  EXPECT_THAT(ChooseStrategy(two, Want(two, true)).reason, HasSubstr("unknown"));
}

// quorum-minimum-redundancy asks for up-to-date copies, not for voters.
TEST(TopologyTest, MinimumRedundancyCountsGoodCopies) {
  ResourceObservation seen = Healthy({"n1", "n2", "n3"});
  seen.nodes["n1"].minimum_redundancy = "2";
  EXPECT_FALSE(CutObstacle(seen, Pair::Of("n1", "n2")));
  seen.nodes["n1"].minimum_redundancy = "all";
  EXPECT_TRUE(CutObstacle(seen, Pair::Of("n1", "n2")));
  seen.nodes["n1"].minimum_redundancy = "2";
  End(seen, "n1", "n3").devices[0].peer_disk = "Inconsistent";
  EXPECT_TRUE(CutObstacle(seen, Pair::Of("n1", "n2")));
}

// A list that is missing or too short proves nothing about the volumes that it does not name.
TEST(TopologyTest, MissingVolumesAreNotGood) {
  ResourceObservation seen = Healthy({"n1", "n2", "n3"});
  End(seen, "n1", "n3").devices.clear();
  EXPECT_EQ(CheckGate(seen, {}).kind, GateKind::kUnknown);
  seen.nodes["n1"].devices[0].disk = "Diskless";
  seen.nodes["n1"].devices[0].client = true;
  EXPECT_THAT(CutObstacle(seen, Pair::Of("n1", "n2")).value_or(""), HasSubstr("last up-to-date"));
  seen = Healthy({"n1", "n2", "n3"});
  seen.nodes["n2"].devices.push_back(
      {.volume = 1, .minor = 2, .disk = "UpToDate", .client = false, .quorum = true});
  EXPECT_EQ(CheckGate(seen, {}).kind, GateKind::kUnknown);
  seen = Healthy({"n1", "n2", "n3"});
  seen.nodes["n2"].devices.clear();
  EXPECT_FALSE(CheckGate(seen, {}).ok());
  EXPECT_FALSE(seen.nodes["n2"].Diskless());
}

// LINSTOR must not be told what only one end, or neither, is known to run.
TEST(TopologyTest, LinstorIsNotToldWhatIsNotKnown) {
  ResourceObservation seen = Healthy({"n1", "n2", "n3"}, /*tls=*/true);
  seen.levels.pairs["n1/n2"] = Level{true, true, false};  // left by a run: a change would be due
  RunState finishing;
  finishing.journal = {Strategy::kPairByPair, Step::kFinish, false, std::nullopt, kNow};
  const Goal goal = Want(seen, true);
  ASSERT_TRUE(std::holds_alternative<ChangeLinstor>(Next(seen, goal, finishing, kNow).action));
  End(seen, "n3", "n1").tls.reset();
  EXPECT_TRUE(std::holds_alternative<Wait>(Next(seen, goal, finishing, kNow).action));
}

// The recorded stuck state (F4.9) with the Primary that it needs: n3 calls itself Outdated.
ResourceObservation Stuck() {
  ResourceObservation seen = Healthy({"n1", "n2", "n3"});
  seen.nodes["n3"].devices[0].disk = "Outdated";
  End(seen, "n2", "n3").devices[0].peer_disk = "Outdated";
  End(seen, "n3", "n2").devices[0].replication = "WFBitMapT";
  End(seen, "n3", "n2").devices[0].out_of_sync_kib = 4592;
  return seen;
}

TEST(StuckTest, IsFoundAlthoughADiskIsOutdatedAndCured) {
  const ResourceObservation seen = Stuck();
  EXPECT_EQ(CheckGate(seen, {}).kind, GateKind::kStuck);
  const Goal goal = Want(seen, true);
  Decision decision = Next(seen, goal, {}, kNow);
  EXPECT_EQ(decision.run.journal.step, Step::kReconnect) << decision.why;
  decision = Next(seen, goal, decision.run, kNow + seconds(31));
  ASSERT_TRUE(std::holds_alternative<RunOnNodes>(decision.action)) << decision.why;
  const NodeOp& cut = std::get<RunOnNodes>(decision.action).stages[0][0];
  EXPECT_EQ(cut.kind, NodeOp::Kind::kDisconnect);
  EXPECT_EQ(cut.node, "n3");
  EXPECT_EQ(cut.peer, "n2");
}

TEST(StuckTest, WithoutExactlyOnePrimaryNobodyCanSayWhoIsGood) {
  for (const bool none : {true, false}) {
    ResourceObservation seen = Stuck();
    seen.nodes["n1"].primary = !none;
    seen.nodes["n2"].primary = false;
    RunState run;
    run.journal = {Strategy::kPairByPair, Step::kReconnect, false, Pair::Of("n2", "n3"), kNow};
    run.stuck_since = kNow;
    seen.nodes["n1"].known = none;
    const Decision decision = Next(seen, Want(seen, false), run, kNow + seconds(31));
    EXPECT_TRUE(std::holds_alternative<Wait>(decision.action)) << decision.why;
  }
}

// A passing WFBitMap is part of every connect: an old one must not shorten the patience.
TEST(StuckTest, PatienceBeginsAnew) {
  RunState run;
  run.journal = {Strategy::kPairByPair, Step::kReconnect, false, Pair::Of("n2", "n3"), kNow};
  run.stuck_since = kNow;
  const ResourceObservation healthy = Healthy({"n1", "n2", "n3"});
  EXPECT_FALSE(Next(healthy, Want(healthy, false), run, kNow + seconds(5)).run.stuck_since);
}

}  // namespace
}  // namespace breakwater::replication
