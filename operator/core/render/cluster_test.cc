#include <algorithm>

#include "operator/core/render/render_test_support.h"

namespace breakwater::core {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

ClusterInputs Cluster(std::string_view spec) {
  ClusterInputs inputs;
  inputs.name = "linstorcluster";
  inputs.spec = api::DecodeLinstorCluster({{"spec", Yaml(spec)}}).value;
  inputs.ns = "piraeus-datastore";
  inputs.nodes = {Node("node1"), Node("node2")};
  inputs.images = Images();
  return inputs;
}

// The names are API: users patch them, and taking over a cluster must not make second copies.
TEST(RenderCluster, DefaultClusterIsAsInTheGoldenFile) {
  const ClusterRendering rendering = RenderCluster(Cluster("{}"));
  EXPECT_THAT(rendering.problems, IsEmpty());
  ExpectGolden("cluster_default", rendering.objects);
}

TEST(RenderCluster, FullClusterIsAsInTheGoldenFile) {
  ClusterInputs inputs = Cluster(R"(
repository: mirror.example.com/storage
nodeSelector: {storage: "yes"}
nodeAffinity:
  nodeSelectorTerms:
    - matchExpressions: [{key: zone, operator: In, values: [a, b]}]
tolerations: [{key: storage, operator: Exists, effect: NoSchedule}]
linstorPassphraseSecret: passphrase
internalTLS: {certManager: {name: ca, kind: ClusterIssuer}}
apiTLS: {certManager: {name: ca}}
controller: {podTemplate: {spec: {containers: [{name: linstor-controller, resources: {requests: {cpu: 100m}}}]}}}
)");
  inputs.nodes = {Node("node1", {{"storage", "yes"}, {"zone", "a"}}),
                  Node("node2", {{"storage", "yes"}})};
  inputs.configurations = {
      {"b-tls", api::DecodeLinstorSatelliteConfiguration(
                    {{"spec", Yaml("{internalTLS: {tlsHandshakeDaemon: true}}")}})
                    .value},
      {"a-pools",
       api::DecodeLinstorSatelliteConfiguration(
           {{"spec",
             Yaml("{storagePools: [{name: thin, lvmThinPool: {volumeGroup: vg}, source: "
                  "{hostDevices: [/dev/sdb]}}], podTemplate: {spec: {hostNetwork: true}}}")}})
           .value},
  };
  inputs.pull_secret = "registry";
  const ClusterRendering rendering = RenderCluster(inputs);
  EXPECT_THAT(rendering.problems, IsEmpty());
  ExpectGolden("cluster_full", rendering.objects);
}

Json RuleFor(const ClusterRendering& rendering, const std::string& verb) {
  const Json* role = Find(rendering.objects, "Role", "linstor-controller");
  for (const Json& rule : role->at("rules")) {
    if (rule["resources"][0] == "secrets" && rule["verbs"][0] == verb) {
      return rule;
    }
  }
  return nullptr;
}

// REVIEW-2 S5: who owns the LINSTOR controller must not own every key in the namespace. Its backup
// of the database must still work, or it waits for ever instead of migrating.
TEST(RenderCluster, TheControllerReadsItsOwnBackupsOnly) {
  EXPECT_EQ(RuleFor(RenderCluster(Cluster("{}")), "get"), nullptr) << "without a pod: no Secret";
  ClusterInputs inputs = Cluster("{}");
  inputs.controller_hosts = {"linstor-controller-b", "linstor-controller-a"};
  const Json names = RuleFor(RenderCluster(inputs), "get")["resourceNames"];
  EXPECT_EQ(names.size(), 182U);
  EXPECT_EQ(names[0], "linstor-backup-for-linstor-controller-a");
  EXPECT_EQ(names[1], "linstor-backup-for-linstor-controller-a-00");
  EXPECT_EQ(names[90], "linstor-backup-for-linstor-controller-a-89");
  EXPECT_EQ(names[91], "linstor-backup-for-linstor-controller-b");
  std::swap(inputs.controller_hosts[0], inputs.controller_hosts[1]);
  EXPECT_EQ(RuleFor(RenderCluster(inputs), "get")["resourceNames"], names);
}

// With an external controller a second one would fight for the satellites.
TEST(RenderCluster, ExternalControllerMeansNoController) {
  const ClusterInputs inputs =
      Cluster("{externalController: {url: http://linstor.example.com:3370}}");
  const ClusterRendering rendering = RenderCluster(inputs);
  EXPECT_EQ(Find(rendering.objects, "Deployment", "linstor-controller"), nullptr);
  EXPECT_NE(Find(rendering.objects, "ServiceAccount", "satellite"), nullptr);
}

// One wrong patch must not stop the satellites of the whole cluster.
TEST(RenderCluster, BadPatchOnTheControllerLeavesTheSatellitesAlone) {
  const ClusterRendering rendering = RenderCluster(Cluster(R"(
patches:
  - target: {kind: Deployment, name: linstor-controller}
    patch: "- {op: remove, path: /spec/nothing}"
)"));
  ASSERT_EQ(rendering.problems.size(), 1U);
  EXPECT_EQ(rendering.problems[0].component, "linstor-controller");
  EXPECT_EQ(Find(rendering.objects, "Deployment", "linstor-controller"), nullptr);
  EXPECT_NE(Find(rendering.objects, "LinstorSatellite", "node2"), nullptr);
}

// A patch that became unreadable must hold its objects back: without it they would change back.
TEST(RenderCluster, UnreadablePatchHoldsBackWhatItIsFor) {
  const ClusterRendering rendering = RenderCluster(Cluster(R"(
patches:
  - target: {kind: LinstorSatellite}
    patch: "{ not: yaml"
)"));
  EXPECT_EQ(rendering.problems.size(), 2U);
  EXPECT_EQ(Find(rendering.objects, "LinstorSatellite", "node1"), nullptr);
  EXPECT_NE(Find(rendering.objects, "Deployment", "linstor-controller"), nullptr);
}

TEST(RenderCluster, PatchForNothingIsAWarning) {
  const ClusterRendering rendering = RenderCluster(Cluster(R"(
patches:
  - patch: "{apiVersion: apps/v1, kind: Deployment, metadata: {name: linstor-controler}, spec: {replicas: 0}}"
)"));
  EXPECT_THAT(rendering.problems, IsEmpty());
  ASSERT_EQ(rendering.warnings.size(), 1U);
  EXPECT_THAT(rendering.warnings[0], HasSubstr("linstor-controler"));
  EXPECT_NE(Find(rendering.objects, "Deployment", "linstor-controller"), nullptr);
}

api::ObjectPtr Satellite(const std::string& name, const std::string& applied) {
  return std::make_shared<const api::Object>(
      Json{{"metadata",
            {{"name", name},
             {"uid", "u-" + name},
             {"annotations", {{"piraeus.io/applied-configurations", applied}}}}}});
}

// A typing error in the selector matches no node: pruning would delete every satellite, with
// deletionPolicy Delete also the data of every node.
TEST(RenderCluster, InvalidChoiceOfNodesLeavesTheSatellitesAlone) {
  for (const char* path : {"spec.nodeSelector", "spec.nodeAffinity.nodeSelectorTerms[0]",
                           "spec.externalController.url"}) {
    ClusterInputs inputs = Cluster("{}");
    inputs.errors = {{path, "wrong"}};
    const ClusterRendering rendering = RenderCluster(inputs);
    EXPECT_EQ(Find(rendering.objects, "LinstorSatellite", "node1"), nullptr) << path;
    // The others would go to the wrong nodes, or ask a LINSTOR that is not there.
    EXPECT_EQ(Find(rendering.objects, "DaemonSet", "linstor-csi-node"), nullptr) << path;
    for (const char* held : {"linstor-satellite", "linstor-csi-node", "ha-controller"}) {
      EXPECT_TRUE(
          std::any_of(rendering.problems.begin(), rendering.problems.end(),
                      [&](const RenderProblem& problem) { return problem.component == held; }))
          << path << " " << held;
    }
  }
  ClusterInputs inputs = Cluster("{}");
  inputs.errors = {{"spec.nodeSelectorOfAnotherKind", "wrong"}, {"spec.patches[0]", "wrong"}};
  EXPECT_NE(Find(RenderCluster(inputs).objects, "LinstorSatellite", "node1"), nullptr);
}

// A configuration that became invalid must not take its pools out of the satellites that have it;
// the others go on.
TEST(RenderCluster, BrokenConfigurationHoldsBackTheSatellitesItConcerns) {
  ClusterInputs inputs = Cluster("{}");
  inputs.nodes = {Node("node1"), Node("node2", {{"disks", "yes"}}), Node("node3")};
  inputs.satellites = {Satellite("node1", "other,pools"), Satellite("node3", "other")};
  inputs.configurations = {{.name = "pools", .errors = {{"spec.storagePools[0]", "wrong"}}}};
  inputs.configurations[0].spec.node_selector = {{"disks", "yes"}};
  const ClusterRendering rendering = RenderCluster(inputs);
  ASSERT_EQ(rendering.problems.size(), 1U);
  EXPECT_THAT(rendering.problems[0].message, HasSubstr("pools"));
  EXPECT_EQ(Find(rendering.objects, "LinstorSatellite", "node1"), nullptr) << "has it";
  EXPECT_EQ(Find(rendering.objects, "LinstorSatellite", "node2"), nullptr) << "would get it";
  EXPECT_NE(Find(rendering.objects, "LinstorSatellite", "node3"), nullptr);
}

// With unreadable selectors nobody knows whom it is for: what is there stays, and a new satellite
// does not start without what may be its TLS.
TEST(RenderCluster, UnreadableSelectorHoldsBackThoseThatHaveItAndNewOnes) {
  ClusterInputs inputs = Cluster("{}");
  inputs.nodes = {Node("node1"), Node("node2"), Node("node3")};
  inputs.satellites = {Satellite("node1", "tls"), Satellite("node2", "")};
  inputs.configurations = {{.name = "tls", .errors = {{"spec.nodeAffinity", "wrong"}}}};
  const ClusterRendering rendering = RenderCluster(inputs);
  EXPECT_EQ(Find(rendering.objects, "LinstorSatellite", "node1"), nullptr);
  EXPECT_NE(Find(rendering.objects, "LinstorSatellite", "node2"), nullptr);
  EXPECT_EQ(Find(rendering.objects, "LinstorSatellite", "node3"), nullptr);
  EXPECT_TRUE(Find(rendering.objects, "LinstorSatellite", "node2")
                  ->at("metadata")
                  .at("annotations")
                  .at("piraeus.io/applied-configurations")
                  .get<std::string>()
                  .empty());
}

// A satellite that is deleted before its controller saw it would leave its node in LINSTOR for
// ever.
TEST(RenderCluster, SatellitesAreProtectedFromTheirFirstMomentOn) {
  const ClusterRendering rendering = RenderCluster(Cluster("{}"));
  const Json& metadata = Find(rendering.objects, "LinstorSatellite", "node1")->at("metadata");
  EXPECT_EQ(metadata.at("finalizers"), Json::array({"piraeus.io/satellite-protection"}));
}

bool MayPruneNamed(const char* kind,
                   const char* name,
                   const char* component,
                   std::string_view spec = "{}",
                   const std::vector<RenderProblem>& problems = {}) {
  Json object{{"metadata", {{"name", name}}}};
  if (*component != '\0') {
    object["metadata"]["labels"] = {{"app.kubernetes.io/component", component}};
  }
  return MayPrune(kind, api::Object(object), Cluster(spec).spec, problems);
}

// What another version of the operator deployed may be in use.
TEST(MayPrune, OnlyWhatIsKnown) {
  EXPECT_TRUE(MayPruneNamed("LinstorSatellite", "node1", ""));
  EXPECT_TRUE(MayPruneNamed("Deployment", "linstor-controller", "linstor-controller"));
  EXPECT_TRUE(MayPruneNamed("DaemonSet", "ha-controller", "ha-controller"));
  EXPECT_TRUE(MayPruneNamed("Certificate", "linstor-api-tls", ""));
  EXPECT_TRUE(MayPruneNamed("Certificate", "linstor-csi-node-tls", ""));
  EXPECT_TRUE(MayPruneNamed("ClusterRole", "linstor-csi-controller", ""));
  EXPECT_FALSE(MayPruneNamed("Deployment", "new", "linstor-new-component"));
  EXPECT_FALSE(MayPruneNamed("Certificate", "somebody-elses-tls", ""));
  EXPECT_FALSE(MayPruneNamed("Service", "nfs", ""));
}

// A component that cannot be rendered keeps its objects; the others go on.
TEST(MayPrune, NothingOfAComponentWithAProblem) {
  const std::vector<RenderProblem> csi{{.component = "linstor-csi-node"}};
  EXPECT_FALSE(MayPruneNamed("DaemonSet", "linstor-csi-node", "linstor-csi-node", "{}", csi));
  EXPECT_FALSE(MayPruneNamed("Certificate", "linstor-csi-node-tls", "", "{}", csi));
  EXPECT_TRUE(MayPruneNamed("DaemonSet", "ha-controller", "ha-controller", "{}", csi));
  EXPECT_TRUE(MayPruneNamed("LinstorSatellite", "node1", "", "{}", csi));
  EXPECT_FALSE(MayPruneNamed("LinstorSatellite", "node1", "", "{}",
                             {{.component = "linstor-satellite", .node = "node2"}}));
}

// Kubelets that do not know the driver any more unmount nothing.
TEST(MayPrune, TheDriverStaysWhileANodeUsesIt) {
  const char* const name = "linstor.csi.linbit.com";
  const char* const component = "linstor-csi-controller";
  EXPECT_FALSE(MayPruneNamed("CSIDriver", name, component, "{csiController: {enabled: false}}"));
  EXPECT_TRUE(MayPruneNamed("CSIDriver", name, component,
                            "{csiController: {enabled: false}, csiNode: {enabled: false}}"));
}

// Whatever is rendered must also go away again.
TEST(MayPrune, EverythingThatIsRendered) {
  ClusterInputs none = Cluster("{csiController: {enabled: false}, csiNode: {enabled: false}}");
  for (const Json& object :
       RenderCluster(
           Cluster("{apiTLS: {certManager: {name: a}}, internalTLS: {certManager: {name: a}}}"))
           .objects) {
    EXPECT_TRUE(MayPrune(object.at("kind").get<std::string>(), api::Object(object), none.spec, {}))
        << object.dump();
  }
}

// Rendering twice must give the same bytes, or every reconcile writes.
TEST(RenderCluster, IsDeterministic) {
  const ClusterInputs inputs = Cluster("{apiTLS: {}, internalTLS: {}}");
  EXPECT_EQ(Json(RenderCluster(inputs).objects).dump(), Json(RenderCluster(inputs).objects).dump());
}

}  // namespace
}  // namespace breakwater::core
