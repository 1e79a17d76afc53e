// Which cut is harmless, seen from the topology. What would break for a user: writes that only one
// copy has, or a volume that freezes because its Primary lost quorum.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "operator/core/replication/volume/gate.h"
#include "operator/core/replication/volume/test_observations.h"

namespace breakwater::replication {
namespace {

using ::testing::HasSubstr;
using testing_seen::End;
using testing_seen::Healthy;
using GateKind = GateResult::Kind;

std::optional<std::string> Obstacle(const ResourceObservation& seen, const Pair& pair) {
  return CutObstacle(seen, pair, /*allow_single_copy=*/false);
}

TEST(GateTest, HoldsOnlyWhenEverythingIsPerfectSeenFromThePrimary) {
  struct Case {
    const char* what;
    GateKind kind;
    std::function<void(ResourceObservation&)> change;
  };

  const std::vector<Case> cases = {
      {"healthy", GateKind::kOk, [](auto&) {}},
      {"peer outdated", GateKind::kStale,
       [](auto& s) { End(s, "n1", "n2").devices[0].peer_disk = "Outdated"; }},
      {"out of sync", GateKind::kOutOfSync,
       [](auto& s) { End(s, "n1", "n2").devices[0].out_of_sync_kib = 4; }},
      {"out of sync between Secondaries is normal (F4.8)", GateKind::kOk,
       [](auto& s) { End(s, "n2", "n3").devices[0].out_of_sync_kib = 4; }},
      {"resync", GateKind::kResync,
       [](auto& s) { End(s, "n1", "n2").devices[0].replication = "SyncSource"; }},
      {"one end still connecting", GateKind::kNotConnected,
       [](auto& s) { End(s, "n2", "n1").state = "Connecting"; }},
      {"ends configured differently", GateKind::kNotConfigured,
       [](auto& s) { End(s, "n2", "n1").tls = true; }},
      {"TLS without proof", GateKind::kNoProof,
       [](auto& s) { End(s, "n1", "n2").tls = End(s, "n2", "n1").tls = true; }},
      {"TLS below the minimum", GateKind::kNoProof,
       [](auto& s) {
         s = Healthy({"n1", "n2", "n3"}, true);
         End(s, "n2", "n1").sockets = SocketProof::kWeak;
       }},
      {"stuck Secondaries", GateKind::kStuck,
       [](auto& s) { End(s, "n3", "n2").devices[0].replication = "WFBitMapT"; }},
      {"node silent", GateKind::kUnknown, [](auto& s) { s.nodes["n3"].known = false; }},
      {"quorum lost", GateKind::kQuorum, [](auto& s) { s.nodes["n1"].devices[0].quorum = false; }},
      {"suspended", GateKind::kSuspended, [](auto& s) { s.nodes["n1"].suspended_user = true; }},
  };
  for (const Case& test : cases) {
    ResourceObservation seen = Healthy({"n1", "n2", "n3"});
    test.change(seen);
    const GateResult result = CheckGate(seen, {});
    EXPECT_EQ(result.kind, test.kind) << test.what << ": " << result.reason;
  }
}

// KubeVirt's live migration opens a volume on two nodes: the two writers must not be separated.
TEST(TopologyTest, NothingIsCutWhileTwoNodesArePrimary) {
  ResourceObservation seen = Healthy({"n1", "n2", "n3"});
  seen.nodes["n2"].primary = true;
  EXPECT_THAT(Obstacle(seen, Pair::Of("n1", "n2")).value_or(""), HasSubstr("more than one"));
  ASSERT_TRUE(FindPrimaryProblem(seen));
  EXPECT_FALSE(FindPrimaryProblem(seen)->passing);
}

// The nodes are asked one after the other: n2 became Primary after its own report.
TEST(TopologyTest, APeersViewOfARoleCountsToo) {
  ResourceObservation seen = Healthy({"n1", "n2", "n3"});
  for (const char* node : {"n2", "n3"}) {
    End(seen, node, "n1").peer_role = "Primary";
    EXPECT_FALSE(Obstacle(seen, Pair::Of("n1", "n2")));
  }
  End(seen, "n3", "n2").peer_role = "Primary";
  EXPECT_TRUE(Obstacle(seen, Pair::Of("n1", "n2")));
  ResourceObservation nobody = Healthy({"n1", "n2", "n3"});
  nobody.nodes["n1"].primary = false;
  EXPECT_FALSE(Obstacle(nobody, Pair::Of("n2", "n3")));
  End(nobody, "n2", "n1").peer_role = "Primary";
  EXPECT_THAT(Obstacle(nobody, Pair::Of("n2", "n3")).value_or(""), HasSubstr("agree"));
}

// After an I/O error DRBD detaches: "Diskless", but no client. The last copy must not be cut off.
TEST(TopologyTest, AFailedDiskIsNoTieBreaker) {
  ResourceObservation seen = Healthy({"n1", "n2", "n3"});
  seen.nodes["n3"].devices[0].disk = "Diskless";
  End(seen, "n1", "n3").devices[0].peer_disk = "Diskless";
  End(seen, "n2", "n3").devices[0].peer_disk = "Diskless";
  EXPECT_EQ(CheckGate(seen, {}).kind, GateKind::kDisk);
  EXPECT_TRUE(Obstacle(seen, Pair::Of("n1", "n2"))) << "n1 would be alone with its data";
  seen.nodes["n3"].devices[0].disk = "UpToDate";
  EXPECT_EQ(CheckGate(seen, {}).kind, GateKind::kDisk) << "the Primary's view alone is enough";
  seen.nodes["n3"].devices[0] = {
      .volume = 0, .minor = 1, .disk = "Diskless", .client = true, .quorum = true};
  End(seen, "n1", "n3").devices[0].peer_client = true;
  End(seen, "n2", "n3").devices[0].peer_client = true;
  EXPECT_TRUE(CheckGate(seen, {}).ok()) << CheckGate(seen, {}).reason;
  EXPECT_FALSE(CutObstacle(seen, Pair::Of("n1", "n2"), /*allow_single_copy=*/true));
  EXPECT_THAT(Obstacle(seen, Pair::Of("n1", "n2")).value_or(""), HasSubstr("alone"));
}

// An option that the tools did not print is no permission.
TEST(TopologyTest, UnknownOptionsBlock) {
  ResourceObservation seen = Healthy({"n1", "n2", "n3"});
  seen.nodes["n1"].quorum = "";
  EXPECT_THAT(Obstacle(seen, Pair::Of("n1", "n2")).value_or(""), HasSubstr("quorum"));
  seen.nodes["n1"].quorum = "majority";
  seen.nodes["n1"].minimum_redundancy = "";
  EXPECT_THAT(Obstacle(seen, Pair::Of("n1", "n2")).value_or(""), HasSubstr("quorum"));
}

// quorum-minimum-redundancy asks for up-to-date copies, not for voters.
TEST(TopologyTest, MinimumRedundancyCountsGoodCopies) {
  ResourceObservation seen = Healthy({"n1", "n2", "n3"});
  seen.nodes["n1"].minimum_redundancy = "2";
  EXPECT_FALSE(Obstacle(seen, Pair::Of("n1", "n2")));
  seen.nodes["n1"].minimum_redundancy = "3";
  EXPECT_TRUE(Obstacle(seen, Pair::Of("n1", "n2")));
  seen.nodes["n1"].minimum_redundancy = "all";
  EXPECT_TRUE(Obstacle(seen, Pair::Of("n1", "n2")));
  seen.nodes["n1"].minimum_redundancy = "2";
  End(seen, "n1", "n3").devices[0].peer_disk = "Inconsistent";
  EXPECT_TRUE(Obstacle(seen, Pair::Of("n1", "n2")));
}

// A list that is missing or too short proves nothing about the volumes that it does not name.
TEST(TopologyTest, MissingVolumesAreNotGood) {
  ResourceObservation seen = Healthy({"n1", "n2", "n3"});
  End(seen, "n1", "n3").devices.clear();
  EXPECT_EQ(CheckGate(seen, {}).kind, GateKind::kUnknown);
  seen.nodes["n1"].devices[0].disk = "Diskless";
  seen.nodes["n1"].devices[0].client = true;
  EXPECT_THAT(Obstacle(seen, Pair::Of("n1", "n2")).value_or(""), HasSubstr("last up-to-date"));
  seen = Healthy({"n1", "n2", "n3"});
  seen.nodes["n2"].devices.push_back(
      {.volume = 1, .minor = 2, .disk = "UpToDate", .client = false, .quorum = true});
  EXPECT_EQ(CheckGate(seen, {}).kind, GateKind::kUnknown);
  seen = Healthy({"n1", "n2", "n3"});
  seen.nodes["n2"].devices.clear();
  EXPECT_FALSE(CheckGate(seen, {}).ok());
  EXPECT_FALSE(seen.nodes["n2"].Diskless());
}

// The recorded stuck state (F4.9): n3 calls itself Outdated.
TEST(TopologyTest, StuckSecondariesAreFoundAlthoughADiskIsOutdated) {
  ResourceObservation seen = Healthy({"n1", "n2", "n3"});
  seen.nodes["n3"].devices[0].disk = "Outdated";
  End(seen, "n2", "n3").devices[0].peer_disk = "Outdated";
  End(seen, "n3", "n2").devices[0].replication = "WFBitMapT";
  End(seen, "n3", "n2").devices[0].out_of_sync_kib = 4592;
  EXPECT_EQ(CheckGate(seen, {}).kind, GateKind::kStuck);
}

// F4.7, F26.2: whoever is cut in an orderly way is Outdated and takes no quorum away.
TEST(AfterCutTest, AnOrderlyCutKeepsAMajority) {
  const ResourceObservation two = Healthy({"n1", "n2"});
  const AfterCut cut = LookAfterCut(two, "n1", {Pair::Of("n1", "n2")});
  EXPECT_TRUE(cut.quorum);
  EXPECT_EQ(cut.copies, 1);
  EXPECT_EQ(cut.copies_before, 2);
  ResourceObservation three = Healthy({"n1", "n2", "n3"});
  EXPECT_TRUE(LookAfterCut(three, "n1", {Pair::Of("n1", "n2"), Pair::Of("n1", "n3")}).quorum);
  for (const char* rule : {"all", "3", "what"}) {
    three.nodes["n1"].quorum = rule;
    EXPECT_FALSE(LookAfterCut(three, "n1", {Pair::Of("n1", "n2")}).quorum) << rule;
  }
}

}  // namespace
}  // namespace breakwater::replication
