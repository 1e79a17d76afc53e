// A node that says nothing, or whose report is refused (REVIEW-2 M2), while its satellite still does
// what LINSTOR says. What would break for a user: one such node, hostile or broken, keeps the whole
// cluster in plaintext; or the cluster's value cuts a volume on it, because its pin never got there.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "operator/core/replication/plan/cluster_plan.h"
#include "operator/core/replication/plan/test_volume.h"

namespace breakwater::replication {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing_seen::Healthy;
using testing_seen::MakeDiskless;

/// All that is known of the node goes; what others say of it stays.
void Silence(const std::string& node, ResourceObservation* seen) {
  if (!seen->nodes.contains(node)) {
    return;
  }
  seen->nodes[node] = NodeView{.name = node};
  for (auto& [pair, connection] : seen->connections) {
    if (pair.Has(node)) {
      (pair.a == node ? connection.a : connection.b) = EndView{};
    }
  }
}

class Cluster {
 public:
  explicit Cluster(std::vector<ResourceObservation> resources) : resources_(std::move(resources)) {
    input.linstor_known = true;
    input.cluster_value = true;
    for (const ResourceObservation& seen : resources_) {
      for (const auto& [node, view] : seen.nodes) {
        input.online_nodes.insert(node);
        input.agents[node] = {.connected = true};
      }
    }
  }

  void Silence(const std::string& node) {
    input.agents[node].connected = false;
    for (ResourceObservation& seen : resources_) {
      replication::Silence(node, &seen);
    }
  }

  ClusterPlan Plan() {
    input.resources.clear();
    for (const ResourceObservation& seen : resources_) {
      input.resources.push_back(std::make_shared<const ResourceObservation>(seen));
    }
    return PlanCluster(input);
  }

  /// As the controller does, until a plan changes nothing in LINSTOR any more.
  ClusterPlan Settle() {
    for (int pass = 0; pass < 5; ++pass) {
      ClusterPlan plan = Plan();
      if (plan.pins.empty() && !plan.push) {
        return plan;
      }
      for (ResourceObservation& seen : resources_) {
        for (const PinOp& pin : plan.pins) {
          seen.levels = pin.resource == seen.resource ? After(seen.levels, pin.op) : seen.levels;
        }
        if (plan.push) {
          seen.levels.controller = plan.push->value;
        }
      }
      if (plan.push) {
        input.linstor_value = plan.push->value;
        input.linstor_value_ours = true;
      }
    }
    ADD_FAILURE() << "it never rests";
    return {};
  }

  ClusterInput input{};

 private:
  std::vector<ResourceObservation> resources_;
};

ResourceObservation Unpinned(const std::string& name, const std::vector<std::string>& nodes) {
  ResourceObservation seen = Healthy(nodes);
  seen.resource = name;
  seen.levels.definition = {};
  seen.levels.controller.reset();
  return seen;
}

TEST(SilentNodeTest, VolumesWithoutAReplicaOnItMoveAndTheValueWaits) {
  Cluster cluster({Unpinned("r0", {"n1", "n2", "n3"}), Unpinned("r1", {"n1", "n2"})});
  cluster.Silence("n3");
  const ClusterPlan plan = cluster.Settle();
  EXPECT_THAT(plan.start, ElementsAre("r1"));
  EXPECT_THAT(plan.held.at("r0"), HasSubstr("node n3 does not answer"));
  EXPECT_NE(cluster.input.linstor_value, true)
      << "the satellite of n3 would follow it, and may lack the pin of r0 (L33)";
  EXPECT_THAT(plan.push_held, AllOf(HasSubstr("node n3"), HasSubstr("volume r0")));
  EXPECT_EQ(plan.push_unfit, "n3") << "new volumes are plaintext meanwhile: people are told";
}

TEST(SilentNodeTest, TheValueGoesWhenNothingThereDependsOnAPin) {
  ResourceObservation encrypted = Healthy({"n1", "n2", "n3"}, true);
  encrypted.levels.definition = Level{true, false, std::nullopt};  // a person's own value
  encrypted.levels.controller.reset();
  Cluster cluster({encrypted, Unpinned("r1", {"n1", "n2"})});
  cluster.Silence("n3");
  EXPECT_THAT(cluster.Settle().start, ElementsAre("r1"));
  EXPECT_EQ(cluster.input.linstor_value, true);
}

// L27: it gets pins and value together.
TEST(SilentNodeTest, ANodeThatLinstorShowsOfflineIsNotWaitedFor) {
  Cluster cluster({Unpinned("r0", {"n1", "n2", "n3"}), Unpinned("r1", {"n1", "n2"})});
  cluster.Silence("n3");
  cluster.input.online_nodes.erase("n3");
  cluster.input.offline_nodes.insert("n3");
  EXPECT_THAT(cluster.Settle().start, ElementsAre("r1"));
  EXPECT_EQ(cluster.input.linstor_value, true);
}

// A satellite whose pin did not arrive writes it again when it is touched; one that nobody hears
// would be written to for ever.
TEST(SilentNodeTest, ItsPinsAreNotWrittenAgainAndAgain) {
  Cluster cluster({Unpinned("r0", {"n1", "n2", "n3"})});
  cluster.Silence("n3");
  (void)cluster.Settle();
  cluster.input.touch = {"r0"};
  const ClusterPlan plan = cluster.Plan();
  EXPECT_THAT(plan.pins, IsEmpty());
  EXPECT_THAT(plan.unsettled, IsEmpty());
}

// The way back: a "no" that reaches a satellite without the pin would decrypt at the next adjust.
TEST(SilentNodeTest, TheWayBackWaitsAsWell) {
  ResourceObservation encrypted = Healthy({"n1", "n2", "n3"}, true);
  encrypted.levels.definition = {};
  encrypted.levels.controller = true;
  Cluster cluster({encrypted});
  cluster.input.cluster_value = false;
  cluster.input.linstor_value = cluster.input.linstor_value_ours = true;
  cluster.Silence("n3");
  const ClusterPlan plan = cluster.Settle();
  EXPECT_EQ(cluster.input.linstor_value, true);
  EXPECT_THAT(plan.push_held, HasSubstr("node n3"));
  EXPECT_EQ(plan.push_unfit, "") << "new volumes are encrypted meanwhile";
}

std::vector<ResourceObservation> SomeVolumes(std::mt19937* random) {
  static const std::vector<std::string> kNodes = {"n1", "n2", "n3", "n4", "n5"};
  std::vector<ResourceObservation> volumes;
  const auto pick = [random](std::size_t n) { return (*random)() % n; };
  for (std::size_t i = 0, count = 1 + pick(6); i < count; ++i) {
    std::vector<std::string> nodes = kNodes;
    std::shuffle(nodes.begin(), nodes.end(), *random);
    nodes.resize(2 + pick(3));
    const bool tls = pick(3) == 0;
    ResourceObservation seen = Healthy(nodes, tls);
    seen.resource = "r" + std::to_string(i);
    seen.levels.controller.reset();
    seen.levels.definition = {};
    if (pick(4) == 0) {
      seen.levels.definition = Level{pick(2) == 0, false, std::nullopt};
    } else if (pick(3) == 0) {
      seen.levels.definition = Level{tls, true, tls};
    }
    if (nodes.size() > 2 && pick(3) == 0) {
      MakeDiskless(seen, nodes.back());
    }
    volumes.push_back(std::move(seen));
  }
  return volumes;
}

// For 2,000 clusters: what one silent node changes for volumes without a replica on it is nothing,
// and what the cluster's value could change on it is nothing.
TEST(SilentNodeTest, OneSilentNodeConcernsItsOwnVolumesOnly) {
  int started = 0;
  int withheld = 0;
  for (std::uint32_t seed = 0; seed < 2000; ++seed) {
    std::mt19937 random(seed);
    const std::vector<ResourceObservation> volumes = SomeVolumes(&random);
    const std::string silent = "n" + std::to_string(1 + random() % 5);
    const auto on_it = [&](const ResourceObservation& seen) { return seen.nodes.contains(silent); };
    std::vector<ResourceObservation> others = volumes;
    std::erase_if(others, on_it);
    Cluster without(others);
    Cluster with(volumes);
    with.Silence(silent);
    for (Cluster* cluster : {&without, &with}) {
      cluster->input.policy.max_parallel_resources = 100;
      cluster->input.policy.max_parallel_per_node = 100;
    }
    const ClusterPlan plan = with.Settle();
    // Those that only have a value of ours to lose need not start before the value is there.
    std::vector<std::string> expected = without.Settle().start;
    std::erase_if(expected, [&](const std::string& name) {
      const auto& wanted = plan.wanted.at(name);
      const auto seen = std::find_if(others.begin(), others.end(), [&](const auto& one) {
        return one.resource == name;
      });
      return std::all_of(wanted.begin(), wanted.end(), [&](const auto& item) {
        return seen->connections.at(item.first).a.tls == item.second;
      });
    });
    std::vector<std::string> got = plan.start;
    std::erase_if(got, [&](const std::string& name) {
      return std::find(expected.begin(), expected.end(), name) == expected.end();
    });
    ASSERT_EQ(got, expected) << "seed " << seed << ": " << plan.push_held;
    started += static_cast<int>(got.size());
    withheld += plan.push_held.empty() ? 0 : 1;
    for (const ResourceObservation& seen : volumes) {
      if (!on_it(seen)) {
        continue;
      }
      ASSERT_EQ(std::count(plan.start.begin(), plan.start.end(), seen.resource), 0) << seed;
      if (with.input.linstor_value != true) {
        continue;
      }
      // Whatever of ours has reached that node or not: the value says there what runs.
      for (const auto& [pair, connection] : seen.connections) {
        ResourceLevels bare = seen.levels;
        bare.definition = bare.definition.ours ? Level{} : bare.definition;
        if (pair.Has(silent)) {
          ASSERT_EQ(Effective(bare, pair.ToString(), true), connection.a.tls) << "seed " << seed;
        }
      }
    }
  }
  EXPECT_GT(started, 500);  // else nothing was tested
  EXPECT_GT(withheld, 500);
}

}  // namespace
}  // namespace breakwater::replication
