// CSI driver, high-availability and affinity controllers, NFS server: deployed, changed, taken
// away, against a Kubernetes and a LINSTOR in memory.

#include <algorithm>
#include <iterator>
#include <map>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "operator/api/resources.h"
#include "operator/controllers/testing/world.h"

namespace breakwater::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;

const api::ObjectKey kDriver{"", "linstor.csi.linbit.com"};

api::ObjectKey Here(const std::string& name) {
  return {kWorldNamespace, name};
}

/// kind/name of everything that a LinstorCluster can own.
std::set<std::string> Objects(const World& world) {
  std::set<std::string> found;
  for (const api::ResourceInfo& kind : controllers::ClusterPruneKinds()) {
    for (const Json& object : world.kube.All(kind)) {
      found.insert(kind.kind + "/" + api::Object(object).name());
    }
  }
  return found;
}

std::set<std::string> Without(const std::set<std::string>& all, const std::set<std::string>& some) {
  std::set<std::string> rest;
  std::set_difference(all.begin(), all.end(), some.begin(), some.end(),
                      std::inserter(rest, rest.end()));
  return rest;
}

std::vector<std::string> Deletions(const World& world) {
  std::vector<std::string> names;
  for (const FakeKube::Call& call : world.kube.calls()) {
    if (call.verb == "delete") {
      names.push_back(call.resource.kind + "/" + call.key.name);
    }
  }
  return names;
}

// The thin path of a claim: without these three no PersistentVolumeClaim is served.
TEST(ComponentsTest, TheCsiDriverIsDeployed) {
  World world({"node-a"});
  world.Put(api::kLinstorCluster, "cluster", "{}");
  ASSERT_TRUE(world.Settle());
  EXPECT_TRUE(world.kube.Find(api::kCsiDriver, kDriver));
  EXPECT_TRUE(world.kube.Find(api::kDeployment, Here("linstor-csi-controller")));
  EXPECT_TRUE(world.kube.Find(api::kDaemonSet, Here("linstor-csi-node")));
  const auto owners = api::Object(*world.kube.Find(api::kCsiDriver, kDriver)).owners();
  ASSERT_EQ(owners.size(), 1U);
  EXPECT_EQ(owners[0].name, "cluster") << "or it stays for ever when the cluster goes";
  EXPECT_THAT(world.ClusterCondition(api::kConditionApplied), StartsWith("True/AsExpected"));
  EXPECT_THAT(world.ClusterCondition(api::kConditionConfigured), StartsWith("True/AsExpected"));
}

// "enabled: false" removes that component and nothing else, and true brings it back.
TEST(ComponentsTest, DisablingRemovesWhatBelongsToIt) {
  World world({"node-a"});
  world.Put(api::kLinstorCluster, "cluster", "{}");
  ASSERT_TRUE(world.Settle());
  const std::set<std::string> all = Objects(world);
  const std::vector<std::pair<const char*, std::vector<std::string>>> cases{
      {"csiController", {"linstor-csi-controller"}},  // the CSIDriver stays for the nodes
      {"csiNode", {"linstor-csi-node"}},
      {"highAvailabilityController", {"ha-controller"}},
      {"affinityController", {"linstor-affinity-controller"}},
      {"nfsServer", {"linstor-csi-nfs"}}};
  for (const auto& [field, names] : cases) {
    world.Put(api::kLinstorCluster, "cluster",
              "{\"" + std::string(field) + "\":{\"enabled\":false}}");
    ASSERT_TRUE(world.Settle()) << field;
    const std::set<std::string> gone = Without(all, Objects(world));
    EXPECT_THAT(gone, Not(IsEmpty())) << field;
    for (const std::string& name : gone) {
      EXPECT_THAT(name, HasSubstr("/" + names[0])) << field;
    }
    world.Put(api::kLinstorCluster, "cluster", "{}");
    ASSERT_TRUE(world.Settle()) << field;
    EXPECT_EQ(Objects(world), all) << field;
  }
}

// Nobody mounts any more: then Kubernetes may forget the driver.
TEST(ComponentsTest, WithoutBothPartsTheDriverIsForgotten) {
  World world({"node-a"});
  world.Put(api::kLinstorCluster, "cluster", "{}");
  ASSERT_TRUE(world.Settle());
  world.Put(api::kLinstorCluster, "cluster",
            R"({"csiController":{"enabled":false},"csiNode":{"enabled":false}})");
  ASSERT_TRUE(world.Settle());
  EXPECT_FALSE(world.kube.Find(api::kCsiDriver, kDriver));
}

// The Piraeus Operator leaves its CSIDriver behind for who deploys the driver himself: taking over
// must not take it away.
TEST(ComponentsTest, ADriverThatWasLeftBehindStays) {
  World world({"node-a"});
  world.Put(api::kLinstorCluster, "cluster",
            R"({"csiController":{"enabled":false},"csiNode":{"enabled":false}})");
  const std::string uid =
      api::Object(*world.kube.Find(api::kLinstorCluster, {"", "cluster"})).uid();
  world.kube.Put(api::kCsiDriver,
                 {{"metadata",
                   {{"name", kDriver.name},
                    {"ownerReferences", Json::array({{{"apiVersion", "piraeus.io/v1"},
                                                      {"kind", "LinstorCluster"},
                                                      {"name", "cluster"},
                                                      {"uid", uid},
                                                      {"controller", true}}})}}}});
  ASSERT_TRUE(world.Settle());
  EXPECT_TRUE(world.kube.Find(api::kCsiDriver, kDriver));
}

// One broken patch stops its own component, whose objects stay as they are; the others are changed
// and pruned, and the condition says which patch it is and what it is for.
TEST(ComponentsTest, ABrokenPatchStopsItsOwnComponentOnly) {
  World world({"node-a"});
  world.Put(api::kLinstorCluster, "cluster", "{}");
  ASSERT_TRUE(world.Settle());
  const Json before = *world.kube.Find(api::kDaemonSet, Here("linstor-csi-node"));
  world.Put(api::kLinstorCluster, "cluster", R"({
    "affinityController":{"enabled":false},
    "tolerations":[{"key":"a","operator":"Exists"}],
    "patches":[{"target":{"kind":"DaemonSet","name":"linstor-csi-node"},
                "patch":"[{op: remove, path: /spec/nothing}]"}]})");
  for (int round = 0; round < 4; ++round) {
    world.RunNodes();
    world.ReconcileAll();
  }
  EXPECT_THAT(world.ClusterCondition(api::kConditionApplied),
              AllOf(StartsWith("False/Error"), HasSubstr("linstor-csi-node: spec.patches[0]"),
                    HasSubstr("for DaemonSet linstor-csi-node"), HasSubstr("/spec/nothing")));
  EXPECT_EQ(world.kube.Find(api::kDaemonSet, Here("linstor-csi-node"))->at("spec"),
            before.at("spec"));
  EXPECT_THAT(world.kube.Find(api::kDeployment, Here("linstor-csi-controller"))->dump(),
              HasSubstr(R"("key":"a")"));
  EXPECT_FALSE(world.kube.Find(api::kDeployment, Here("linstor-affinity-controller")))
      << "the others are pruned";
}

TEST(ComponentsTest, AnExternalControllerIsUsedByAll) {
  World world({"node-a"});
  world.Put(api::kLinstorCluster, "cluster",
            R"({"externalController":{"url":"http://linstor.example.com:3370"}})");
  ASSERT_TRUE(world.Settle());
  EXPECT_FALSE(world.kube.Find(api::kDeployment, Here("linstor-controller")));
  for (const char* name : {"linstor-csi-controller", "linstor-affinity-controller"}) {
    EXPECT_THAT(world.kube.Find(api::kDeployment, Here(name))->dump(),
                AllOf(HasSubstr("http://linstor.example.com:3370"),
                      Not(HasSubstr("linstor-controller:3370"))));
  }
}

TEST(ComponentsTest, ANewImageReachesTheComponents) {
  World world({"node-a"});
  world.Put(api::kLinstorCluster, "cluster", "{}");
  ASSERT_TRUE(world.Settle());
  world.kube.Mutate(api::kConfigMap, Here("images"), [](Json& images) {
    images["data"]["user.yaml"] =
        "{base: mirror, components: {csi-attacher: {image: attacher, tag: v9}}}";
  });
  ASSERT_TRUE(world.Settle());
  EXPECT_THAT(world.kube.Find(api::kDeployment, Here("linstor-csi-controller"))->dump(),
              HasSubstr("mirror/attacher:v9"));
}

/// As the Piraeus Operator leaves it: the same names, other contents, fields of its own.
void PutOldObject(World& world, const api::ResourceInfo& kind, Json object) {
  const std::string uid =
      api::Object(*world.kube.Find(api::kLinstorCluster, {"", "cluster"})).uid();
  object["metadata"]["ownerReferences"] = Json::array({{{"apiVersion", "piraeus.io/v1"},
                                                        {"kind", "LinstorCluster"},
                                                        {"name", "cluster"},
                                                        {"uid", uid},
                                                        {"controller", true}}});
  world.kube.Put(kind, std::move(object));
}

// A take-over from 2.6 or 2.11 is an update in place: pods keep their volumes.
TEST(ComponentsTest, ATakeOverDeletesNothing) {
  World model({"node-a"});
  model.Put(api::kLinstorCluster, "cluster", R"({"apiTLS":{}})");
  ASSERT_TRUE(model.Settle());
  World world({"node-a"});
  world.Put(api::kLinstorCluster, "cluster", R"({"apiTLS":{}})");
  std::map<std::string, std::string> uids;
  for (const api::ResourceInfo& kind : controllers::ClusterPruneKinds()) {
    for (const Json& raw : model.kube.All(kind)) {
      Json object = raw;
      for (const char* member : {"uid", "resourceVersion", "managedFields", "annotations"}) {
        object["metadata"].erase(member);
      }
      if (kind == api::kClusterRole) {
        object["metadata"]["labels"].erase("app.kubernetes.io/component");  // as in 2.6
      }
      if (kind == api::kLinstorSatellite ||
          api::Object(raw).name().find('.') != std::string::npos) {
        continue;  // satellites have tests of their own
      }
      PutOldObject(world, kind, std::move(object));
      uids[kind.kind + "/" + api::Object(raw).name()] =
          api::Object(*world.kube.Find(kind, api::Object(raw).key())).uid();
    }
  }
  world.kube.ClearCalls();
  world.RunNodes();
  EXPECT_THAT(world.ReconcileAll(), IsEmpty());
  EXPECT_THAT(Deletions(world), IsEmpty());
  ASSERT_TRUE(world.Settle());
  for (const api::ResourceInfo& kind : controllers::ClusterPruneKinds()) {
    for (const Json& raw : world.kube.All(kind)) {
      const auto found = uids.find(kind.kind + "/" + api::Object(raw).name());
      if (found != uids.end()) {
        EXPECT_EQ(api::Object(raw).uid(), found->second) << found->first << " was made anew";
        uids.erase(found);
      }
    }
  }
  EXPECT_THAT(uids, IsEmpty()) << "gone";
}

// --- topology -----------------------------------------------------------------------------------

std::string PodUid(const World& world, const std::string& node) {
  const auto pod = world.kube.Find(api::kPod, Here("csi-" + node));
  return pod ? api::Object(*pod).uid() : "";
}

Json Keys(const World& world, const std::string& node) {
  const auto csi_node = world.kube.Find(api::kCsiNode, {"", node});
  for (const Json& driver : csi_node->at("spec").at("drivers")) {
    if (driver.at("name") == "linstor.csi.linbit.com") {
      return driver.at("topologyKeys");
    }
  }
  return nullptr;
}

constexpr const char* kRack = R"({"properties":[{"name":"Aux/topology/rack","value":"r1"}]})";

// A StorageClass with allowedTopologies for a new label finds no node while the drivers report the
// old labels, and nothing but a restart makes them report others.
TEST(CsiTopologyTest, DriversReportNewKeys) {
  World world;
  world.Put(api::kLinstorCluster, "cluster", "{}");
  ASSERT_TRUE(world.Settle());
  world.kube.Mutate(api::kCsiNode, {"", "node-a"}, [](Json& csi_node) {
    csi_node["spec"]["drivers"].insert(
        csi_node["spec"]["drivers"].begin(),
        Json{{"name", "other.example.com"}, {"topologyKeys", Json::array({"x"})}});
  });
  const std::string before = PodUid(world, "node-a");
  EXPECT_THAT(Keys(world, "node-a").dump(), Not(HasSubstr("rack")));
  world.Put(api::kLinstorSatelliteConfiguration, "rack", kRack);
  ASSERT_TRUE(world.Settle(20));
  for (const char* node : {"node-a", "node-b", "node-c"}) {
    EXPECT_THAT(Keys(world, node).dump(), HasSubstr("\"rack\"")) << node;
  }
  EXPECT_NE(PodUid(world, "node-a"), before);
  EXPECT_THAT(world.kube.Find(api::kCsiNode, {"", "node-a"})->dump(),
              HasSubstr("other.example.com"));
  EXPECT_THAT(world.ClusterCondition(api::kConditionConfigured), StartsWith("True/AsExpected"));
}

// Where the driver restarts nothing can be mounted for a moment: never everywhere at once.
TEST(CsiTopologyTest, OneNodeAtATime) {
  World world;
  world.Put(api::kLinstorCluster, "cluster", "{}");
  ASSERT_TRUE(world.Settle());
  world.linstor->With([](FakeLinstor::State& state) {
    for (auto& [name, node] : state.nodes) {
      node.props["Aux/topology/rack"] = "r1";
    }
    return 0;
  });
  world.clock.Advance(std::chrono::minutes(1));
  world.kube.ClearCalls();
  ASSERT_TRUE(world.ReconcileCluster());
  EXPECT_EQ(Deletions(world).size(), 1U);
}

// A driver that was patched to report something else would be restarted once a minute, for ever.
TEST(CsiTopologyTest, ADriverThatReportsOtherKeysIsNotRestartedForEver) {
  World world({"node-a"});
  world.Put(api::kLinstorCluster, "cluster", "{}");
  ASSERT_TRUE(world.Settle());
  int deleted = 0;
  for (int round = 0; round < 5; ++round) {
    world.kube.Mutate(api::kCsiNode, {"", "node-a"}, [](Json& csi_node) {
      for (Json& driver : csi_node["spec"]["drivers"]) {
        driver["topologyKeys"] = Json::array({"linbit.com/hostname", "mine"});
      }
    });
    world.clock.Advance(std::chrono::minutes(1));
    world.kube.ClearCalls();
    ASSERT_TRUE(world.ReconcileCluster());
    deleted += static_cast<int>(Deletions(world).size());
    world.RunNodes();
  }
  EXPECT_EQ(deleted, 1);
  EXPECT_THAT(
      world.ClusterCondition(api::kConditionConfigured),
      AllOf(StartsWith("Unknown/"), HasSubstr("also after a restart"), HasSubstr("node-a")));
}

// Half a restart must be seen again: without its pod gone, a driver never registers anew.
TEST(CsiTopologyTest, AFailedStepIsTakenAgain) {
  for (const char* verb : {"delete", "patch"}) {
    World world({"node-a"});
    world.Put(api::kLinstorCluster, "cluster", "{}");
    ASSERT_TRUE(world.Settle());
    world.Put(api::kLinstorSatelliteConfiguration, "rack", kRack);
    bool failed = false;
    world.kube.on_call([&](const FakeKube::Call& call) -> std::optional<FakeKube::Fault> {
      const bool concerned =
          call.resource == api::kCsiNode || (call.resource == api::kPod && call.verb == "delete");
      if (failed || !concerned || call.verb != verb) {
        return std::nullopt;
      }
      failed = true;
      return FakeKube::Fault{KubeError(kube::Status{.code = 500, .message = "injected"})};
    });
    ASSERT_TRUE(world.Settle(20)) << verb;
    EXPECT_TRUE(failed) << verb;
    EXPECT_THAT(Keys(world, "node-a").dump(), HasSubstr("\"rack\"")) << verb;
  }
}

// Who waits for Configured must see why volumes cannot be mounted on a node.
TEST(CsiTopologyTest, NodesWithoutTheDriverAreNamed) {
  World world({"node-a", "node-b"});
  world.Put(api::kLinstorCluster, "cluster", "{}");
  ASSERT_TRUE(world.Settle());
  world.RunNodes({"node-a"});
  ASSERT_TRUE(world.ReconcileCluster());
  EXPECT_THAT(world.ClusterCondition(api::kConditionConfigured),
              AllOf(StartsWith("Unknown/"), HasSubstr("CSI node pods not ready: csi-node-b")));
  world.RunNodes();
  world.kube.Mutate(api::kCsiNode, {"", "node-a"},
                    [](Json& csi_node) { csi_node["spec"]["drivers"] = Json::array(); });
  ASSERT_TRUE(world.ReconcileCluster());
  EXPECT_THAT(world.ClusterCondition(api::kConditionConfigured),
              AllOf(StartsWith("Unknown/"), HasSubstr("not registered on nodes: node-a"),
                    Not(HasSubstr("node-b"))));
}

}  // namespace
}  // namespace breakwater::testing
