#include "tests/e2e/sim/linstor/placement.h"

#include <gtest/gtest.h>

namespace breakwater::sim {
namespace {

constexpr std::int64_t kPoolKib = 1000;

/// n1 … n4 in zones a, b, a, c, a thin pool on each.
class PlacementTest : public ::testing::Test {
 protected:
  PlacementTest() {
    const std::vector<std::string> zones = {"a", "b", "a", "c"};
    for (std::size_t i = 0; i < zones.size(); ++i) {
      const std::string name = "n" + std::to_string(i + 1);
      Node node;
      node.name = name;
      node.props = {{"Aux/zone", zones[i]}};
      state_.nodes[name] = node;
      StorPool pool;
      pool.name = "thin";
      pool.node = name;
      pool.kind = "LVM_THIN";
      pool.free_kib = kPoolKib;
      pool.total_kib = kPoolKib;
      state_.pools[PoolKey(name, "thin")] = pool;
      question_.online.push_back(name);
    }
    definition_.name = "r1";
    definition_.volumes[0].size_kib = 100;
  }

  void AddReplica(const std::string& node, const std::vector<std::string>& flags = {}) {
    Resource resource;
    resource.node = node;
    resource.flags = flags;
    resource.volumes[0].pool = "thin";
    definition_.resources[node] = resource;
  }

  std::vector<std::string> Nodes(int count) {
    std::vector<std::string> out;
    for (const auto& [node, pool] : Choose(state_, definition_, question_, count)) {
      out.push_back(node);
    }
    return out;
  }

  State state_;
  Definition definition_;
  PlaceQuestion question_;
};

using Names = std::vector<std::string>;

TEST_F(PlacementTest, AFirstChoiceThatLeadsNowhereIsTakenBack) {
  // "b" has one node: two replicas in one zone exist only in "a", though n2 is as good as n1.
  state_.pools.at(PoolKey("n2", "thin")).free_kib = kPoolKib * 2;  // looked at first
  question_.same = {"Aux/zone"};
  EXPECT_EQ(Nodes(2), (Names{"n1", "n3"}));
  EXPECT_EQ(Nodes(1), (Names{"n2"}));
}

TEST_F(PlacementTest, ReplicasThatAreThereBindTheNewOnes) {
  AddReplica("n3");
  question_.different = {"Aux/zone"};
  EXPECT_EQ(Nodes(2), (Names{"n2", "n4"}));
  question_.different.clear();
  question_.same = {"Aux/zone=b"};
  EXPECT_EQ(Nodes(1), (Names{"n1"})) << "the zone that is used already wins";
}

TEST_F(PlacementTest, FewerWhenThereAreNotEnough) {
  question_.different = {"Aux/zone"};
  EXPECT_EQ(Nodes(4).size(), 3U);
}

TEST_F(PlacementTest, NodesThatWantNoReplicasGetNone) {
  state_.nodes.at("n1").props["AutoplaceTarget"] = "False";
  state_.nodes.at("n2").flags = {"EVACUATE"};
  EXPECT_EQ(Nodes(4), (Names{"n3", "n4"}));
}

TEST_F(PlacementTest, ADisklessResourceGivesWayOnlyWhenAskedTo) {
  AddReplica("n1", {"DISKLESS", "DRBD_DISKLESS"});
  AddReplica("n2", {"DISKLESS", "DRBD_DISKLESS", "TIE_BREAKER"});
  EXPECT_EQ(Nodes(4), (Names{"n2", "n3", "n4"}));
  question_.replaces = "n1";
  EXPECT_EQ(Nodes(4).size(), 4U);
}

TEST_F(PlacementTest, AdditionalIsExactlyThatManyMore) {  // CSI.md, row 2
  AddReplica("n1");
  AddReplica("n2", {"DELETE"});
  question_.place_count = 2;
  EXPECT_EQ(MissingReplicas(definition_, question_), 1);
  question_.additional = 3;
  EXPECT_EQ(MissingReplicas(definition_, question_), 3);
}

TEST_F(PlacementTest, CapacityOfThinPools) {  // CSI.md, row 10
  AddReplica("n1");
  state_.definitions["r1"] = definition_;
  auto& pool = state_.pools.at(PoolKey("n1", "thin"));
  EXPECT_EQ(CapacityKib(state_, pool), kPoolKib * 20 - 100) << "100 KiB are promised";
  pool.free_kib = 10;
  EXPECT_EQ(CapacityKib(state_, pool), 200);
  state_.controller["MaxOversubscriptionRatio"] = "2";
  EXPECT_EQ(CapacityKib(state_, pool), 20);
  pool.props["MaxFreeCapacityOversubscriptionRatio"] = "5";
  EXPECT_EQ(CapacityKib(state_, pool), 50);
  pool.kind = "LVM";
  EXPECT_EQ(CapacityKib(state_, pool), 10);
}

TEST_F(PlacementTest, WhenATiebreakerIsDue) {
  AddReplica("n1");
  EXPECT_FALSE(WantsTiebreaker(state_, definition_));
  AddReplica("n2");
  EXPECT_EQ(TiebreakerNode(state_, definition_, question_.online), "n3");
  AddReplica("n3", {"DISKLESS", "DRBD_DISKLESS", "TIE_BREAKER"});
  EXPECT_TRUE(WantsTiebreaker(state_, definition_)) << "one that is there stays wanted";
  EXPECT_EQ(TiebreakerNode(state_, definition_, question_.online), "");
  AddReplica("n4", {"DISKLESS", "DRBD_DISKLESS"});
  EXPECT_EQ(NeedlessTiebreakers(state_, definition_), (Names{"n3"}));
  definition_.resources.erase("n4");
  definition_.layers = {"LUKS", "STORAGE"};
  EXPECT_FALSE(WantsTiebreaker(state_, definition_)) << "only DRBD has a quorum";
}

}  // namespace
}  // namespace breakwater::sim
