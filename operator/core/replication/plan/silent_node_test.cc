// A node that says nothing, or whose report is refused (REVIEW-2 M2), while its satellite still
// does what LINSTOR says. What would break for a user: one such node, hostile or broken, keeps the
// whole cluster in plaintext; or the cluster's value cuts a volume on it, because its pin never got
// there.

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

  void Unlimited() {
    input.policy.max_parallel_resources = 100;
    input.policy.max_parallel_per_node = 100;
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

// Its pin is there for good, and the node may lack it all the same.
TEST(SilentNodeTest, AnExemptVolumeThereIsProtectedAsWell) {
  Cluster cluster({Unpinned("r0", {"n1", "n2", "n3"}), Unpinned("r1", {"n1", "n2"})});
  cluster.input.cluster_for["r0"] = false;
  cluster.Silence("n3");
  EXPECT_THAT(cluster.Settle().start, ElementsAre("r1"));
  EXPECT_NE(cluster.input.linstor_value, true);
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

std::vector<ResourceObservation> Without(const std::string& node,
                                         std::vector<ResourceObservation> volumes) {
  std::erase_if(volumes, [&](const auto& seen) { return seen.nodes.contains(node); });
  return volumes;
}

/// Those that a cluster without the silent node's volumes starts to move. Others only have a value
/// of ours to lose, which waits for the cluster's.
std::vector<std::string> StartedAlone(const std::vector<ResourceObservation>& volumes) {
  Cluster cluster(volumes);
  cluster.Unlimited();
  const ClusterPlan plan = cluster.Settle();
  std::vector<std::string> names;
  for (const ResourceObservation& seen : volumes) {
    const auto& wanted = plan.wanted.at(seen.resource);
    const bool differs =
        std::any_of(seen.connections.begin(), seen.connections.end(),
                    [&](const auto& item) { return item.second.a.tls != wanted.at(item.first); });
    if (differs && std::count(plan.start.begin(), plan.start.end(), seen.resource) > 0) {
      names.push_back(seen.resource);
    }
  }
  return names;
}

/// Whether the value changes a connection of the node as long as nothing of ours has reached it.
bool Flips(const ResourceObservation& seen, const std::string& node) {
  ResourceLevels bare = seen.levels;
  bare.definition = bare.definition.ours ? Level{} : bare.definition;
  return std::any_of(seen.connections.begin(), seen.connections.end(), [&](const auto& item) {
    return item.first.Has(node) &&
           Effective(bare, item.first.ToString(), true) != item.second.a.tls;
  });
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
    Cluster cluster(volumes);
    cluster.Unlimited();
    cluster.Silence(silent);
    const ClusterPlan plan = cluster.Settle();
    const auto starts = [&](const std::string& name) {
      return std::count(plan.start.begin(), plan.start.end(), name) > 0;
    };
    for (const std::string& name : StartedAlone(Without(silent, volumes))) {
      ASSERT_TRUE(starts(name)) << "seed " << seed << ", " << name << ": " << plan.held.at(name);
      ++started;
    }
    for (const ResourceObservation& seen : volumes) {
      if (seen.nodes.contains(silent)) {
        ASSERT_FALSE(starts(seen.resource)) << "seed " << seed << ", " << seen.resource;
        ASSERT_FALSE(cluster.input.linstor_value == true && Flips(seen, silent))
            << "seed " << seed << ", " << seen.resource;
      }
    }
    withheld += plan.push_held.empty() ? 0 : 1;
  }
  EXPECT_GT(started, 500);  // else nothing was tested
  EXPECT_GT(withheld, 500);
}

}  // namespace
}  // namespace breakwater::replication
