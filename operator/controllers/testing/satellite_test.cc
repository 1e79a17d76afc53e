// Rollout and deletion of satellites.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "operator/api/resources.h"
#include "operator/controllers/testing/world.h"

namespace breakwater::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

const std::vector<std::string> kNodes{"node-a", "node-b", "node-c"};

std::string Template(const std::string& value) {
  return R"({"podTemplate":{"metadata":{"annotations":{"v":")" + value + R"("}}}})";
}

int NodesWith(World& world, const std::string& value) {
  int count = 0;
  for (const Json& set : world.SatelliteSets()) {
    const Json* annotation =
        api::FindPath(set, {"spec", "template", "metadata", "annotations", "v"});
    count += annotation != nullptr && *annotation == value ? 1 : 0;
  }
  return count;
}

void Delete(World& world, const std::string& name) {
  const std::stop_source stop;
  ASSERT_TRUE(world.kube.Delete(Context(stop.get_token()), api::kLinstorSatellite, {"", name}, {}));
}

void Start(World& world, const std::string& configuration = "{}") {
  world.Put(api::kLinstorCluster, "cluster", "{}");
  world.Put(api::kLinstorSatelliteConfiguration, "config", configuration);
  ASSERT_TRUE(world.Settle());
}

// A setting for all nodes must not restart all satellites at once.
TEST(RolloutTest, ChangesOneNodeAfterTheOther) {
  World world;
  Start(world, Template("1"));
  ASSERT_EQ(NodesWith(world, "1"), 3);
  world.Put(api::kLinstorSatelliteConfiguration, "config", Template("2"));
  for (int expected = 1; expected <= 3; ++expected) {
    world.ReconcileAll();
    world.ReconcileAll();  // the pod of the changed node is not up yet: nobody else may change
    EXPECT_EQ(NodesWith(world, "2"), expected);
    world.RunNodes();
  }
  EXPECT_TRUE(world.Settle());
  EXPECT_EQ(NodesWith(world, "2"), 3);
}

// The handshake daemon comes together with its certificate, or each satellite restarts twice.
TEST(RolloutTest, TheDaemonWaitsForItsReplicationSecret) {
  World world;
  Start(world);
  world.Put(api::kLinstorCluster, "cluster",
            R"({"internalTLS": {}, "replicationTLS": {"certificates": {"mode": "Managed"}}})");
  world.Put(api::kLinstorSatelliteConfiguration, "config",
            R"({"internalTLS": {"tlsHandshakeDaemon": true}})");
  const auto volumes = [&](const std::string& node) {
    const auto set =
        world.kube.Find(api::kDaemonSet, {kWorldNamespace, "linstor-satellite." + node});
    return set->at("spec").at("template").at("spec").at("volumes").dump();
  };
  for (int i = 0; i < 3; ++i) {
    world.ReconcileAll();
    world.RunNodes();
  }
  EXPECT_THAT(world.Condition(api::kLinstorSatellite, "node-a", api::kConditionApplied),
              HasSubstr("CertificateWaiting: Change prepared, waiting for the certificate in the "
                        "Secret node-a-replication-tls"));
  EXPECT_THAT(volumes("node-a"), ::testing::Not(HasSubstr("internal-tls")));
  const Json data{{"tls.crt", "eA=="}, {"tls.key", "eA=="}, {"ca.crt", "eA=="}};
  for (const std::string& node : kNodes) {
    world.kube.Put(api::kSecret,
                   {{"metadata", {{"name", node + "-tls"}, {"namespace", kWorldNamespace}}}});
    world.kube.Put(
        api::kSecret,
        {{"metadata", {{"name", node + "-replication-tls"}, {"namespace", kWorldNamespace}}},
         {"data", data}});
  }
  EXPECT_TRUE(world.Settle());
  EXPECT_THAT(volumes("node-c"), HasSubstr("node-c-replication-tls"));
}

// A template that does not start must cost one satellite, not all; the repair must get through.
TEST(RolloutTest, TroubleStopsTheRolloutAndTheRepairPasses) {
  World world;
  Start(world, Template("1"));
  world.Put(api::kLinstorSatelliteConfiguration, "config", Template("bad"));
  world.ReconcileAll();
  ASSERT_EQ(NodesWith(world, "bad"), 1);
  world.RunNodes({"node-b", "node-c"});
  for (int i = 0; i < 5; ++i) {
    world.ReconcileAll();
  }
  EXPECT_EQ(NodesWith(world, "bad"), 1);
  EXPECT_THAT(world.Condition(api::kLinstorSatellite, "node-b", api::kConditionApplied),
              HasSubstr("waiting for the satellite on node-a"));
  EXPECT_THAT(world.Condition(api::kLinstorSatellite, "node-c", api::kConditionApplied),
              HasSubstr("waiting for its turn"))
      << "the same at every step of a long rollout";
  world.Put(api::kLinstorSatelliteConfiguration, "config", Template("3"));
  world.ReconcileAll();
  EXPECT_EQ(NodesWith(world, "bad"), 0);
  EXPECT_TRUE(world.Settle());
  EXPECT_EQ(NodesWith(world, "3"), 3);
}

// REVIEW-1 M2: the agent that brings a cut connection back lives in the satellite's pod: a restart
// at that moment would leave it cut until the pod is back.
TEST(RolloutTest, WaitsWhileAVolumeOfTheNodeIsSwitched) {
  World world;
  Start(world, Template("1"));
  world.linstor->With([](FakeLinstor::State& state) {
    state.resources.push_back({.name = "r1", .node = "node-a"});
    state.resources.push_back({.name = "r1", .node = "node-b"});
    return 0;
  });
  const auto in_flight = [&](bool any) {
    world.kube.Mutate(api::kLinstorCluster, {"", "cluster"}, [&](Json& object) {
      Json& entries = object["status"]["replicationTLS"]["inFlight"];
      entries = Json::array();
      if (any) {
        entries.push_back({{"resource", "r1"}, {"strategy", "PairByPair"}, {"step", "Lead"}});
      }
    });
  };
  in_flight(true);
  world.Put(api::kLinstorSatelliteConfiguration, "config", Template("2"));
  for (int i = 0; i < 3; ++i) {
    world.ReconcileAll();
    world.RunNodes();
  }
  EXPECT_EQ(NodesWith(world, "2"), 1) << "node-c has nothing to do with it";
  EXPECT_THAT(world.Condition(api::kLinstorSatellite, "node-a", api::kConditionApplied),
              HasSubstr("volume r1"));
  in_flight(false);
  EXPECT_TRUE(world.Settle());
  EXPECT_EQ(NodesWith(world, "2"), 3);
}

// REVIEW-1 R7: the setting that changes all satellites restarts LINSTOR too. While it could not be
// asked every satellite counted as online, and all of them were replaced within 1.5 s.
TEST(RolloutTest, WaitsForALinstorThatRestarts) {
  World world;
  Start(world, Template("1"));
  world.linstor->SetDown(true);
  world.Put(api::kLinstorSatelliteConfiguration, "config", Template("2"));
  for (int i = 0; i < 3; ++i) {
    (void)world.ReconcileAll();
    world.RunNodes();
  }
  EXPECT_EQ(NodesWith(world, "2"), 0);
  EXPECT_THAT(world.Condition(api::kLinstorSatellite, "node-a", api::kConditionApplied),
              HasSubstr("waiting for LINSTOR, which does not answer"));
  world.linstor->SetDown(false);
  world.clock.Advance(std::chrono::seconds(11));
  EXPECT_TRUE(world.Settle());
  EXPECT_EQ(NodesWith(world, "2"), 3);
}

// LINSTOR may be down because of what the change repairs.
TEST(RolloutTest, ALinstorThatStaysAwayHoldsUpNoRepair) {
  World world;
  Start(world, Template("1"));
  world.linstor->SetDown(true);
  world.Put(api::kLinstorSatelliteConfiguration, "config", Template("2"));
  (void)world.ReconcileAll();
  for (int i = 0; i < 8; ++i) {
    world.clock.Advance(std::chrono::minutes(1));
    (void)world.ReconcileAll();
    world.RunNodes();
  }
  EXPECT_EQ(NodesWith(world, "2"), 3);
}

void SetNodeReady(World& world, const std::string& name, bool ready) {
  world.kube.Mutate(api::kNode, {"", name}, [&](Json& node) {
    node["status"]["conditions"] =
        Json::array({{{"type", "Ready"}, {"status", ready ? "True" : "Unknown"}}});
  });
}

// A machine that is away for a week must not hold up an upgrade of the others for a week.
TEST(RolloutTest, ADeadNodeHoldsUpNobody) {
  World world;
  Start(world, Template("1"));
  world.Put(api::kLinstorSatelliteConfiguration, "config", Template("2"));
  ASSERT_TRUE(world.Settle());  // generation 2 everywhere
  SetNodeReady(world, "node-b", false);
  world.linstor->With([](FakeLinstor::State& state) {
    state.nodes["node-b"].connection_status = "OFFLINE";
    return 0;
  });
  world.RunNodes({"node-a", "node-c"});
  world.Put(api::kLinstorSatelliteConfiguration, "config", Template("3"));
  for (int i = 0; i < 6; ++i) {
    world.clock.Advance(std::chrono::minutes(1));
    world.ReconcileAll();
    world.RunNodes({"node-a", "node-c"});
  }
  EXPECT_EQ(NodesWith(world, "3"), 3);
}

// But when it is the change that killed the node, the next one must not follow.
TEST(RolloutTest, ANodeThatDiesOfTheChangeStopsTheRollout) {
  World world;
  Start(world, Template("1"));
  world.Put(api::kLinstorSatelliteConfiguration, "config", Template("2"));
  world.ReconcileAll();
  ASSERT_EQ(NodesWith(world, "2"), 1);
  SetNodeReady(world, "node-a", false);
  for (int i = 0; i < 4; ++i) {
    world.RunNodes({"node-b", "node-c"});
    world.ReconcileAll();
  }
  EXPECT_EQ(NodesWith(world, "2"), 1);
  SetNodeReady(world, "node-a", true);
  EXPECT_TRUE(world.Settle());
  EXPECT_EQ(NodesWith(world, "2"), 3);
}

// A new version of the operator changes a label on every DaemonSet and restarts no pod: that needs
// no turn, and so no healthy cluster.
TEST(RolloutTest, OnlyTheTemplateNeedsATurn) {
  World world;
  Start(world, Template("1"));
  world.Put(api::kLinstorSatelliteConfiguration, "config", Template("2"));
  ASSERT_TRUE(world.Settle());
  world.RunNodes({"node-b", "node-c"});  // node-a is in trouble
  world.Put(
      api::kLinstorSatelliteConfiguration, "label",
      R"({"patches":[{"target":{"kind":"DaemonSet"},"patch":"{kind: DaemonSet, metadata: {name: any, labels: {new: label}}}"}]})");
  world.ReconcileAll();
  for (const Json& set : world.SatelliteSets()) {
    EXPECT_EQ(set["metadata"]["labels"]["new"], "label");
  }
  // A field that goes away again does restart the pod.
  world.Put(api::kLinstorSatelliteConfiguration, "config", "{}");
  world.ReconcileAll();
  world.ReconcileAll();
  EXPECT_EQ(NodesWith(world, "2"), 2) << "node-a only, which is down anyway";
}

// After an upgrade of LINSTOR every satellite of the old version is off line until it has changed:
// if they waited for each other, no node but the first could be used any more.
TEST(RolloutTest, AnUpgradeOfLinstorReachesAllNodes) {
  World world;
  Start(world, Template("1"));
  for (const char* value : {"2", "3"}) {  // generations above one: no longer new satellites
    world.Put(api::kLinstorSatelliteConfiguration, "config", Template(value));
    ASSERT_TRUE(world.Settle(24));
  }
  const auto connect = [&] {
    world.linstor->With([&](FakeLinstor::State& state) {
      for (const Json& set : world.SatelliteSets()) {
        const std::string name = api::Object(set).name();
        const bool changed =
            *api::FindPath(set, {"spec", "template", "metadata", "annotations", "v"}) == "4";
        state.nodes[name.substr(name.find('.') + 1)].connection_status =
            changed ? "ONLINE" : "VERSION_MISMATCH";
      }
      return 0;
    });
  };
  connect();
  world.Put(api::kLinstorSatelliteConfiguration, "config", Template("4"));
  for (int expected = 1; expected <= 3; ++expected) {
    world.ReconcileAll();
    world.ReconcileAll();
    EXPECT_EQ(NodesWith(world, "4"), expected) << "still one after the other";
    world.RunNodes();
    connect();
  }
}

// A changed separator gives every DaemonSet a new name: each pod restarts, so each waits its turn.
TEST(RolloutTest, ARenamedDaemonSetNeedsATurn) {
  World world;
  Start(world);
  const auto renamed = [&] {
    int count = 0;
    for (const Json& set : world.SatelliteSets()) {
      count += api::Object(set).name().find('_') == std::string::npos &&
                       api::Object(set).name().find('.') == std::string::npos
                   ? 1
                   : 0;
    }
    return count;
  };
  ASSERT_EQ(renamed(), 0);
  world.Put(api::kLinstorSatelliteConfiguration, "config",
            R"({"resourceNameSuffixSeparator":"-"})");
  world.ReconcileAll();
  world.ReconcileAll();
  EXPECT_EQ(renamed(), 1);
  EXPECT_EQ(world.SatelliteSets().size(), 3U);
}

// Seen on a real kubelet: tlshd ends at once on a kernel without a handshake service, the pod is
// not Ready, and LINSTOR's satellite beside it is. It was shown as "Missing Pod".
TEST(RegistrationTest, AHandshakeDaemonThatCannotStartIsNoMissingSatellite) {
  World world;
  Start(world);
  for (const Json& pod : world.kube.All(api::kPod)) {
    const api::Object object(pod);
    world.kube.Mutate(api::kPod, object.key(), [](Json& live) {
      live["status"]["conditions"] = Json::array({{{"type", "Ready"}, {"status", "False"}}});
      live["status"]["containerStatuses"] =
          Json::array({{{"name", "linstor-satellite"}, {"ready", true}},
                       {{"name", "ktls-utils"}, {"ready", false}}});
    });
  }
  world.ReconcileAll();
  EXPECT_THAT(world.Condition(api::kLinstorSatellite, "node-a", api::kConditionAvailable),
              ::testing::StartsWith("True"));
}

void Freeze(World& world, const char* step) {
  world.linstor->With([](FakeLinstor::State& state) {
    state.resources = {{.name = "r1", .node = "node-a"}, {.name = "r1", .node = "node-b"}};
    return 0;
  });
  world.kube.Mutate(api::kLinstorCluster, {"", "cluster"}, [&](Json& object) {
    object["status"]["replicationTLS"]["inFlight"] = Json::array(
        {{{"resource", "r1"}, {"strategy", "SuspendIO"}, {"step", step}, {"startedAt", "x"}}});
  });
}

// LINSTOR resumes the volumes of a node that it is told something about (L24), while the peers of a
// volume are still cut.
TEST(RegistrationTest, NothingAboutANodeIsChangedWhileAVolumeThereIsSuspended) {
  World world;
  Start(world);
  Freeze(world, "SuspendedSwitch");
  const std::string with_property = R"({"properties":[{"name":"Aux/zone","value":"z"}]})";
  world.Put(api::kLinstorSatelliteConfiguration, "config", with_property);
  world.ReconcileAll();
  world.ReconcileAll();
  const auto zone = [&](const char* node) {
    return world.linstor->With(
        [&](FakeLinstor::State& state) { return state.nodes[node].props.contains("Aux/zone"); });
  };
  EXPECT_FALSE(zone("node-a"));
  EXPECT_TRUE(zone("node-c")) << "has nothing to do with it";
  EXPECT_THAT(world.Condition(api::kLinstorSatellite, "node-a", api::kConditionConfigured),
              HasSubstr("volume r1"));
  world.kube.Mutate(api::kLinstorCluster, {"", "cluster"}, [&](Json& object) {
    object["status"]["replicationTLS"]["inFlight"] = Json::array();
  });
  EXPECT_TRUE(world.Settle());
  EXPECT_TRUE(zone("node-a"));
}

// The watchdog that ends a suspension goes with the pod.
TEST(DeletionTest, WaitsWhileAVolumeOfTheNodeIsSuspended) {
  for (const char* policy : {"Retain", "Delete", "Evacuate"}) {
    World world;
    Start(world, std::string(R"({"deletionPolicy":")") + policy + R"("})");
    Freeze(world, "SuspendedSwitch");
    Delete(world, "node-a");
    EXPECT_TRUE(world.ReconcileSatellite("node-a"));
    EXPECT_TRUE(world.kube.Find(api::kLinstorSatellite, {"", "node-a"})) << policy;
    EXPECT_EQ(world.SatelliteSets().size(), 3U) << policy;
    world.linstor->With([&](FakeLinstor::State& state) {
      EXPECT_FALSE(state.nodes["node-a"].HasFlag("EVACUATE")) << policy;
      return 0;
    });
  }
}

// Uninstalled and installed again while the operator was away: the new cluster of the same name
// must not make LINSTOR forget the data of all nodes.
TEST(DeletionTest, SatellitesOfAFormerClusterAreNobodysToThrowAway) {
  for (const char* policy : {"Delete", "Evacuate"}) {
    World world;
    Start(world, std::string(R"({"deletionPolicy":")") + policy + R"("})");
    world.linstor->With([](FakeLinstor::State& state) {
      state.resources = {{.name = "r1", .node = "node-a"}};
      return 0;
    });
    for (const std::string& node : kNodes) {
      Delete(world, node);
    }
    world.kube.Remove(api::kLinstorCluster, {"", "cluster"});
    world.Put(api::kLinstorCluster, "cluster", "{}");
    world.linstor->ClearWrites();
    for (const std::string& node : kNodes) {
      EXPECT_TRUE(world.ReconcileSatellite(node));
      EXPECT_FALSE(world.kube.Find(api::kLinstorSatellite, {"", node})) << policy;
    }
    EXPECT_THAT(world.linstor->writes(), ::testing::IsEmpty()) << policy;
  }
}

// An evacuation takes hours; a node that reboots meanwhile comes back with another address.
TEST(DeletionTest, AnEvacuatingSatelliteIsMaintained) {
  World world;
  Start(world, R"({"deletionPolicy":"Evacuate"})");
  world.linstor->With([](FakeLinstor::State& state) {
    state.resources.push_back({.name = "r1", .node = "node-c"});
    return 0;
  });
  Delete(world, "node-c");
  world.ReconcileAll();
  world.kube.Mutate(api::kPod, {kWorldNamespace, "pod-node-c"}, [](Json& pod) {
    pod["status"]["podIPs"] = Json::array({{{"ip", "10.9.9.9"}}});
  });
  world.kube.Remove(api::kDaemonSet, {kWorldNamespace, "linstor-satellite.node-c"});
  world.linstor->ClearWrites();
  world.ReconcileAll();
  EXPECT_TRUE(world.kube.Find(api::kDaemonSet, {kWorldNamespace, "linstor-satellite.node-c"}));
  world.linstor->With([](FakeLinstor::State& state) {
    const linstor::Node& node = state.nodes["node-c"];
    EXPECT_TRUE(node.HasFlag("EVACUATE")) << "not taken back";
    EXPECT_EQ(node.net_interfaces.at(0).address, "10.9.9.9");
    return 0;
  });
}

// The default: removing a node from Kubernetes' view must never touch data.
TEST(DeletionTest, RetainKeepsTheNodeInLinstor) {
  World world;
  Start(world);
  world.kube.Remove(api::kNode, {"", "node-c"});
  EXPECT_TRUE(world.Settle());
  EXPECT_FALSE(world.kube.Find(api::kLinstorSatellite, {"", "node-c"}));
  world.linstor->With([](FakeLinstor::State& state) {
    EXPECT_TRUE(state.nodes.contains("node-c"));
    return 0;
  });
}

TEST(DeletionTest, DeleteRemovesTheNodeAfterItsPod) {
  World world;
  Start(world, R"({"deletionPolicy":"Delete"})");
  world.kube.Remove(api::kNode, {"", "node-c"});
  world.ReconcileAll();
  world.ReconcileAll();
  world.linstor->With([](FakeLinstor::State& state) {
    EXPECT_TRUE(state.nodes.contains("node-c")) << "LINSTOR refuses while the pod still runs";
    return 0;
  });
  EXPECT_TRUE(world.Settle());
  world.linstor->With([](FakeLinstor::State& state) {
    EXPECT_FALSE(state.nodes.contains("node-c"));
    return 0;
  });
}

// The policy Delete forgets the node with everything on it. Not a volume whose only good copy is
// there: the satellite stays, its pod too, and the condition names volume and next step.
TEST(DeletionTest, DeleteKeepsTheLastGoodCopy) {
  World world;
  Start(world, R"({"deletionPolicy":"Delete"})");
  const auto copies = [&](const std::string& other) {
    world.linstor->With([&](FakeLinstor::State& state) {
      linstor::Volume good;
      good.disk_state = "UpToDate";
      linstor::Volume of_other;
      of_other.disk_state = other;
      state.resources = {{.name = "r1", .node = "node-c", .has_drbd = true, .volumes = {good}},
                         {.name = "r1", .node = "node-a", .has_drbd = true, .volumes = {of_other}}};
      return 0;
    });
  };
  copies("Inconsistent");
  world.kube.Remove(api::kNode, {"", "node-c"});
  for (int i = 0; i < 4; ++i) {
    world.ReconcileAll();
  }
  EXPECT_EQ(world.SatelliteSets().size(), 3U) << "its pod has the data";
  EXPECT_THAT(world.Condition(api::kLinstorSatellite, "node-c", "SatelliteDeleted"),
              AllOf(HasSubstr("LastCopy"), HasSubstr("r1"), HasSubstr("forget-last-copies")));
  copies("UpToDate");
  EXPECT_TRUE(world.Settle());
  EXPECT_FALSE(world.kube.Find(api::kLinstorSatellite, {"", "node-c"}));
}

// Two nodes taken out in one go. Each relied on the copy of the other; the pods of both were ended.
TEST(DeletionTest, NodesThatGoTogetherDoNotRelyOnEachOther) {
  World world;
  Start(world, R"({"deletionPolicy":"Delete"})");
  world.linstor->With([](FakeLinstor::State& state) {
    linstor::Volume good;
    good.disk_state = "UpToDate";
    for (const char* node : {"node-b", "node-c"}) {
      state.resources.push_back({.name = "r1", .node = node, .has_drbd = true, .volumes = {good}});
    }
    return 0;
  });
  Delete(world, "node-b");
  Delete(world, "node-c");
  for (int i = 0; i < 4; ++i) {
    world.RunNodes();
    world.ReconcileAll();
  }
  EXPECT_EQ(world.SatelliteSets().size(), 3U);
  for (const char* node : {"node-b", "node-c"}) {
    EXPECT_THAT(world.Condition(api::kLinstorSatellite, node, "SatelliteDeleted"),
                AllOf(HasSubstr("LastCopy"), HasSubstr("r1")));
  }
}

// The other copy went bad after the pod had ended: the data is on this node, so is the pod.
TEST(DeletionTest, ThePodComesBackWhenTheLastCopyIsHereAfterAll) {
  World world;
  Start(world, R"({"deletionPolicy":"Delete"})");
  world.linstor->With([](FakeLinstor::State& state) {
    state.resources = {{.name = "r1", .node = "node-c"}};
    return 0;
  });
  world.kube.Remove(api::kDaemonSet, {kWorldNamespace, "linstor-satellite.node-c"});
  Delete(world, "node-c");
  world.RunNodes();
  world.ReconcileAll();
  EXPECT_TRUE(world.kube.Find(api::kDaemonSet, {kWorldNamespace, "linstor-satellite.node-c"}));
}

// A pod writes on the node. LINSTOR would tell the others to forget it, and the pod would freeze.
TEST(DeletionTest, DeleteWaitsUntilNoPodUsesTheNode) {
  World world;
  Start(world, R"({"deletionPolicy":"Delete"})");
  const auto use = [&](std::optional<bool> in_use) {
    world.linstor->With([&](FakeLinstor::State& state) {
      state.resources = {{.name = "r1", .node = "node-a"},
                         {.name = "r1", .node = "node-c", .in_use = in_use}};
      return 0;
    });
  };
  use(true);
  Delete(world, "node-c");
  for (int i = 0; i < 4; ++i) {
    world.ReconcileAll();
  }
  EXPECT_EQ(world.SatelliteSets().size(), 3U);
  EXPECT_THAT(world.Condition(api::kLinstorSatellite, "node-c", "SatelliteDeleted"),
              AllOf(HasSubstr("InUse"), HasSubstr("r1"), HasSubstr("kubectl drain node-c")));
  use(std::nullopt);  // the satellite is not connected: the node may be dead
  for (int i = 0; i < 3; ++i) {
    world.RunNodes();
    world.ReconcileAll();
  }
  world.linstor->With([](FakeLinstor::State& state) {
    for (const linstor::Resource& resource : state.resources) {
      EXPECT_EQ(resource.node, "node-a");
    }
    return 0;
  });
}

TEST(DeletionTest, ALastCopyGoesWhenSomebodyGivesItUpByName) {
  World world;
  Start(world, R"({"deletionPolicy":"Delete"})");
  world.linstor->With([](FakeLinstor::State& state) {
    state.resources = {{.name = "r1", .node = "node-c"}, {.name = "r2", .node = "node-c"}};
    return 0;
  });
  const auto give_up = [&](const char* names) {
    world.kube.Mutate(api::kLinstorSatellite, {"", "node-c"}, [&](Json& satellite) {
      satellite["metadata"]["annotations"]["breakwater.io/forget-last-copies"] = names;
    });
  };
  give_up("r1");
  world.kube.Remove(api::kNode, {"", "node-c"});
  for (int i = 0; i < 4; ++i) {
    world.ReconcileAll();
  }
  EXPECT_THAT(world.Condition(api::kLinstorSatellite, "node-c", "SatelliteDeleted"),
              AllOf(HasSubstr("r2"), ::testing::Not(HasSubstr("copy of r1"))));
  give_up("r1, r2");
  EXPECT_TRUE(world.Settle());
  EXPECT_FALSE(world.kube.Find(api::kLinstorSatellite, {"", "node-c"}));
}

// LINSTOR has an evacuation in its memory only: its controller restarted, and nothing moves.
TEST(DeletionTest, ADroppedEvacuationIsBegunAgainWhenNothingMoves) {
  World world;
  Start(world, R"({"deletionPolicy":"Evacuate"})");
  world.linstor->With([](FakeLinstor::State& state) {
    state.resources = {{.name = "r1", .node = "node-c"}};
    return 0;
  });
  Delete(world, "node-c");
  world.ReconcileAll();
  world.ReconcileAll();
  world.linstor->ClearWrites();
  const auto asked = [&] {
    const std::vector<std::string> writes = world.linstor->writes();
    return std::count(writes.begin(), writes.end(), "evacuate-node node-c");
  };
  world.clock.Advance(std::chrono::minutes(4));
  world.ReconcileAll();
  EXPECT_EQ(asked(), 0) << "LINSTOR may be about to";
  world.clock.Advance(std::chrono::minutes(2));
  world.ReconcileAll();
  EXPECT_EQ(asked(), 1);
  world.clock.Advance(std::chrono::minutes(6));
  world.ReconcileAll();
  EXPECT_EQ(asked(), 1) << "less and less often";
  world.clock.Advance(std::chrono::minutes(5));
  world.ReconcileAll();
  EXPECT_EQ(asked(), 2);
}

// Evacuating twice creates extra replicas; finishing early loses data.
TEST(DeletionTest, EvacuateRunsOnceAndWaitsForTheData) {
  World world;
  Start(world, R"({"deletionPolicy":"Evacuate"})");
  world.linstor->With([](FakeLinstor::State& state) {
    state.resources.push_back({.name = "r1", .node = "node-c"});
    return 0;
  });
  Delete(world, "node-c");
  world.kube.Mutate(api::kNode, {"", "node-c"}, [](Json& node) {
    node["spec"]["taints"] = Json::array({{{"key", "gone"}, {"effect", "NoExecute"}}});
  });
  world.linstor->ClearWrites();
  for (int i = 0; i < 4; ++i) {
    world.RunNodes();
    world.ReconcileAll();
  }
  const std::vector<std::string> writes = world.linstor->writes();
  EXPECT_EQ(std::count(writes.begin(), writes.end(), "evacuate-node node-c"), 1);
  EXPECT_THAT(world.Condition(api::kLinstorSatellite, "node-c", "SatelliteEvacuated"),
              HasSubstr("InProgress"));
  world.linstor->With([](FakeLinstor::State& state) {
    EXPECT_TRUE(state.nodes.contains("node-c"));
    state.resources.clear();
    return 0;
  });
  EXPECT_TRUE(world.Settle());
  EXPECT_FALSE(world.kube.Find(api::kLinstorSatellite, {"", "node-c"}));
  world.linstor->With([](FakeLinstor::State& state) {
    EXPECT_FALSE(state.nodes.contains("node-c"));
    return 0;
  });
}

// LINSTOR makes the copy where the pod is, if the pod is somewhere else already. A volume that no
// pod ever takes, or that Kubernetes does not know, holds nothing up.
TEST(DeletionTest, EvacuationWaitsForPodsToTakeTheirVolumes) {
  World world;
  Start(world, R"({"deletionPolicy":"Evacuate",
                   "evacuationStrategy":{"attachedVolumeReattachTimeout":"20m",
                                         "unattachedVolumeAttachTimeout":"2m"}})");
  for (const char* name : {"used", "idle"}) {
    world.kube.Put(
        api::kPersistentVolume,
        {{"metadata", {{"name", name}}},
         {"spec", {{"csi", {{"driver", api::kCsiDriverName}, {"volumeHandle", name}}}}}});
  }
  const auto use = [&](const char* node) {
    world.linstor->With([&](FakeLinstor::State& state) {
      state.resources = {{.name = "used", .node = "node-c"},
                         {.name = "used", .node = "node-a"},
                         {.name = "idle", .node = "node-c"},
                         {.name = "by-hand", .node = "node-c"}};
      for (linstor::Resource& resource : state.resources) {
        resource.in_use = resource.name == "used" && resource.node == node;
      }
      return 0;
    });
  };
  use("node-c");
  Delete(world, "node-c");
  const auto evacuates = [&] {
    world.ReconcileAll();
    return world.linstor->With(
        [](FakeLinstor::State& state) { return state.nodes["node-c"].HasFlag("EVACUATE"); });
  };
  EXPECT_FALSE(evacuates());
  EXPECT_THAT(world.Condition(api::kLinstorSatellite, "node-c", "SatelliteEvacuated"),
              AllOf(HasSubstr("Waiting"), HasSubstr("idle; used"), HasSubstr("20m")));
  world.clock.Advance(std::chrono::minutes(3));
  EXPECT_FALSE(evacuates());
  EXPECT_THAT(world.Condition(api::kLinstorSatellite, "node-c", "SatelliteEvacuated"),
              ::testing::Not(HasSubstr("idle")));
  use("node-a");
  EXPECT_TRUE(evacuates());
}

// An evacuation takes hours. Meanwhile the rest of the cluster is applied, pruned and shown.
TEST(DeletionTest, AnEvacuatingSatelliteHoldsUpNothing) {
  World world;
  Start(world, R"({"deletionPolicy":"Evacuate"})");
  world.linstor->With([](FakeLinstor::State& state) {
    state.resources.push_back({.name = "r1", .node = "node-c"});
    return 0;
  });
  Delete(world, "node-c");
  world.Put(api::kLinstorCluster, "cluster", R"({"controller":{"enabled":false}})");
  const auto pass = world.ReconcileCluster();
  ASSERT_TRUE(pass);
  EXPECT_LE(*pass->after, std::chrono::minutes(1));
  EXPECT_THAT(world.ClusterCondition(api::kConditionApplied),
              ::testing::StartsWith("False/Waiting: LinstorSatellite node-c: is being deleted"));
  EXPECT_FALSE(world.kube.Find(api::kDeployment, {kWorldNamespace, "linstor-controller"}));
}

TEST(DeletionTest, LimitsConcurrentEvacuations) {
  World world;
  Start(world, R"({"deletionPolicy":"Evacuate"})");
  world.Put(api::kLinstorCluster, "cluster", R"({"maxConcurrentEvacuations":1})");
  world.linstor->With([](FakeLinstor::State& state) {
    state.resources = {{.name = "r1", .node = "node-b"}, {.name = "r1", .node = "node-c"}};
    return 0;
  });
  Delete(world, "node-b");
  Delete(world, "node-c");
  EXPECT_TRUE(world.ReconcileSatellite("node-b"));
  EXPECT_TRUE(world.ReconcileSatellite("node-c"));
  EXPECT_THAT(world.Condition(api::kLinstorSatellite, "node-c", "SatelliteEvacuated"),
              HasSubstr("Waiting"));
}

// Deleting the whole cluster must not hang on a LINSTOR that is already gone.
TEST(DeletionTest, EndsWhenTheClusterIsGone) {
  World world;
  Start(world, R"({"deletionPolicy":"Evacuate"})");
  world.linstor->SetDown(true);
  world.kube.Remove(api::kLinstorCluster, {"", "cluster"});
  for (const std::string& node : kNodes) {
    Delete(world, node);
    EXPECT_TRUE(world.ReconcileSatellite(node));
    EXPECT_FALSE(world.kube.Find(api::kLinstorSatellite, {"", node}));
  }
}

}  // namespace
}  // namespace breakwater::testing
