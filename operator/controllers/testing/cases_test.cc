// The documents of tests/cases, and others of their kinds, on a Kubernetes and a LINSTOR in memory.

#include <fstream>
#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "operator/api/resources.h"
#include "operator/controllers/testing/world.h"
#include "operator/core/render/yaml.h"
#include "operator/testing/source_dir.h"

namespace breakwater::testing {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;
using ::testing::StartsWith;

constexpr const char* kDaemon = R"({"internalTLS": {"tlsHandshakeDaemon": true}})";

std::string CaseSpec(const std::string& name) {
  std::ifstream file(SourceDir() + "/tests/cases/" + name + ".yaml");
  std::ostringstream text;
  text << file.rdbuf();
  return core::ParseYaml(text.str()).value().at(0).at("spec").dump();
}

void PutSecret(World& world, const std::string& name) {
  world.kube.Put(api::kSecret, {{"metadata", {{"name", name}, {"namespace", kWorldNamespace}}}});
}

/// What the replication controllers tell; `why` "" for a node: nothing is encrypted there.
void Tell(World& world, const std::map<std::string, std::string>& why) {
  auto use = std::make_shared<controllers::SatelliteUse>();
  use->cluster_uid = api::Object(*world.kube.Find(api::kLinstorCluster, {"", "cluster"})).uid();
  use->daemon = why;
  world.use.Set(use);
}

const std::map<std::string, std::string> kEncrypted{{"node-a", "volume r1 is replicated with TLS"},
                                                    {"node-b", "volume r1 is replicated with TLS"},
                                                    {"node-c", ""}};

void StartEncrypted(World& world) {
  for (const char* node : {"node-a", "node-b", "node-c"}) {
    PutSecret(world, std::string(node) + "-tls");
  }
  PutSecret(world, "linstor-controller-internal-tls");
  world.Put(api::kLinstorCluster, "cluster", R"({"internalTLS": {}})");
  world.Put(api::kLinstorSatelliteConfiguration, "platform", kDaemon);
  ASSERT_TRUE(world.Settle());
  Tell(world, kEncrypted);
  world.events.clear();
}

bool HasDaemon(World& world, const std::string& node) {
  const auto set = world.kube.Find(api::kDaemonSet, {kWorldNamespace, "linstor-satellite." + node});
  return set && set->dump().find("ktls-utils") != std::string::npos;
}

std::string Applied(World& world, const std::string& node) {
  return world.Condition(api::kLinstorSatellite, node, api::kConditionApplied);
}

int EventsOf(const World& world, std::string_view reason) {
  return static_cast<int>(
      std::count_if(world.events.begin(), world.events.end(),
                    [&](const kube::Event& event) { return event.reason == reason; }));
}

// A reverted commit took the daemon from all nodes; the next network cut ended without quorum.
TEST(HandshakeDaemonTest, Case41StaysWhileAnythingIsEncrypted) {
  World world;
  StartEncrypted(world);
  world.Put(api::kLinstorSatelliteConfiguration, "platform",
            CaseSpec("41-daemon-removed-while-volumes-are-encrypted"));
  ASSERT_TRUE(world.Settle(30));
  EXPECT_TRUE(HasDaemon(world, "node-a"));
  EXPECT_TRUE(HasDaemon(world, "node-b"));
  EXPECT_FALSE(HasDaemon(world, "node-c")) << "nothing is encrypted there";
  EXPECT_THAT(Applied(world, "node-a"),
              AllOf(StartsWith("False/HandshakeDaemonKept"), HasSubstr("volume r1"),
                    HasSubstr("spec.replicationTLS.allowHandshakeDaemonRemoval")));
  EXPECT_THAT(world.ClusterCondition(api::kConditionApplied),
              AllOf(StartsWith("False/HandshakeDaemonKept"), HasSubstr("node-a; node-b")));
  EXPECT_THAT(
      world.Condition(api::kLinstorSatelliteConfiguration, "platform", api::kConditionApplied),
      StartsWith("False/HandshakeDaemonKept"));
  EXPECT_EQ(EventsOf(world, "HandshakeDaemonKept"), 2) << "once for each satellite";

  Tell(world, {{"node-a", ""}, {"node-b", ""}, {"node-c", ""}});
  ASSERT_TRUE(world.Settle(30));
  EXPECT_FALSE(HasDaemon(world, "node-a")) << "nothing is encrypted any more";
  EXPECT_THAT(Applied(world, "node-a"), StartsWith("True"));
  EXPECT_THAT(world.ClusterCondition(api::kConditionApplied), StartsWith("True"));
}

TEST(HandshakeDaemonTest, GoesWhenSomebodyInsists) {
  World world;
  StartEncrypted(world);
  world.Put(api::kLinstorCluster, "cluster",
            R"({"internalTLS": {}, "replicationTLS": {"allowHandshakeDaemonRemoval": true}})");
  world.Put(api::kLinstorSatelliteConfiguration, "platform", R"({"internalTLS": {}})");
  ASSERT_TRUE(world.Settle(30));
  EXPECT_FALSE(HasDaemon(world, "node-a"));
  EXPECT_EQ(EventsOf(world, "HandshakeDaemonKept"), 0);
}

// Every way in which it went: all of them have to keep it.
TEST(HandshakeDaemonTest, StaysWhateverTakesItAway) {
  const std::vector<std::pair<std::string, std::string>> ways{
      {"platform", "{}"},
      {"platform", R"({"internalTLS": {"tlsHandshakeDaemon": false}})"},
      {"platform",
       R"({"nodeSelector": {"no": "node"}, "internalTLS": {"tlsHandshakeDaemon": true}})"},
      {"z-later", R"({"internalTLS": {"tlsHandshakeDaemon": false}})"},
      {"z-later",
       R"({"podTemplate": {"spec": {"containers": [{"name": "ktls-utils", "$patch": "delete"}]}}})"},
      {"z-later",
       R"({"patches": [{"target": {"kind": "DaemonSet"}, "patch": "{kind: DaemonSet, metadata: {name: x}, spec: {template: {spec: {containers: [{$patch: replace}, {name: linstor-satellite}]}}}}"}]})"},
      {"z-later",
       R"({"resourceNameSuffixSeparator": "-", "internalTLS": {"tlsHandshakeDaemon": false}})"},
  };
  for (const auto& [name, spec] : ways) {
    World world;
    StartEncrypted(world);
    world.Put(api::kLinstorSatelliteConfiguration, name, spec);
    for (int i = 0; i < 6; ++i) {
      world.RunNodes();
      world.clock.Advance(std::chrono::minutes(1));
      (void)world.ReconcileAll();
    }
    std::string all;
    for (const Json& set : world.kube.All(api::kDaemonSet)) {
      const api::Object object(set);
      if (object.name().find("node-a") != std::string::npos) {
        all += set.dump();
      }
    }
    EXPECT_THAT(all, HasSubstr("\"ktls-utils\"")) << name << " " << spec;
    EXPECT_THAT(Applied(world, "node-a"), HasSubstr("The handshake daemon (ktls-utils) stays"))
        << name << " " << spec;
  }
}

TEST(HandshakeDaemonTest, StaysWhenItsConfigurationIsDeleted) {
  World world;
  StartEncrypted(world);
  world.kube.Remove(api::kLinstorSatelliteConfiguration, {"", "platform"});
  ASSERT_TRUE(world.Settle(30));
  EXPECT_TRUE(HasDaemon(world, "node-a"));
  const auto set = world.kube.Find(api::kDaemonSet, {kWorldNamespace, "linstor-satellite.node-a"});
  EXPECT_THAT(set->dump(), HasSubstr("node-a-tls")) << "what it presents stays mounted";
}

// A satellite that is taken out with the policy Retain leaves its volumes running, and took the
// daemon along: the next network cut ended without them.
TEST(HandshakeDaemonTest, ARetainedNodeKeepsIt) {
  World world;
  StartEncrypted(world);
  world.linstor->With([](FakeLinstor::State& state) {
    state.resources = {{.name = "r1", .node = "node-a", .has_drbd = true},
                       {.name = "r1", .node = "node-b", .has_drbd = true}};
    return 0;
  });
  const std::string everywhere = "DrbdOptions/Net/tls is yes, new volumes need it";
  Tell(world,
       {{"node-a", kEncrypted.at("node-a")}, {"node-b", everywhere}, {"node-c", everywhere}});
  const std::stop_source stop;
  for (const char* node : {"node-a", "node-b", "node-c"}) {
    world.kube.Mutate(api::kNode, {"", node}, [](Json& object) {
      object["spec"]["taints"] = Json::array({{{"key", "gone"}, {"effect", "NoExecute"}}});
    });
    ASSERT_TRUE(
        world.kube.Delete(Context(stop.get_token()), api::kLinstorSatellite, {"", node}, {}));
  }
  world.kube.Remove(api::kNode, {"", "node-b"});
  for (int i = 0; i < 3; ++i) {
    world.RunNodes();
    (void)world.ReconcileAll();
  }
  EXPECT_TRUE(HasDaemon(world, "node-a"));
  EXPECT_THAT(world.Condition(api::kLinstorSatellite, "node-a", api::kConditionSatelliteDeleted),
              AllOf(HasSubstr("HandshakeDaemonKept"), HasSubstr("volume r1"),
                    HasSubstr("allowHandshakeDaemonRemoval")));
  const auto is_there = [&](const char* node) {
    return world.kube.Find(api::kLinstorSatellite, {"", node}).has_value();
  };
  EXPECT_FALSE(is_there("node-b")) << "the node is gone";
  EXPECT_FALSE(is_there("node-c")) << "it holds no volume";

  world.Put(api::kLinstorCluster, "cluster",
            R"({"internalTLS": {}, "replicationTLS": {"allowHandshakeDaemonRemoval": true}})");
  EXPECT_TRUE(world.ReconcileSatellite("node-a"));
  EXPECT_FALSE(is_there("node-a"));
}

// A new leader has seen nothing yet; that is no reason to take the daemon away.
TEST(HandshakeDaemonTest, StaysWhileNothingIsKnown) {
  World world;
  StartEncrypted(world);
  world.use.Set(nullptr);
  world.Put(api::kLinstorSatelliteConfiguration, "platform", R"({"internalTLS": {}})");
  ASSERT_TRUE(world.Settle(30));
  EXPECT_TRUE(HasDaemon(world, "node-a"));
  EXPECT_THAT(Applied(world, "node-a"), HasSubstr("is not known yet"));
}

// A certificate that nothing asks for any more is what the kept daemon presents.
TEST(HandshakeDaemonTest, Case42ALaterConfigurationTakesNothingAway) {
  World world;
  StartEncrypted(world);
  PutSecret(world, "site-ca");
  world.Put(api::kLinstorSatelliteConfiguration, "site-certificates",
            CaseSpec("42-later-configuration-takes-the-daemon-away"));
  ASSERT_TRUE(world.Settle(30));
  EXPECT_TRUE(HasDaemon(world, "node-a"));
  EXPECT_THAT(Applied(world, "node-a"), StartsWith("True"));
}

TEST(ConfigurationTest, TheLoserOfAContradictionIsNamed) {
  World world;
  StartEncrypted(world);
  world.Put(api::kLinstorSatelliteConfiguration, "a", R"({"internalTLS": {"secretName": "one"}})");
  world.Put(api::kLinstorSatelliteConfiguration, "b", R"({"internalTLS": {"secretName": "two"}})");
  ASSERT_TRUE(world.Settle(30));
  EXPECT_THAT(
      world.Condition(api::kLinstorSatelliteConfiguration, "a", api::kConditionApplied),
      AllOf(HasSubstr("Warning: internalTLS.secretName"), HasSubstr("b says something else")));
  EXPECT_THAT(world.ClusterCondition(api::kConditionApplied), HasSubstr("internalTLS.secretName"));
}

// The satellite of a node that left stayed for ever, because of a patch for something else.
TEST(PatchTest, Case12cANodeLeavesWhileAPatchMatchesNothing) {
  World world;
  for (const char* node : {"node-a", "node-b", "node-c"}) {
    world.kube.Mutate(api::kNode, {"", node}, [](Json& object) {
      object["metadata"]["labels"]["example.com/storage"] = "true";
    });
  }
  std::string spec = CaseSpec("12c-node-leaves-while-a-patch-matches-nothing");
  spec.replace(spec.find("linstor-csi-node"), 16, "not-rendered-now");
  world.Put(api::kLinstorCluster, "cluster", spec);
  ASSERT_TRUE(world.Settle());
  EXPECT_THAT(world.ClusterCondition(api::kConditionApplied),
              AllOf(StartsWith("True/AsExpected"), HasSubstr("Warning: spec.patches[0]"),
                    HasSubstr("not-rendered-now")));
  world.kube.Mutate(api::kNode, {"", "node-c"}, [](Json& object) {
    object["metadata"]["labels"].erase("example.com/storage");
  });
  ASSERT_TRUE(world.Settle());
  EXPECT_FALSE(world.kube.Find(api::kLinstorSatellite, {"", "node-c"}));
  EXPECT_TRUE(world.kube.Find(api::kLinstorSatellite, {"", "node-b"}));
  EXPECT_THAT(world.ClusterCondition(api::kConditionApplied), HasSubstr("not-rendered-now"))
      << "also in a pass that has nothing to do";
}

TEST(PatchTest, ASatelliteSaysWhichOfItsPatchesMatchNothing) {
  World world({"node-a"});
  world.Put(api::kLinstorCluster, "cluster", "{}");
  world.Put(
      api::kLinstorSatelliteConfiguration, "typo",
      R"({"patches": [{"patch": "{apiVersion: apps/v1, kind: DaemonSet, metadata: {name: linstor-satelite}}"}]})");
  ASSERT_TRUE(world.Settle());
  EXPECT_TRUE(HasDaemon(world, "node-a") ||
              world.kube.Find(api::kDaemonSet, {kWorldNamespace, "linstor-satellite.node-a"}));
  EXPECT_THAT(Applied(world, "node-a"), AllOf(StartsWith("True"), HasSubstr("linstor-satelite")));
}

// An unreadable patch kept new nodes out, and pools out of LINSTOR.
TEST(PatchTest, AnUnreadablePatchHoldsBackPatchesOnly) {
  World world;
  world.Put(api::kLinstorCluster, "cluster", "{}");
  world.Put(api::kLinstorSatelliteConfiguration, "pools",
            R"({"patches": [{"target": {"kind": "DaemonSet"}, "patch": "{ not: yaml"}],
                "properties": [{"name": "PrefNic", "value": "x"}],
                "storagePools": [{"name": "pool1", "lvmPool": {"volumeGroup": "vg"}}]})");
  ASSERT_TRUE(world.Settle());
  world.linstor->With([](FakeLinstor::State& state) {
    EXPECT_EQ(state.pools.size(), 3U);
    EXPECT_EQ(state.nodes["node-a"].props.at("PrefNic"), "x");
    return 0;
  });
  EXPECT_THAT(world.ClusterCondition(api::kConditionApplied),
              AllOf(StartsWith("False/Error"), HasSubstr("LinstorSatelliteConfiguration pools")));
}

// A pod with a Secret that is not there does not start, and its node has no satellite any more.
TEST(SecretTest, ARunningSatelliteWaitsForItsNewSecret) {
  World world({"node-a"});
  world.Put(api::kLinstorCluster, "cluster", "{}");
  world.Put(api::kLinstorSatelliteConfiguration, "config", "{}");
  ASSERT_TRUE(world.Settle());
  world.Put(api::kLinstorSatelliteConfiguration, "config", R"({"internalTLS": {}})");
  ASSERT_TRUE(world.Settle());
  EXPECT_THAT(Applied(world, "node-a"),
              AllOf(StartsWith("False/CertificateWaiting"), HasSubstr("Secret node-a-tls")));
  const auto set = [&] {
    return world.kube.Find(api::kDaemonSet, {kWorldNamespace, "linstor-satellite.node-a"})->dump();
  };
  EXPECT_THAT(set(), Not(HasSubstr("node-a-tls")));
  PutSecret(world, "node-a-tls");
  ASSERT_TRUE(world.Settle());
  EXPECT_THAT(set(), HasSubstr("node-a-tls"));
}

// The operator does not watch Secrets of every type; one that a patch mounts is there all the same,
// or the satellites would never change again.
TEST(SecretTest, ASecretThatIsNotWatchedIsNotMissing) {
  World world({"node-a"});
  world.Put(api::kLinstorCluster, "cluster", "{}");
  world.Put(api::kLinstorSatelliteConfiguration, "config", "{}");
  ASSERT_TRUE(world.Settle());
  world.kube.Put(api::kSecret,
                 {{"metadata", {{"name", "registry"}, {"namespace", kWorldNamespace}}},
                  {"type", "kubernetes.io/dockerconfigjson"}});
  world.Put(api::kLinstorSatelliteConfiguration, "config", R"({"podTemplate": {"spec": {
      "volumes": [{"name": "registry", "secret": {"secretName": "registry"}}]}}})");
  ASSERT_TRUE(world.Settle());
  EXPECT_THAT(Applied(world, "node-a"), StartsWith("True/"));
  EXPECT_THAT(
      world.kube.Find(api::kDaemonSet, {kWorldNamespace, "linstor-satellite.node-a"})->dump(),
      HasSubstr("registry"));
}

TEST(SecretTest, WhatANewPodWaitsForIsNamed) {
  World world({"node-a"});
  world.Put(api::kLinstorCluster, "cluster",
            R"({"apiTLS": {}, "linstorPassphraseSecret": "phrase"})");
  world.Put(api::kLinstorSatelliteConfiguration, "config",
            R"({"internalTLS": {"caReference": {"kind": "ConfigMap", "name": "bundle"}}})");
  ASSERT_TRUE(world.Settle());
  EXPECT_THAT(world.ClusterCondition(api::kConditionApplied),
              AllOf(StartsWith("False/MissingSecret"), HasSubstr("Secret phrase"),
                    HasSubstr("Secret linstor-api-tls"), HasSubstr("Deployment")));
  EXPECT_THAT(Applied(world, "node-a"),
              AllOf(HasSubstr("Secret node-a-tls"), HasSubstr("ConfigMap bundle")));
}

// One property that LINSTOR does not know kept all the others from being set.
TEST(PropertyTest, ARefusedPropertyKeepsNothingElse) {
  World world({"node-a", "node-b"});
  world.linstor->With([](FakeLinstor::State& state) {
    state.bad_properties = {"Bad/one"};
    return 0;
  });
  world.Put(
      api::kLinstorCluster, "cluster",
      R"({"properties": [{"name": "Bad/one", "value": "1"}, {"name": "Aux/x", "value": "1"}]})");
  world.Put(api::kLinstorSatelliteConfiguration, "config",
            R"({"properties": [{"name": "Bad/one", "value": "1"}, {"name": "Aux/y", "value": "2"}],
                "storagePools": [{"name": "pool1", "lvmPool": {"volumeGroup": "vg"}}]})");
  for (int i = 0; i < 4; ++i) {
    world.clock.Advance(std::chrono::minutes(1));
    world.RunNodes();
    EXPECT_THAT(world.ReconcileAll(), IsEmpty());
  }
  world.linstor->With([](FakeLinstor::State& state) {
    EXPECT_EQ(state.controller_props["Aux/x"], "1");
    EXPECT_EQ(state.nodes["node-a"].props["Aux/y"], "2");
    EXPECT_EQ(state.pools.size(), 2U);
    return 0;
  });
  EXPECT_THAT(world.ClusterCondition(api::kConditionConfigured),
              AllOf(StartsWith("False"), HasSubstr("property Bad/one of the LINSTOR controller")));
  EXPECT_THAT(world.Condition(api::kLinstorSatellite, "node-a", api::kConditionConfigured),
              AllOf(StartsWith("False"), HasSubstr("property Bad/one of node node-a")));
}

TEST(PropertyTest, ARefusedPropertyKeepsNoPoolAway) {
  World world({"node-a"});
  world.linstor->With([](FakeLinstor::State& state) {
    state.bad_properties = {"Bad/one"};
    return 0;
  });
  world.Put(api::kLinstorCluster, "cluster", "{}");
  world.Put(api::kLinstorSatelliteConfiguration, "config",
            R"({"storagePools": [{"name": "pool1", "lvmPool": {"volumeGroup": "vg"},
                "properties": [{"name": "Bad/one", "value": "1"}, {"name": "Aux/z", "value": "3"}]}]})");
  for (int i = 0; i < 5; ++i) {
    world.clock.Advance(std::chrono::minutes(1));
    world.RunNodes();
    EXPECT_THAT(world.ReconcileAll(), IsEmpty());
  }
  world.linstor->With([](FakeLinstor::State& state) {
    ASSERT_EQ(state.pools.size(), 1U);
    EXPECT_EQ(state.pools.begin()->second.props["Aux/z"], "3");
  });
  EXPECT_THAT(world.Condition(api::kLinstorSatellite, "node-a", api::kConditionConfigured),
              AllOf(StartsWith("False"), HasSubstr("storage pool pool1: property Bad/one")));
}

// Whoever waits with a finalizer of his own waits for this condition.
TEST(FinalizerTest, AForeignOneSeesTheEnd) {
  for (const char* policy : {"Retain", "Delete", "Evacuate"}) {
    World world({"node-a", "node-b"});
    world.Put(api::kLinstorCluster, "cluster", "{}");
    world.Put(api::kLinstorSatelliteConfiguration, "policy",
              std::string(R"({"deletionPolicy": ")") + policy + R"("})");
    ASSERT_TRUE(world.Settle());
    world.kube.Mutate(api::kLinstorSatellite, {"", "node-a"}, [](Json& object) {
      object["metadata"]["finalizers"].push_back("example.com/mine");
    });
    const std::stop_source stop;
    ASSERT_TRUE(
        world.kube.Delete(Context(stop.get_token()), api::kLinstorSatellite, {"", "node-a"}, {}));
    for (int i = 0; i < 4; ++i) {
      world.clock.Advance(std::chrono::minutes(1));
      world.kube.CollectGarbage();
      world.RunNodes();
      (void)world.ReconcileSatellite("node-a");
    }
    const auto left = world.kube.Find(api::kLinstorSatellite, {"", "node-a"});
    ASSERT_TRUE(left) << policy;
    EXPECT_EQ((*left)["metadata"]["finalizers"], Json::array({"example.com/mine"})) << policy;
    EXPECT_THAT(world.Condition(api::kLinstorSatellite, "node-a", api::kConditionSatelliteDeleted),
                StartsWith("True/Completed"))
        << policy;
  }
}

// Definitions of v2.6: every apply was refused with HTTP 500, for ever and without a word.
TEST(DefinitionsTest, OfAnOlderVersionWork) {
  World world({"node-a"});
  world.kube.Undeclare(
      api::kLinstorSatellite,
      {"/spec/deletionPolicy", "/status/storageProviders", "/status/deviceLayers",
       "/status/numberOfVolumes", "/status/numberOfSnapshots", "/status/availableCapacityBytes",
       "/status/freeCapacityBytes", "/status/capacity"});
  world.kube.Undeclare(
      api::kLinstorCluster,
      {"/status/version", "/status/satellites", "/status/scheduledSatellites",
       "/status/runningSatellites", "/status/numberOfVolumes", "/status/numberOfSnapshots",
       "/status/availableCapacityBytes", "/status/freeCapacityBytes", "/status/capacity"});
  world.kube.Undeclare(api::kLinstorSatelliteConfiguration,
                       {"/status/matched", "/status/appliedTo"});
  world.Put(api::kLinstorCluster, "cluster", "{}");
  world.Put(api::kLinstorSatelliteConfiguration, "config", "{}");
  ASSERT_TRUE(world.Settle(8)) << "and the steady state writes nothing";
  EXPECT_THAT(world.Condition(api::kLinstorSatellite, "node-a", api::kConditionAvailable),
              StartsWith("True"));
  EXPECT_THAT(world.ClusterCondition(api::kConditionApplied),
              AllOf(StartsWith("False/DefinitionsDiffer"),
                    HasSubstr("LinstorSatellite: spec.deletionPolicy"), HasSubstr("-k crds")));
  world.kube.Undeclare(api::kLinstorSatellite, {});
  world.kube.Undeclare(api::kLinstorCluster, {});
  world.kube.Undeclare(api::kLinstorSatelliteConfiguration, {});
  world.clock.Advance(std::chrono::minutes(11));
  world.Put(api::kLinstorSatelliteConfiguration, "config", R"({"deletionPolicy": "Evacuate"})");
  ASSERT_TRUE(world.Settle(20));
  EXPECT_EQ((*world.kube.Find(api::kLinstorSatellite, {"", "node-a"}))["spec"]["deletionPolicy"],
            "Evacuate");
  EXPECT_THAT(world.ClusterCondition(api::kConditionApplied), StartsWith("True"));
}

std::string Template(const std::string& value) {
  return R"({"podTemplate":{"metadata":{"annotations":{"v":")" + value + R"("}}}})";
}

int NodesWith(World& world, const std::string& value) {
  int count = 0;
  for (const Json& set : world.kube.All(api::kDaemonSet)) {
    count += set.dump().find("\"v\":\"" + value + "\"") != std::string::npos ? 1 : 0;
  }
  return count;
}

// facts/PIRAEUS.md 1.17.6: a restart next to a resync leaves one good copy without its tools.
TEST(RestartTest, WaitsWhileACopyOnAnotherNodeIsNotUpToDate) {
  World world;
  world.Put(api::kLinstorCluster, "cluster", "{}");
  world.Put(api::kLinstorSatelliteConfiguration, "config", Template("1"));
  ASSERT_TRUE(world.Settle());
  const auto copies = [&](const std::string& state_of_b) {
    world.linstor->With([&](FakeLinstor::State& state) {
      state.resources = {{.name = "r1",
                          .node = "node-a",
                          .has_drbd = true,
                          .volumes = {{.disk_state = "UpToDate"}}},
                         {.name = "r1",
                          .node = "node-b",
                          .has_drbd = true,
                          .volumes = {{.disk_state = state_of_b}}}};
      return 0;
    });
  };
  copies("Inconsistent");
  world.Put(api::kLinstorSatelliteConfiguration, "config", Template("2"));
  for (int i = 0; i < 6; ++i) {
    world.clock.Advance(std::chrono::minutes(1));
    (void)world.ReconcileAll();
    world.RunNodes();
  }
  EXPECT_EQ(NodesWith(world, "2"), 2)
      << "node-c has no copy, and node-b's is the one that is behind";
  EXPECT_THAT(Applied(world, "node-a"),
              HasSubstr("waiting for volume r1, whose copy on node-b is Inconsistent"));
  copies("UpToDate");
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(NodesWith(world, "2"), 3);
}

// Its agent is what takes a transaction back; the journal in the status may be a moment behind.
TEST(RestartTest, WaitsForATransactionOfTheAgent) {
  World world({"node-a"});
  world.Put(api::kLinstorCluster, "cluster", "{}");
  world.Put(api::kLinstorSatelliteConfiguration, "config", Template("1"));
  ASSERT_TRUE(world.Settle());
  auto use = std::make_shared<controllers::SatelliteUse>();
  use->transaction["node-a"] = "r7";
  world.use.Set(use);
  world.Put(api::kLinstorSatelliteConfiguration, "config", Template("2"));
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(NodesWith(world, "2"), 0);
  EXPECT_THAT(Applied(world, "node-a"), HasSubstr("waiting for volume r7"));
  world.use.Set(nullptr);
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(NodesWith(world, "2"), 1);
}

}  // namespace
}  // namespace breakwater::testing
