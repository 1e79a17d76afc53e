// The four reconcilers together, against a Kubernetes and a LINSTOR in memory.

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

constexpr const char* kPools =
    R"({"storagePools":[{"name":"pool1","lvmThinPool":{"volumeGroup":"vg","thinPool":"thin"}}]})";

void Install(World& world) {
  world.Put(api::kLinstorCluster, "cluster", "{}");
  world.Put(api::kLinstorSatelliteConfiguration, "pools", kPools);
}

/// The same with the CSI driver on the nodes as its only component: what is tried for each call of
/// a pass takes minutes with all of them, and they differ in nothing that matters then.
void InstallSmall(World& world) {
  Install(world);
  world.Put(api::kLinstorCluster, "cluster", R"({
    "csiController":{"enabled":false},"highAvailabilityController":{"enabled":false},
    "affinityController":{"enabled":false},"nfsServer":{"enabled":false}})");
}

// The main job: from one LinstorCluster to a storage cluster that LINSTOR knows.
TEST(ReconcileTest, InstallsAndRegistersEverything) {
  World world;
  Install(world);
  ASSERT_TRUE(world.Settle());
  EXPECT_TRUE(world.kube.Find(api::kDeployment, {kWorldNamespace, "linstor-controller"}));
  EXPECT_TRUE(world.kube.Find(api::kDaemonSet, {kWorldNamespace, "linstor-satellite.node-b"}));
  world.linstor->With([](FakeLinstor::State& state) {
    EXPECT_EQ(state.nodes.size(), 3U);
    EXPECT_EQ(state.pools.size(), 3U);
    EXPECT_EQ(state.controller_props.at("DrbdOptions/Resource/on-no-quorum"), "suspend-io");
    EXPECT_EQ(state.nodes["node-a"].props.at("Aux/topology/linbit.com/hostname"), "node-a");
    return 0;
  });
  EXPECT_THAT(world.ClusterCondition(api::kConditionApplied), StartsWith("True/AsExpected"));
  EXPECT_THAT(world.ClusterCondition(api::kConditionAvailable), HasSubstr("Controller 1.34.0"));
  EXPECT_THAT(world.ClusterCondition(api::kConditionConfigured), HasSubstr("Properties applied"));
  EXPECT_THAT(world.Condition(api::kLinstorSatellite, "node-a", api::kConditionAvailable),
              HasSubstr("satellite online"));
  const Json cluster = *world.kube.Find(api::kLinstorCluster, {"", "cluster"});
  EXPECT_EQ(cluster["status"]["satellites"], "3/3");
  EXPECT_EQ(cluster["status"]["version"], "1.34.0");
  const Json configuration = *world.kube.Find(api::kLinstorSatelliteConfiguration, {"", "pools"});
  EXPECT_EQ(configuration["status"]["matched"], 3);
}

// REVIEW-2 S6: an open REST API is a way around everything else; whoever looks at the cluster must
// see it, with the next step.
TEST(ReconcileTest, AnUnprotectedApiIsACondition) {
  World world({"node-a"});
  Install(world);
  ASSERT_TRUE(world.Settle());
  EXPECT_THAT(world.ClusterCondition(api::kConditionApiUnprotected),
              AllOf(StartsWith("True/PlainHTTP"), HasSubstr("set spec.apiTLS")));
  world.Put(api::kLinstorCluster, "cluster", R"({"apiTLS":{}})");
  ASSERT_TRUE(world.Settle());
  EXPECT_THAT(world.ClusterCondition(api::kConditionApiUnprotected),
              StartsWith("False/AsExpected"));
}

// REVIEW-2 M1: an address that was refused is no outage; nobody should wait for it to pass.
TEST(ReconcileTest, ARefusedAddressIsConfiguredFalse) {
  World world({"node-a"});
  Install(world);
  world.provider.error = Error{ErrorClass::kInvalid, "http://x is plain HTTP"};
  world.ReconcileAll();
  EXPECT_THAT(world.ClusterCondition(api::kConditionConfigured),
              AllOf(StartsWith("False/ConnectionRefused"), HasSubstr("plain HTTP")));
}

// REVIEW-2 S5: a new pod of the LINSTOR controller must be given its backup Secrets, or it waits
// with a migration for ever.
TEST(ReconcileTest, ANewControllerPodMayUseItsBackups) {
  World world({"node-a"});
  Install(world);
  ASSERT_TRUE(world.Settle());
  world.kube.Put(api::kPod, {{"metadata",
                              {{"name", "linstor-controller-x"},
                               {"namespace", kWorldNamespace},
                               {"labels", {{api::kLabelComponent, "linstor-controller"}}}}}});
  ASSERT_TRUE(world.ReconcileCluster());
  const auto role = world.kube.Find(api::kRole, {kWorldNamespace, "linstor-controller"});
  ASSERT_TRUE(role);
  EXPECT_THAT(role->dump(), HasSubstr("\"linstor-backup-for-linstor-controller-x-00\""));
}

// An operator that writes in steady state floods etcd and audit logs on large clusters.
TEST(ReconcileTest, SteadyStateMakesNoCall) {
  World world;
  Install(world);
  ASSERT_TRUE(world.Settle());
  world.kube.ClearCalls();
  world.linstor->ClearWrites();
  world.clock.Advance(std::chrono::hours(1));
  EXPECT_THAT(world.ReconcileAll(), IsEmpty());
  EXPECT_THAT(world.kube.calls(), IsEmpty());
  EXPECT_THAT(world.linstor->writes(), IsEmpty());
}

// Whatever call of the API server fails, the next rounds must end in the same state, or one lost
// packet at installation leaves a cluster half made for ever.
TEST(ReconcileTest, ConvergesWhenAnyKubernetesCallFailsOnce) {
  World good({"node-a"});
  InstallSmall(good);
  good.kube.ClearCalls();
  good.ReconcileAll();
  const std::size_t calls = good.kube.calls().size();
  ASSERT_TRUE(good.Settle());
  const std::string wanted = good.Summary();
  for (const bool after_effect : {false, true}) {
    for (std::size_t call = 1; call <= calls; ++call) {
      World world({"node-a"});
      InstallSmall(world);
      const kube::Status fault{.code = 500, .reason = "InternalError", .message = "injected"};
      world.kube.FailCall(static_cast<int>(call), KubeError(fault), after_effect);
      world.ReconcileAll();
      ASSERT_TRUE(world.Settle()) << "call " << call;
      ASSERT_EQ(FirstDifference(world.Summary(), wanted), "") << "call " << call;
    }
  }
}

// The same for LINSTOR, which answers 500 to almost everything.
TEST(ReconcileTest, ConvergesWhenAnyLinstorCallFailsOnce) {
  World good({"node-a"});
  InstallSmall(good);
  ASSERT_TRUE(good.Settle());
  const std::string wanted = good.Summary();
  const std::size_t calls = good.linstor->calls();
  for (std::size_t call = 0; call < calls; ++call) {
    World world({"node-a"});
    InstallSmall(world);
    world.linstor->FailCall(call);
    ASSERT_TRUE(world.Settle()) << "call " << call;
    world.ReconcileAll();  // the failed call may have been a read of the last round
    ASSERT_EQ(FirstDifference(world.Summary(), wanted), "") << "call " << call;
  }
}

// Rendering never waits for LINSTOR, whose controller may be what the change is to repair. While it
// is down the API server is left in peace.
TEST(ReconcileTest, LinstorDownStopsNothingInKubernetes) {
  World world;
  world.linstor->SetDown(true);
  Install(world);
  ASSERT_TRUE(world.Settle());
  EXPECT_TRUE(world.kube.Find(api::kDaemonSet, {kWorldNamespace, "linstor-satellite.node-c"}));
  EXPECT_THAT(world.ClusterCondition(api::kConditionApplied), StartsWith("True"));
  EXPECT_THAT(world.ClusterCondition(api::kConditionAvailable),
              StartsWith("False/Error: Error: Controller unreachable"));
  EXPECT_THAT(world.Condition(api::kLinstorSatellite, "node-a", api::kConditionAvailable),
              HasSubstr("Controller unreachable"));
  world.kube.ClearCalls();
  world.ReconcileAll();
  EXPECT_THAT(world.kube.calls(), IsEmpty());
  world.linstor->SetDown(false);
  ASSERT_TRUE(world.Settle());
  EXPECT_THAT(world.ClusterCondition(api::kConditionAvailable), StartsWith("True"));
}

// A missing Service or Pod is named, because the user must know what to look at.
TEST(ReconcileTest, SaysWhatIsMissingToReachLinstor) {
  World world;
  world.provider.error = Error{ErrorClass::kTransient, "no Pod of Service x is ready"};
  Install(world);
  ASSERT_TRUE(world.Settle());
  EXPECT_THAT(world.ClusterCondition(api::kConditionAvailable),
              HasSubstr("no Pod of Service x is ready"));
}

// A wrong patch for one node must not stop the others, nor take down what runs on that node.
TEST(ReconcileTest, BadPatchOfOneNodeStopsOnlyThatNode) {
  World world;
  Install(world);
  ASSERT_TRUE(world.Settle());
  const Json before =
      *world.kube.Find(api::kDaemonSet, {kWorldNamespace, "linstor-satellite.node-b"});
  world.Put(api::kLinstorSatelliteConfiguration, "broken",
            R"({"nodeSelector":{"kubernetes.io/hostname":"node-b"},
                "patches":[{"target":{"kind":"DaemonSet"},"patch":"- op: replace\n  path: /no/such\n  value: 1\n"}]})");
  world.Put(api::kLinstorSatelliteConfiguration, "good",
            R"({"podTemplate":{"metadata":{"annotations":{"new":"1"}}}})");
  ASSERT_TRUE(world.Settle());
  EXPECT_THAT(world.Condition(api::kLinstorSatellite, "node-b", api::kConditionApplied),
              StartsWith("False/Error"));
  EXPECT_EQ(
      before["spec"],
      (*world.kube.Find(api::kDaemonSet, {kWorldNamespace, "linstor-satellite.node-b"}))["spec"]);
  const Json other =
      *world.kube.Find(api::kDaemonSet, {kWorldNamespace, "linstor-satellite.node-c"});
  EXPECT_EQ(other["spec"]["template"]["metadata"]["annotations"]["new"], "1");
}

// A typing error in the placement once deleted every LinstorSatellite, and with this policy every
// node with its data from LINSTOR.
TEST(ReconcileTest, InvalidPlacementDeletesNothing) {
  for (
      const char* spec :
      {R"({"nodeSelector":{"bad key!":"x"}})",
       R"({"nodeAffinity":{"nodeSelectorTerms":[{"matchExpressions":[{"key":"a","operator":"In"}]}]}})",
       R"({"nodeAffinity":{"nodeSelectorTerms":[]}})",
       R"({"externalController":{"url":"http://a b"}})"}) {
    World world({"node-a"});
    Install(world);
    world.Put(api::kLinstorSatelliteConfiguration, "policy", R"({"deletionPolicy":"Delete"})");
    ASSERT_TRUE(world.Settle());
    world.Put(api::kLinstorCluster, "cluster", spec);
    ASSERT_TRUE(world.Settle()) << spec;
    EXPECT_TRUE(world.kube.Find(api::kLinstorSatellite, {"", "node-a"})) << spec;
    EXPECT_TRUE(world.kube.Find(api::kDeployment, {kWorldNamespace, "linstor-controller"})) << spec;
    world.linstor->With([&](FakeLinstor::State& state) {
      EXPECT_TRUE(state.nodes.contains("node-a")) << spec;
      return 0;
    });
    EXPECT_THAT(world.ClusterCondition(api::kConditionApplied), StartsWith("False/Error")) << spec;
    world.Put(api::kLinstorCluster, "cluster", R"({"nodeSelector":{"legal":"but-nowhere"}})");
    ASSERT_TRUE(world.Settle()) << spec;
    EXPECT_FALSE(world.kube.Find(api::kLinstorSatellite, {"", "node-a"})) << "the admin's wish";
  }
}

// An unreadable configuration once stopped applying, and its pools were deleted from LINSTOR.
TEST(ReconcileTest, BrokenConfigurationChangesNothing) {
  for (
      const char* spec :
      {R"({"nodeAffinity":{"nodeSelectorTerms":[{"matchExpressions":[{"key":"kubernetes.io/hostname","operator":"in","values":["node-a"]}]}]},
            "storagePools":[{"name":"pool1","lvmThinPool":{"volumeGroup":"vg","thinPool":"thin"}}]})",
       R"({"storagePools":"pool1"})", R"({"storagePools":[{"name":"pool1"}]})",
       R"({"storagePools":[],"properties":[{"name":"p"}]})"}) {
    World world({"node-a"});
    Install(world);
    ASSERT_TRUE(world.Settle());
    const Json before = *world.kube.Find(api::kLinstorSatellite, {"", "node-a"});
    world.Put(api::kLinstorSatelliteConfiguration, "pools", spec);
    ASSERT_TRUE(world.Settle()) << spec;
    EXPECT_EQ(before["spec"], (*world.kube.Find(api::kLinstorSatellite, {"", "node-a"}))["spec"]);
    world.linstor->With([&](FakeLinstor::State& state) {
      EXPECT_EQ(state.pools.size(), 1U) << spec;
      return 0;
    });
    EXPECT_THAT(world.ClusterCondition(api::kConditionApplied), HasSubstr("Configuration pools"));
    world.Put(api::kLinstorSatelliteConfiguration, "pools", "{}");
    ASSERT_TRUE(world.Settle()) << spec;
    EXPECT_THAT(world.ClusterCondition(api::kConditionApplied), StartsWith("True")) << spec;
  }
}

// The same for what a LinstorSatellite or LinstorCluster of another version says.
TEST(ReconcileTest, UnreadableSpecTakesNothingOutOfLinstor) {
  World world({"node-a"});
  Install(world);
  world.Put(api::kLinstorCluster, "cluster", R"({"properties":[{"name":"Aux/mine","value":"1"}]})");
  ASSERT_TRUE(world.Settle());
  world.kube.Mutate(api::kLinstorSatellite, {"", "node-a"},
                    [](Json& satellite) { satellite["spec"]["storagePools"] = "x"; });
  EXPECT_TRUE(world.ReconcileSatellite("node-a"));
  EXPECT_THAT(world.Condition(api::kLinstorSatellite, "node-a", api::kConditionApplied),
              HasSubstr("spec.storagePools"));
  world.Put(api::kLinstorCluster, "cluster", R"({"properties":"none"})");
  EXPECT_TRUE(world.ReconcileCluster());
  world.linstor->With([](FakeLinstor::State& state) {
    EXPECT_EQ(state.pools.size(), 1U);
    EXPECT_TRUE(state.controller_props.contains("Aux/mine"));
    return 0;
  });
}

// An object that the API server refuses must not freeze what is shown of LINSTOR: the retry of the
// queue would come after minutes.
TEST(ReconcileTest, FailedApplyDoesNotDelayTheNextLookAtLinstor) {
  World world({"node-a"});
  Install(world);
  ASSERT_TRUE(world.Settle());
  world.Put(api::kLinstorSatelliteConfiguration, "more",
            R"({"podTemplate":{"metadata":{"annotations":{"new":"1"}}}})");
  for (const int code : {422, 403, 500}) {
    world.kube.on_call([&](const FakeKube::Call& call) -> std::optional<FakeKube::Fault> {
      if (call.verb != "apply" || call.resource.kind != "DaemonSet") {
        return std::nullopt;
      }
      return FakeKube::Fault{
          KubeError(kube::Status{.code = code, .reason = "", .message = "refused"})};
    });
    EXPECT_TRUE(world.ReconcileCluster());
    const auto pass = world.ReconcileSatellite("node-a");
    ASSERT_TRUE(pass) << code;
    EXPECT_LE(*pass->after, std::chrono::minutes(1)) << code;
    EXPECT_THAT(world.Condition(api::kLinstorSatellite, "node-a", api::kConditionApplied),
                HasSubstr("refused"));
    EXPECT_THAT(world.Condition(api::kLinstorSatellite, "node-a", api::kConditionAvailable),
                StartsWith("True"));
  }
  world.kube.on_call([](const FakeKube::Call& call) -> std::optional<FakeKube::Fault> {
    if (call.verb != "apply" || call.resource.kind != "DaemonSet") {
      return std::nullopt;
    }
    return FakeKube::Fault{
        KubeError(kube::Status{.code = 409, .reason = "Conflict", .message = "changed"})};
  });
  EXPECT_FALSE(world.ReconcileSatellite("node-a")) << "the queue tries a conflict again at once";
}

// Pushed at the wrong moment, this property breaks every connected volume: only the controller of
// replication TLS may send it.
TEST(ReconcileTest, NeverTouchesTheTlsProperty) {
  World world;
  Install(world);
  world.linstor->With([](FakeLinstor::State& state) {
    state.controller_props["DrbdOptions/Net/tls"] = "no";
    state.controller_props["Aux/piraeus.io/last-applied"] = R"(["DrbdOptions/Net/tls"])";
    return 0;
  });
  world.Put(api::kLinstorCluster, "cluster",
            R"({"properties":[{"name":"DrbdOptions/Net/tls","value":"yes"},
                              {"name":"DrbdOptions/Net/ping-int","value":"7"}]})");
  ASSERT_TRUE(world.Settle());
  world.linstor->With([](FakeLinstor::State& state) {
    EXPECT_EQ(state.controller_props.at("DrbdOptions/Net/tls"), "no");
    EXPECT_EQ(state.controller_props.at("DrbdOptions/Net/ping-int"), "7");
    EXPECT_THAT(state.controller_props.at("Aux/piraeus.io/last-applied"), Not(HasSubstr("tls")));
    return 0;
  });
}

// internalTLS on the satellites alone disconnects all of them, and what LINSTOR says about it names
// neither the cause nor the cure.
TEST(ReconcileTest, SatelliteTlsWithoutControllerTlsIsReported) {
  World world;
  Install(world);
  world.Put(api::kLinstorSatelliteConfiguration, "tls", R"({"internalTLS":{}})");
  ASSERT_TRUE(world.Settle());
  EXPECT_THAT(world.ClusterCondition(api::kConditionConfigured),
              AllOf(StartsWith("False/Error"), HasSubstr("node-a; node-b; node-c"),
                    HasSubstr("set spec.internalTLS")));
  world.Put(api::kLinstorCluster, "cluster", R"({"internalTLS":{}})");
  ASSERT_TRUE(world.Settle());
  EXPECT_THAT(world.ClusterCondition(api::kConditionConfigured), StartsWith("True"));
}

// Two controllers write one status. Taking over the other's condition would make them fight for
// ever.
TEST(ReconcileTest, LeavesTheStatusOfOtherControllersAlone) {
  World world;
  Install(world);
  ASSERT_TRUE(world.Settle());
  const Json foreign{
      {"apiVersion", "piraeus.io/v1"},
      {"kind", "LinstorCluster"},
      {"metadata", {{"name", "cluster"}}},
      {"status",
       {{"replicationTLS", {{"phase", "Idle"}}},
        {"conditions", Json::array({{{"type", "ReplicationEncrypted"},
                                     {"status", "True"},
                                     {"reason", "Complete"},
                                     {"message", ""},
                                     {"lastTransitionTime", "2026-01-01T00:00:00Z"}}})}}}};
  const std::stop_source stop;
  ASSERT_TRUE(world.kube.Apply(Context(stop.get_token()), api::kLinstorCluster, {"", "cluster"},
                               foreign, {.field_manager = "other", .subresource = "status"}));
  world.kube.ClearCalls();
  world.ReconcileAll();
  EXPECT_EQ(world.kube.write_count(), 0);
  EXPECT_THAT(world.ClusterCondition("ReplicationEncrypted"), StartsWith("True/Complete"));
}

// What the user takes out of the configuration must go, also in LINSTOR; what users made stays.
TEST(ReconcileTest, RemovesWhatIsNoLongerWanted) {
  World world;
  Install(world);
  ASSERT_TRUE(world.Settle());
  world.linstor->With([](FakeLinstor::State& state) {
    state.pools[{"node-a", "mine"}] = {.name = "mine", .node = "node-a", .provider_kind = "LVM"};
    state.nodes["node-a"].net_interfaces.push_back({.name = "mine", .address = "10.1.1.1"});
    return 0;
  });
  world.Put(api::kLinstorSatelliteConfiguration, "pools", "{}");
  world.Put(api::kLinstorCluster, "cluster", R"({"controller":{"enabled":false}})");
  ASSERT_TRUE(world.Settle());
  EXPECT_FALSE(world.kube.Find(api::kDeployment, {kWorldNamespace, "linstor-controller"}));
  world.linstor->With([](FakeLinstor::State& state) {
    EXPECT_EQ(state.pools.size(), 1U);
    EXPECT_EQ(state.nodes["node-a"].net_interfaces.size(), 2U);
    return 0;
  });
}

// With a hundred nodes these reads are LINSTOR's load, and the operator's, day and night.
TEST(ReconcileTest, AQuietMinuteReadsEachListOnce) {
  World world({"n1", "n2", "n3", "n4", "n5", "n6"});
  Install(world);
  ASSERT_TRUE(world.Settle());
  const std::size_t before = world.linstor->calls();
  world.clock.Advance(std::chrono::minutes(1));
  EXPECT_THAT(world.ReconcileAll(), IsEmpty());
  EXPECT_LE(world.linstor->calls() - before, 5U + 1U + 1U)
      << "the lists, the controller's properties, the node connections";
}

// An unchanged satellite is not rendered again. Whatever changes must still be noticed.
TEST(ReconcileTest, EveryChangeOfAnInputOrObjectIsRepaired) {
  World world({"node-a"});
  Install(world);
  ASSERT_TRUE(world.Settle());
  const api::ObjectKey set{kWorldNamespace, "linstor-satellite.node-a"};
  const auto image = [&](const char* list, std::size_t index) {
    const Json daemon_set = *world.kube.Find(api::kDaemonSet, set);
    return daemon_set["spec"]["template"]["spec"][list][index]["image"].get<std::string>();
  };
  world.kube.Mutate(api::kDaemonSet, set, [](Json& object) {
    object["spec"]["template"]["spec"]["containers"][0]["image"] = "somebody/else";
  });
  ASSERT_TRUE(world.Settle());
  EXPECT_THAT(image("containers", 0), HasSubstr("linstor-satellite:v1"));
  world.kube.Remove(api::kConfigMap, {kWorldNamespace, "satellite-config.node-a"});
  ASSERT_TRUE(world.Settle());
  EXPECT_TRUE(world.kube.Find(api::kConfigMap, {kWorldNamespace, "satellite-config.node-a"}));
  world.kube.Mutate(api::kConfigMap, {kWorldNamespace, "images"}, [](Json& images) {
    auto text = images["data"]["images.yaml"].get<std::string>();
    images["data"]["images.yaml"] =
        text.replace(text.find("linstor-satellite, tag: v1"), 26, "linstor-satellite, tag: v2");
  });
  ASSERT_TRUE(world.Settle());
  EXPECT_THAT(image("containers", 0), HasSubstr("linstor-satellite:v2"));
  world.Put(api::kLinstorSatelliteConfiguration, "more",
            R"({"podTemplate":{"metadata":{"annotations":{"new":"1"}}}})");
  ASSERT_TRUE(world.Settle());
  world.kube.Remove(api::kLinstorSatelliteConfiguration, {"", "more"});
  ASSERT_TRUE(world.Settle());
  const Json daemon_set = *world.kube.Find(api::kDaemonSet, set);
  EXPECT_EQ(api::FindPath(daemon_set, {"spec", "template", "metadata", "annotations", "new"}),
            nullptr);
}

// What LINSTOR lost or others changed there comes back, although lists are shared.
TEST(ReconcileTest, DriftInLinstorIsRepaired) {
  World world({"node-a"});
  Install(world);
  ASSERT_TRUE(world.Settle());
  world.linstor->With([](FakeLinstor::State& state) {
    state.nodes["node-a"].props.erase("Aux/topology/linbit.com/hostname");
    state.nodes["node-a"].flags = {"EVICTED"};
    state.pools.clear();
    return 0;
  });
  ASSERT_TRUE(world.Settle());
  world.linstor->With([](FakeLinstor::State& state) {
    EXPECT_TRUE(state.nodes["node-a"].props.contains("Aux/topology/linbit.com/hostname"));
    EXPECT_FALSE(state.nodes["node-a"].HasFlag("EVICTED"));
    EXPECT_EQ(state.pools.size(), 1U);
    return 0;
  });
}

// A disk that is plugged in or wiped later must be prepared then. LINSTOR may keep the pool that it
// refused, and a pool that is there looks as if nothing were left to prepare.
TEST(ReconcileTest, ADeviceThatComesLaterIsPrepared) {
  World world({"node-a"});
  world.linstor->With([](FakeLinstor::State& state) {
    state.bad_devices = {"/dev/late"};
    state.backing = {{"node-a", "other"}};
    state.keeps_refused_pools = true;
    return 0;
  });
  world.Put(api::kLinstorCluster, "cluster", "{}");
  world.Put(api::kLinstorSatelliteConfiguration, "pools",
            R"({"storagePools":[{"name":"pool1","lvmPool":{"volumeGroup":"vg"},
                                 "source":{"hostDevices":["/dev/late"]}}]})");
  for (int i = 0; i < 3; ++i) {
    world.ReconcileAll();
    world.RunNodes();
  }
  EXPECT_THAT(world.Condition(api::kLinstorSatellite, "node-a", api::kConditionConfigured),
              HasSubstr("/dev/late"));
  world.linstor->With([](FakeLinstor::State& state) {
    state.bad_devices.clear();
    return 0;
  });
  ASSERT_TRUE(world.Settle());
  world.linstor->With([](FakeLinstor::State& state) {
    EXPECT_GE(state.physical.size(), 2U);
    EXPECT_EQ(state.pools.size(), 1U);
    return 0;
  });
}

// "Pools configured" over a pool of another kind hides that data lies where nobody wanted it.
TEST(ReconcileTest, APoolOfAnotherKindIsAnError) {
  World world({"node-a"});
  world.Put(api::kLinstorCluster, "cluster", "{}");
  world.Put(api::kLinstorSatelliteConfiguration, "pools",
            R"({"storagePools":[{"name":"data","lvmPool":{"volumeGroup":"vg"}}]})");
  ASSERT_TRUE(world.Settle());
  world.Put(api::kLinstorSatelliteConfiguration, "pools",
            R"({"storagePools":[{"name":"data","zfsPool":{"zPool":"tank"}}]})");
  world.linstor->ClearWrites();
  for (int i = 0; i < 3; ++i) {
    world.ReconcileAll();
    world.RunNodes();
  }
  EXPECT_THAT(world.Condition(api::kLinstorSatellite, "node-a", api::kConditionConfigured),
              HasSubstr("is LVM in LINSTOR, wanted ZFS"));
  EXPECT_THAT(world.linstor->writes(), ::testing::IsEmpty());
}

// Nodes on the same disks that LINSTOR does not know as such: it counts one copy of the data as
// two.
TEST(ReconcileTest, LinstorKnowsWhichPoolsAreOnTheSameDisks) {
  World world({"node-a", "node-b"});
  world.Put(api::kLinstorCluster, "cluster", "{}");
  const auto put = [&](const std::string& sharing) {
    world.Put(api::kLinstorSatelliteConfiguration, "pools",
              R"({"storagePools":[{"name":"san","lvmPool":{"volumeGroup":"vg")" + sharing + "}}]}");
  };
  put(R"(,"sharedSpace":"array","externalLocking":true)");
  ASSERT_TRUE(world.Settle());
  world.linstor->With([](FakeLinstor::State& state) {
    for (const char* node : {"node-a", "node-b"}) {
      EXPECT_EQ(state.pools.at({node, "san"}).shared_space, "array");
      EXPECT_TRUE(state.pools.at({node, "san"}).external_locking);
    }
    return 0;
  });
  put("");
  world.linstor->ClearWrites();
  for (int i = 0; i < 3; ++i) {
    world.ReconcileAll();
    world.RunNodes();
  }
  EXPECT_THAT(
      world.Condition(api::kLinstorSatellite, "node-a", api::kConditionConfigured),
      HasSubstr("has sharedSpace array with externalLocking in LINSTOR, wanted no sharedSpace"));
  EXPECT_THAT(world.linstor->writes(), ::testing::IsEmpty());
}

// Each attempt runs programs on the node and leaves an error report in LINSTOR.
TEST(ReconcileTest, ARefusedDeviceIsTriedMoreAndMoreRarely) {
  World world({"node-a"});
  world.linstor->With([](FakeLinstor::State& state) {
    state.bad_devices = {"/dev/bad"};
    state.backing = {{"node-a", "other"}};
    return 0;
  });
  world.Put(api::kLinstorCluster, "cluster", "{}");
  const auto put = [&](const char* device) {
    world.Put(api::kLinstorSatelliteConfiguration, "pools",
              std::string(R"({"storagePools":[{"name":"pool1","zfsPool":{"zPool":"tank"},)") +
                  R"("source":{"hostDevices":[")" + device + R"("]}}]})");
    world.ReconcileAll();
    world.RunNodes();
  };
  const auto attempts = [&] {
    return world.linstor->With([](FakeLinstor::State& state) { return state.physical.size(); });
  };
  put("/dev/bad");
  for (int second = 0; second < 600; second += 10) {
    EXPECT_TRUE(world.ReconcileSatellite("node-a"));
    world.clock.Advance(std::chrono::seconds(10));
  }
  EXPECT_GE(attempts(), 10U);
  EXPECT_LE(attempts(), 13U) << "after 10, 20, 40 and then 60 s";
  EXPECT_THAT(world.Condition(api::kLinstorSatellite, "node-a", api::kConditionConfigured),
              HasSubstr("/dev/bad"));
  put("/dev/good");
  EXPECT_TRUE(world.ReconcileSatellite("node-a"));
  EXPECT_THAT(world.Condition(api::kLinstorSatellite, "node-a", api::kConditionConfigured),
              StartsWith("True"))
      << "another device is tried at once";
  world.linstor->With([](FakeLinstor::State& state) {
    // Without it a failed disk blocks every write for ever, DRBD never detaches from it.
    EXPECT_THAT(state.physical.back().zpool_create_arguments,
                ::testing::ElementsAre("-o", "failmode=continue"));
    return 0;
  });
}

// Sent for a pair, this property is adjusted on all nodes at once and fails on every volume in use.
TEST(ReconcileTest, NodeConnectionsNeverSendTheTlsProperty) {
  World world({"node-a", "node-b"});
  Install(world);
  world.Put(api::kLinstorNodeConnection, "all",
            R"({"properties":[{"name":"DrbdOptions/Net/tls","value":"yes"},
                              {"name":"DrbdOptions/Net/protocol","value":"A"}]})");
  ASSERT_TRUE(world.Settle());
  world.linstor->With([](FakeLinstor::State& state) {
    const linstor::Props& props = state.node_connections.at(0).props;
    EXPECT_EQ(props.at("DrbdOptions/Net/protocol"), "A");
    EXPECT_FALSE(props.contains("DrbdOptions/Net/tls"));
    EXPECT_THAT(props.at("Aux/piraeus.io/last-applied"), Not(HasSubstr("tls")));
    return 0;
  });
  EXPECT_THAT(world.Condition(api::kLinstorNodeConnection, "all", api::kConditionConfigured),
              AllOf(StartsWith("False/Error"),
                    HasSubstr("set DrbdOptions/Net/tls on the LinstorCluster or a StorageClass")));
}

// One node that is not up yet is no fault of the connections between the others.
TEST(ReconcileTest, NodeConnectionsDoNotWaitForUnregisteredNodes) {
  World world;
  world.Put(api::kLinstorCluster, "cluster", "{}");
  world.Put(api::kLinstorNodeConnection, "all",
            R"({"properties":[{"name":"DrbdOptions/Net/protocol","value":"A"}]})");
  for (int i = 0; i < 3; ++i) {
    world.ReconcileAll();
    world.RunNodes({"node-a", "node-b"});
    world.clock.Advance(std::chrono::minutes(1));
  }
  world.ReconcileAll();
  EXPECT_THAT(world.Condition(api::kLinstorNodeConnection, "all", api::kConditionConfigured),
              StartsWith("True"));
  world.linstor->With([](FakeLinstor::State& state) {
    EXPECT_EQ(state.node_connections.size(), 1U);
    return 0;
  });
  ASSERT_TRUE(world.Settle());
  world.linstor->With([](FakeLinstor::State& state) {
    EXPECT_EQ(state.node_connections.size(), 3U);
    return 0;
  });
}

// An object that became unreadable must not take paths and protocols away from running volumes.
TEST(ReconcileTest, BrokenNodeConnectionChangesNothing) {
  World world({"node-a", "node-b"});
  Install(world);
  world.Put(api::kLinstorNodeConnection, "all",
            R"({"properties":[{"name":"DrbdOptions/Net/protocol","value":"A"}]})");
  ASSERT_TRUE(world.Settle());
  for (const char* spec : {R"({"properties":"none"})",
                           R"({"selector":[{"matchLabels":[{"key":"a b"}]}],"properties":[]})"}) {
    world.Put(api::kLinstorNodeConnection, "all", spec);
    ASSERT_TRUE(world.Settle()) << spec;
    world.linstor->With([&](FakeLinstor::State& state) {
      EXPECT_EQ(state.node_connections.at(0).props.at("DrbdOptions/Net/protocol"), "A") << spec;
      return 0;
    });
    EXPECT_THAT(world.Condition(api::kLinstorNodeConnection, "all", api::kConditionConfigured),
                StartsWith("False/Error"));
  }
}

// Each satellite's status is written every minute for its numbers: that is no news for pairs.
TEST(ConcernsNodeConnectionsTest, OnlyAvailabilityOfTheStatusCounts) {
  const auto satellite = [](const char* available, int volumes) {
    return std::make_shared<const api::Object>(
        Json{{"metadata", {{"name", "a"}, {"generation", 1}}},
             {"status",
              {{"numberOfVolumes", volumes},
               {"conditions", Json::array({{{"type", "Available"}, {"status", available}}})}}}});
  };
  const auto concerns = [](const api::ObjectPtr& before, const api::ObjectPtr& after) {
    return controllers::ConcernsNodeConnections(
        {.type = runtime::ChangeEvent::Type::kModified, .before = before, .after = after});
  };
  EXPECT_FALSE(concerns(satellite("True", 1), satellite("True", 2)));
  EXPECT_TRUE(concerns(satellite("False", 1), satellite("True", 1)));
}

// LINSTOR adjusts all volumes for such a change and resumes those that are suspended: in the middle
// of a switch that means writes while all peers are cut.
TEST(ReconcileTest, LinstorsPropertiesWaitWhileAVolumeIsSuspended) {
  World world({"node-a", "node-b"});
  Install(world);
  ASSERT_TRUE(world.Settle());
  const auto in_flight = [&](const char* step) {
    world.kube.Mutate(api::kLinstorCluster, {"", "cluster"}, [&](Json& object) {
      object["spec"]["properties"] = Json::array({{{"name", "Aux/new"}, {"value", "1"}}});
      object["status"]["replicationTLS"]["inFlight"] = Json::array(
          {{{"resource", "r1"}, {"strategy", "SuspendIO"}, {"step", step}, {"startedAt", "x"}}});
    });
  };
  in_flight("SuspendedSwitch");
  world.Put(api::kLinstorNodeConnection, "all",
            R"({"properties":[{"name":"DrbdOptions/Net/ping-int","value":"7"}]})");
  world.linstor->ClearWrites();
  world.ReconcileAll();
  EXPECT_THAT(world.linstor->writes(), ::testing::IsEmpty());
  EXPECT_THAT(world.Condition(api::kLinstorCluster, "cluster", api::kConditionConfigured),
              HasSubstr("volume r1"));
  EXPECT_THAT(world.Condition(api::kLinstorNodeConnection, "all", api::kConditionConfigured),
              HasSubstr("volume r1"));
  in_flight("Lead");
  EXPECT_TRUE(world.Settle());
  world.linstor->With([](FakeLinstor::State& state) {
    EXPECT_TRUE(state.controller_props.contains("Aux/new"));
    return 0;
  });
}

// Paths and protocols between nodes reach LINSTOR, and go away with their object.
TEST(ReconcileTest, AppliesNodeConnections) {
  World world({"node-a", "node-b"});
  Install(world);
  world.Put(api::kLinstorNodeConnection, "all",
            R"({"properties":[{"name":"DrbdOptions/Net/protocol","value":"A"}]})");
  ASSERT_TRUE(world.Settle());
  world.linstor->With([](FakeLinstor::State& state) {
    EXPECT_EQ(state.node_connections.at(0).props.at("DrbdOptions/Net/protocol"), "A");
    return 0;
  });
  EXPECT_THAT(world.Condition(api::kLinstorNodeConnection, "all", api::kConditionConfigured),
              StartsWith("True"));
  world.kube.Remove(api::kLinstorNodeConnection, {"", "all"});
  ASSERT_TRUE(world.Settle());
  world.linstor->With([](FakeLinstor::State& state) {
    EXPECT_THAT(state.node_connections.at(0).props, IsEmpty());
    return 0;
  });
}

}  // namespace
}  // namespace breakwater::testing
