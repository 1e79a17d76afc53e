// PlanCluster: what the whole cluster waits for. What would break for a user: adjusts that fail on
// every volume, a cluster that is decrypted by a typing error, hundreds of volumes moving at once.

#include "operator/core/replication/plan/cluster_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "operator/core/replication/plan/test_volume.h"

namespace breakwater::replication {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;
using testing_seen::End;
using testing_seen::Healthy;

struct Cluster {
  std::vector<ResourceObservation> resources{};
  ClusterInput input{};

  ClusterPlan Plan() {
    input.resources.clear();
    for (const ResourceObservation& seen : resources) {
      input.resources.push_back(std::make_shared<const ResourceObservation>(seen));
    }
    return PlanCluster(input);
  }

  void Apply(const ClusterPlan& plan) {
    for (const PinOp& pin : plan.pins) {
      for (ResourceObservation& seen : resources) {
        if (seen.resource == pin.resource) {
          seen.levels = After(seen.levels, pin.op);
        }
      }
    }
  }
};

ResourceObservation Unpinned(const std::string& name,
                             const std::vector<std::string>& nodes = {"n1", "n2", "n3"}) {
  ResourceObservation seen = Healthy(nodes);
  seen.resource = name;
  seen.levels.definition = {};
  seen.levels.controller.reset();
  return seen;
}

ResourceObservation Pinned(const std::string& name,
                           const std::vector<std::string>& nodes = {"n1", "n2", "n3"}) {
  ResourceObservation seen = Unpinned(name, nodes);
  seen.levels.definition = Level{false, true, false};
  return seen;
}

Cluster Of(std::vector<ResourceObservation> resources) {
  Cluster cluster;
  cluster.input.linstor_known = true;
  cluster.input.cluster_value = true;
  for (const ResourceObservation& seen : resources) {
    for (const auto& [node, view] : seen.nodes) {
      cluster.input.online_nodes.insert(node);
      cluster.input.agents[node] = {.connected = true};
    }
  }
  cluster.resources = std::move(resources);
  return cluster;
}

// Without this order LINSTOR's adjust fails on every connected volume and is repeated for ever (F1,
// L22).
TEST(ClusterPlanTest, PinsThenPushesThenStartsNeverTwoInOnePlan) {
  Cluster cluster = Of({Unpinned("r0"), Unpinned("r1")});
  ClusterPlan plan = cluster.Plan();
  EXPECT_THAT(plan.pins, SizeIs(2));
  EXPECT_FALSE(plan.push);
  EXPECT_THAT(plan.start, IsEmpty());
  cluster.Apply(plan);
  plan = cluster.Plan();
  EXPECT_THAT(plan.pins, IsEmpty());
  ASSERT_TRUE(plan.push);
  EXPECT_EQ(plan.push->value, true);
  EXPECT_THAT(plan.start, IsEmpty()) << "LINSTOR adjusts everything for it";
  cluster.input.linstor_value = true;
  cluster.input.linstor_value_ours = true;
  for (ResourceObservation& seen : cluster.resources) {
    seen.levels.controller = true;
  }
  plan = cluster.Plan();
  EXPECT_FALSE(plan.push);
  EXPECT_THAT(plan.start, ElementsAre("r0", "r1"));
  EXPECT_TRUE(plan.may_switch.contains("r1"));
}

// Facts CSI K11: a class gains the parameter, and the driver writes it to the group of volumes that
// exist: without pins LINSTOR's adjust fails on all of them (F1) before anybody had a plan.
TEST(ClusterPlanTest, AGroupThatWillGetTlsIsPinnedBefore) {
  ResourceObservation coming = Unpinned("r0");
  coming.levels.group_coming = true;
  Cluster cluster = Of({coming, Unpinned("r1")});
  cluster.input.cluster_value.reset();
  cluster.input.policy.paused = true;
  ClusterPlan plan = cluster.Plan();
  ASSERT_THAT(plan.pins, SizeIs(1)) << "r1 is in another group";
  EXPECT_EQ(plan.pins[0].resource, "r0");
  cluster.Apply(plan);
  cluster.input.policy.paused = false;
  plan = cluster.Plan();
  EXPECT_THAT(plan.pins, IsEmpty());
  EXPECT_THAT(plan.start, IsEmpty()) << "nobody asks for TLS on it yet, and the pin stays";
  cluster.resources[0].levels.group = true;
  plan = cluster.Plan();
  EXPECT_THAT(plan.start, ElementsAre("r0"));
}

TEST(ClusterPlanTest, ABadNodeHoldsBackOnlyWhatTouchesIt) {
  Cluster cluster = Of({Pinned("r0"), Pinned("r1", {"n4", "n5", "n6"})});
  cluster.input.unfit["n2"] = "CertificateExpired";
  const ClusterPlan plan = cluster.Plan();
  EXPECT_FALSE(plan.push) << "a new volume could be placed on n2 and would not connect";
  EXPECT_THAT(plan.push_held, HasSubstr("n2"));
  EXPECT_EQ(plan.push_unfit, "n2")
      << "REVIEW-2: new volumes stay in plaintext, and people are told";
  EXPECT_THAT(plan.start, ElementsAre("r1"));
  EXPECT_THAT(plan.held.at("r0"), HasSubstr("n2"));
}

// REVIEW-2 M8: new session keys wait for everything else, and one volume is enough at a time.
TEST(ClusterPlanTest, NewSessionKeysComeLastAndOneVolumeAtATime) {
  Cluster cluster;
  for (const char* name : {"r0", "r1", "r2"}) {
    ResourceObservation seen = Healthy({"n1", "n2", "n3"}, true);
    seen.resource = name;
    seen.levels = {.known = true, .controller = true};
    cluster.resources.push_back(std::move(seen));
  }
  const std::vector<ResourceObservation> encrypted = cluster.resources;
  cluster = Of(encrypted);
  cluster.input.linstor_value = cluster.input.linstor_value_ours = true;
  for (auto& [node, agent] : cluster.input.agents) {
    agent.protocol = kProtocolVersion;
  }
  const Pair pair = Pair::Of("n1", "n2");
  cluster.input.rekey = {{"r1", {{pair, "s"}}}, {"r2", {{pair, "s"}}}};
  EXPECT_THAT(cluster.Plan().start, ElementsAre("r1"));
  EXPECT_TRUE(cluster.Plan().may_switch.contains("r1"));
  cluster.input.in_flight = {"r1"};
  EXPECT_THAT(cluster.Plan().start, IsEmpty());
  EXPECT_TRUE(cluster.Plan().may_switch.contains("r1"));
  cluster.input.in_flight.clear();
  cluster.input.backing_off["r1"] = "it failed";
  EXPECT_THAT(cluster.Plan().start, ElementsAre("r2"));
  EXPECT_EQ(cluster.Plan().rekey_held.at("r1"), "it failed");
  cluster.input.policy.paused = true;
  EXPECT_THAT(cluster.Plan().start, IsEmpty());
  cluster.input.policy.paused = false;
  cluster.resources[0] = Pinned("r0");
  EXPECT_THAT(cluster.Plan().start, ElementsAre("r0")) << "plaintext first";
}

TEST(ClusterPlanTest, KeepsTheLimits) {
  std::vector<ResourceObservation> resources;
  for (int i = 0; i < 6; ++i) {
    resources.push_back(Pinned("r" + std::to_string(i)));
  }
  Cluster cluster = Of(resources);
  cluster.input.linstor_value = true;
  EXPECT_THAT(cluster.Plan().start, SizeIs(2)) << "per node";
  cluster.input.policy.max_parallel_per_node = 10;
  EXPECT_THAT(cluster.Plan().start, SizeIs(4));
  cluster.input.in_flight = {"r0", "r1", "r2"};
  EXPECT_THAT(cluster.Plan().start, SizeIs(1));
  cluster.input.policy.manual = true;
  EXPECT_THAT(cluster.Plan().start, IsEmpty());
  EXPECT_THAT(cluster.Plan().may_switch, IsEmpty());
  cluster.input.policy.released = {"r5", "r0"};
  EXPECT_THAT(cluster.Plan().start, ElementsAre("r5"));
  EXPECT_THAT(cluster.Plan().may_switch, ElementsAre("r0", "r5"));
  cluster.input.policy.paused = true;
  EXPECT_THAT(cluster.Plan().may_switch, IsEmpty()) << "a begun connection ends, the next waits";
}

// A volume that could not use its place must not keep it from others.
TEST(ClusterPlanTest, NoPlaceForAVolumeThatCannotBeSwitched) {
  ResourceObservation resyncs = Pinned("r0");
  End(resyncs, "n1", "n2").devices[0].replication = "SyncSource";
  ResourceObservation two = Pinned("r1", {"n4", "n5"});
  two.nodes["n4"].on_no_quorum = "io-error";
  Cluster cluster =
      Of({resyncs, two, Pinned("r2", {"n7", "n8", "n9"}), Pinned("r3", {"a", "b", "c"})});
  cluster.input.linstor_value = true;
  cluster.input.policy.max_parallel_resources = 1;
  cluster.input.agents.erase("n8");
  ClusterPlan plan = cluster.Plan();
  EXPECT_THAT(plan.start, ElementsAre("r3"));
  EXPECT_THAT(plan.held.at("r0"), HasSubstr("SyncSource"));
  EXPECT_THAT(plan.held.at("r1"), HasSubstr("io-error"));
  EXPECT_THAT(plan.held.at("r2"), HasSubstr("n8 has no agent"));
  cluster.input.policy.allow_single_copy = true;
  EXPECT_THAT(cluster.Plan().start, ElementsAre("r1"));
}

// Somebody set one end to plaintext while the connection was down: LINSTOR's "yes" is what is
// right, and a pin must not tell it otherwise.
TEST(ClusterPlanTest, OneEndThatDiffersIsNoReasonToPin) {
  for (const char* node : {"n1", "n2"}) {
    ResourceObservation seen = Healthy({"n1", "n2", "n3"}, true);
    seen.levels.definition = {};
    seen.levels.controller = true;
    EndView& end = End(seen, node, std::string(node) == "n1" ? "n2" : "n1");
    end.tls = false;
    end.state = "Connecting";
    Cluster cluster = Of({seen});
    cluster.input.linstor_value = true;
    EXPECT_THAT(cluster.Plan().pins, IsEmpty()) << node;
  }
}

// A value that a user or a StorageClass put on the definition migrates the volume as well (A4).
TEST(ClusterPlanTest, PinsThePairsOfAResourceWithAValueOfItsOwn) {
  ResourceObservation seen = Unpinned("r0");
  seen.levels.definition = Level{true, false, std::nullopt};
  Cluster cluster = Of({seen});
  cluster.input.cluster_value.reset();
  const ClusterPlan plan = cluster.Plan();
  ASSERT_THAT(plan.pins, SizeIs(3));
  EXPECT_EQ(std::get<SetPair>(plan.pins[0].op).value, false);
  cluster.Apply(plan);
  EXPECT_THAT(cluster.Plan().start, ElementsAre("r0"));
}

// A volume whose switch was given up half-way. What would break: the definition's new pin reaches
// LINSTOR while a pair still runs the other value, and its adjust fails there (F1), for ever (L22).
TEST(ClusterPlanTest, NoStepOfPinningSaysWhatAConnectionDoesNotRun) {
  ResourceObservation seen = Healthy({"n1", "n2", "n3"}, true);
  seen.levels.definition = Level{false, true, false};
  seen.levels.controller = true;
  for (const char* node : {"n2", "n3"}) {
    EndView& end = End(seen, node, std::string(node) == "n2" ? "n3" : "n2");
    end.tls = false;
    end.sockets = SocketProof::kPlaintext;
  }
  Cluster cluster = Of({seen});
  cluster.input.linstor_value = true;
  cluster.input.policy.paused = true;
  const ClusterPlan plan = cluster.Plan();
  ASSERT_THAT(plan.pins, Not(IsEmpty()));
  ResourceLevels levels = seen.levels;
  for (const PinOp& pin : plan.pins) {
    levels = After(levels, pin.op);
    EXPECT_FALSE(Effective(levels, "n2/n3")) << Describe(pin.op);
  }
  EXPECT_TRUE(Effective(levels, "n1/n2"));
  EXPECT_TRUE(Effective(levels, "n1/n3"));
}

// REVIEW-1 M7: "no" on the definition, by a person, while the cluster goes to TLS.
TEST(ClusterPlanTest, AnExemptedVolumeStaysAsItIs) {
  ResourceObservation seen = Unpinned("r0");
  seen.levels.definition = ReadLevel({{std::string(kTlsProperty), "no"}}, kPinMarker);
  Cluster cluster = Of({seen});
  cluster.input.linstor_value = true;
  cluster.resources[0].levels.controller = true;
  const ClusterPlan plan = cluster.Plan();
  EXPECT_THAT(plan.pins, IsEmpty());
  EXPECT_THAT(plan.start, IsEmpty());
  EXPECT_FALSE(plan.wanted.at("r0").begin()->second);
  EXPECT_EQ(plan.migrated, 1);
}

// "true" is not "no", and a deleted line is not the wish to decrypt.
TEST(ClusterPlanTest, AWrongOrRemovedValueMovesNothing) {
  ResourceObservation encrypted = Healthy({"n1", "n2", "n3"}, true);
  encrypted.levels.definition = {};
  encrypted.levels.controller = true;
  Cluster cluster = Of({encrypted});
  cluster.input.linstor_value = true;
  cluster.input.linstor_value_ours = true;
  cluster.input.cluster_value.reset();
  ClusterPlan plan = cluster.Plan();
  EXPECT_EQ(plan.problem.reason, "ValueRemoved");
  EXPECT_TRUE(plan.pins.empty() && !plan.push && plan.start.empty());
  EXPECT_TRUE(plan.wanted.at("r0").begin()->second);
  cluster.input.invalid = "the value 'true' is neither yes nor no";
  cluster.input.linstor_value_ours = false;
  cluster.input.linstor_value.reset();
  plan = cluster.Plan();
  EXPECT_EQ(plan.problem.reason, "InvalidValue");
  EXPECT_TRUE(plan.pins.empty() && !plan.push && plan.start.empty());
}

// One volume with lb-tcp must not hold back the others (F8.5).
TEST(ClusterPlanTest, ATransportWithoutTlsHoldsOnlyItsVolume) {
  Cluster cluster = Of({Pinned("r0"), Pinned("r1")});
  cluster.input.linstor_value = true;
  End(cluster.resources[0], "n1", "n2").bad_transport = "lb-tcp";
  const ClusterPlan plan = cluster.Plan();
  EXPECT_THAT(plan.start, ElementsAre("r1"));
  EXPECT_THAT(plan.held.at("r0"), HasSubstr("lb-tcp"));
}

// LINSTOR adjusts everything for a cluster-wide value, and resumes what is suspended (L17, L24).
TEST(ClusterPlanTest, TheClustersValueWaitsForWhatIsBeingSwitched) {
  Cluster cluster = Of({Pinned("r0"), Pinned("r1")});
  cluster.input.in_flight = cluster.input.journalled = {"r0"};
  const ClusterPlan plan = cluster.Plan();
  EXPECT_FALSE(plan.push);
  EXPECT_THAT(plan.push_held, HasSubstr("r0"));
  EXPECT_THAT(plan.start, IsEmpty()) << "else the value would never have its turn";
}

TEST(ClusterPlanTest, DoesNothingWhenNothingIsAsked) {
  Cluster cluster = Of({Unpinned("r0")});
  cluster.input.cluster_value.reset();
  const ClusterPlan plan = cluster.Plan();
  EXPECT_TRUE(plan.pins.empty() && plan.start.empty() && !plan.push);
}

// REVIEW-1 R2, L33: a pin that was set while a satellite was in its full sync did not reach the
// node; the cluster's value then did.
TEST(SettledTest, ThePushWaitsUntilTheNodesHaveThePins) {
  Cluster cluster = Of({Pinned("r0")});
  for (auto& [pair, connection] : cluster.resources[0].connections) {
    connection.a.res_tls = connection.b.res_tls = false;
  }
  EXPECT_TRUE(cluster.Plan().push);
  End(cluster.resources[0], "n2", "n1").res_tls = true;
  ClusterPlan plan = cluster.Plan();
  EXPECT_FALSE(plan.push);
  EXPECT_THAT(plan.push_held, HasSubstr("r0"));
  EXPECT_THAT(plan.push_held, HasSubstr("n2"));
  EXPECT_EQ(plan.unsettled.at("r0"), "n2");
  EXPECT_THAT(plan.pins, IsEmpty());
  cluster.input.touch = {"r0"};  // for long: the same value is no change (L21), another marker is
  plan = cluster.Plan();
  ASSERT_THAT(plan.pins, SizeIs(1));
  EXPECT_EQ(plan.pins[0].op, LinstorOp(SetPin{false, false, 1}));
  cluster.Apply(plan);
  EXPECT_EQ(cluster.resources[0].levels.definition.touches, 1);
  cluster.input.offline_nodes = {"n2"};  // it gets everything when it is back (L27)
  cluster.input.online_nodes.erase("n2");
  EXPECT_TRUE(cluster.Plan().push);
}

TEST(SettledTest, NothingIsSetWhileASatelliteIsInItsFullSync) {
  Cluster cluster = Of({Unpinned("r0")});
  cluster.input.online_nodes.erase("n2");
  ClusterPlan plan = cluster.Plan();
  EXPECT_THAT(plan.pins, IsEmpty());
  EXPECT_FALSE(plan.push);
  EXPECT_THAT(plan.push_held, HasSubstr("n2"));
  EXPECT_THAT(plan.held.at("r0"), HasSubstr("ONLINE"));
  cluster.resources[0].levels.definition = Level{false, true, false};
  EXPECT_FALSE(cluster.Plan().push) << "nor pushed, when nothing says what the node's file has";
  cluster.input.online_nodes.insert("n2");
  EXPECT_TRUE(cluster.Plan().push);
}

// REVIEW-1 H4: LINSTOR resumes what it adjusts (L24), a snapshot in the making too.
TEST(SuspendedClusterTest, NoPinAndNoPushMeanwhile) {
  Cluster cluster = Of({Unpinned("r0"), Unpinned("r1")});
  cluster.resources[0].nodes["n1"].suspended_user = true;
  ClusterPlan plan = cluster.Plan();
  ASSERT_THAT(plan.pins, SizeIs(1));
  EXPECT_EQ(plan.pins[0].resource, "r1");
  cluster.Apply(plan);
  cluster.resources[0].levels.definition = Level{false, true, false};
  plan = cluster.Plan();
  EXPECT_FALSE(plan.push);
  EXPECT_THAT(plan.push_held, HasSubstr("r0"));
}

// An adjust would reconnect it and erase the record of what the peer lacks (F12.3).
TEST(SuspendedClusterTest, NorWhileAStalePeerIsStandAlone) {
  Cluster cluster = Of({Unpinned("r0")});
  cluster.input.untouchable["r0"] = "n2 lacks writes";
  const ClusterPlan plan = cluster.Plan();
  EXPECT_THAT(plan.pins, IsEmpty());
  EXPECT_FALSE(plan.push);
  EXPECT_THAT(plan.push_held, HasSubstr("lacks writes"));
}

// REVIEW-1 R5: tlshd of n2 was dead although its container was ready, and every volume was cut and
// taken back in turn.
TEST(FailedElsewhereTest, OneFailureHoldsBackTheSamePairAndTwoTheNode) {
  Cluster cluster =
      Of({Pinned("r0", {"n1", "n2"}), Pinned("r1", {"n2", "n4"}), Pinned("r2", {"n4", "n5"})});
  cluster.input.linstor_value = true;
  cluster.input.failed_pairs[Pair::Of("n1", "n2")] = "Timeout";
  ClusterPlan plan = cluster.Plan();
  EXPECT_THAT(plan.start, ElementsAre("r1", "r2"));
  EXPECT_THAT(plan.held.at("r0"), HasSubstr("n1 and n2"));
  cluster.input.in_flight = {"r0"};
  EXPECT_FALSE(cluster.Plan().may_switch.contains("r0")) << "one that has a place waits as well";
  cluster.input.in_flight.clear();
  cluster.input.failed_pairs[Pair::Of("n2", "n3")] = "Timeout";
  plan = cluster.Plan();
  EXPECT_THAT(plan.start, ElementsAre("r2"));
  EXPECT_THAT(plan.held.at("r1"), HasSubstr("node n2"));
}

// REVIEW-1 M1: a mistake with the CA breaks every connection of every volume at once.
TEST(RepairBudgetTest, HasLimits) {
  std::vector<ResourceObservation> resources;
  for (int i = 0; i < 1000; ++i) {
    const std::string base = "n" + std::to_string(i % 40);
    resources.push_back(Pinned("r" + std::to_string(1000 + i), {base + "a", base + "b"}));
    auto& connection = resources.back().connections.begin()->second;
    connection.a.tls = connection.b.tls = true;
    connection.a.state = connection.b.state = "StandAlone";
  }
  Cluster cluster = Of(resources);
  EXPECT_THAT(cluster.Plan().repair_allowed, SizeIs(8));
  cluster.input.policy.max_parallel_repairs = 1000;
  EXPECT_THAT(cluster.Plan().repair_allowed, SizeIs(80)) << "two per node";
  cluster.input.policy.max_parallel_repairs = 8;
  cluster.input.repairing = {"r1999"};
  cluster.input.backing_off["r1000"] = "tried lately";
  const ClusterPlan plan = cluster.Plan();
  EXPECT_TRUE(plan.repair_allowed.contains("r1999")) << "what is under way keeps its place";
  EXPECT_FALSE(plan.repair_allowed.contains("r1000")) << "others have their turn";
  EXPECT_THAT(plan.repair_allowed, SizeIs(8));
  cluster.input.repairing.clear();
  cluster.input.policy.paused = true;
  EXPECT_THAT(cluster.Plan().repair_allowed, IsEmpty());
  cluster.resources[5].connections.begin()->second.a.tls = false;
  EXPECT_THAT(cluster.Plan().repair_allowed, SizeIs(1)) << "left half done by a crash";
}

// REVIEW-1 R8: Complete must not become Migrating because values of ours are taken away.
TEST(PhaseTest, CleanUpIsNoMigration) {
  ResourceObservation done = Healthy({"n1", "n2", "n3"}, true);
  done.levels.controller = true;
  done.levels.definition = Level{false, true, false};
  for (const auto& [pair, connection] : done.connections) {
    done.levels.pairs[pair.ToString()] = Level{true, true, false};
  }
  Cluster cluster = Of({done});
  cluster.input.linstor_value = true;
  for (const bool in_flight : {false, true}) {
    cluster.input.in_flight = in_flight ? std::set<std::string>{"r0"} : std::set<std::string>{};
    const ClusterPlan plan = cluster.Plan();
    EXPECT_EQ(plan.differing, 0);
    EXPECT_EQ(plan.cleaning, 1);
    EXPECT_TRUE(plan.may_switch.contains("r0"));
  }
}

}  // namespace
}  // namespace breakwater::replication
