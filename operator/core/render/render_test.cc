#include "operator/core/render/render.h"

#include <cstdlib>
#include <fstream>
#include <memory>
#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "operator/core/render/yaml.h"

namespace breakwater::core {
namespace {

using api::Json;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

/// Compares with a golden file; BREAKWATER_UPDATE_GOLDEN=1 writes it instead, for review in the diff.
void ExpectGolden(const std::string& name, const std::vector<Json>& objects) {
  const std::string path =
      std::string(BREAKWATER_SOURCE_DIR) + "/operator/core/render/testdata/" + name + ".json";
  const std::string actual = Json(objects).dump(2) + "\n";
  if (std::getenv("BREAKWATER_UPDATE_GOLDEN") != nullptr) {
    std::ofstream(path) << actual;
    return;
  }
  std::ifstream file(path);
  std::ostringstream expected;
  expected << file.rdbuf();
  EXPECT_EQ(expected.str(), actual) << "golden file " << path;
}

Json Yaml(std::string_view text) { return ParseYaml(text).value().at(0); }

api::ObjectPtr Node(const std::string& name, Json labels = Json::object(), Json taints = Json::array()) {
  labels["kubernetes.io/hostname"] = name;
  return std::make_shared<const api::Object>(
      Json{{"metadata", {{"name", name}, {"labels", labels}}},
           {"spec", {{"taints", taints}}},
           {"status", {{"nodeInfo", {{"osImage", "Debian GNU/Linux 12 (bookworm)"}}}}}});
}

ImageConfig Images() {
  return ImageConfig::FromConfigMap({{"data",
                                      {{"0_images.yaml", R"(
base: registry.example.com/storage
components:
  linstor-controller: {image: server, tag: v1.34.2}
  linstor-satellite: {image: server, tag: v1.34.2}
  drbd-reactor: {image: drbd-reactor, tag: v1.12.0}
  drbd-shutdown-guard: {image: drbd-shutdown-guard, tag: v1.1.2}
  ktls-utils: {image: ktls-utils, digest: "sha256:0123"}
  drbd-module-loader:
    image: drbd9-noble
    tag: v9.2.16
    match:
      - osImage: "Debian GNU/Linux 12"
        image: drbd9-bookworm
      - osImage: Talos
        image: drbd9-talos
        precompiled: true
)"}}}})
      .value();
}

SatelliteInputs Satellite(std::string_view spec) {
  SatelliteInputs inputs;
  inputs.name = "node1.example.com";
  inputs.uid = "11111111-2222-3333-4444-555555555555";
  inputs.spec = api::DecodeLinstorSatellite({{"spec", Yaml(spec)}}).value;
  inputs.node = Node("node1.example.com");
  inputs.ns = "piraeus-datastore";
  inputs.images = Images();
  return inputs;
}

ClusterInputs Cluster(std::string_view spec) {
  ClusterInputs inputs;
  inputs.name = "linstorcluster";
  inputs.spec = api::DecodeLinstorCluster({{"spec", Yaml(spec)}}).value;
  inputs.ns = "piraeus-datastore";
  inputs.nodes = {Node("node1"), Node("node2")};
  inputs.images = Images();
  return inputs;
}

const Json* Find(const std::vector<Json>& objects, std::string_view kind, std::string_view name) {
  for (const Json& object : objects) {
    if (object.at("kind") == kind && object.at("metadata").at("name") == name) {
      return &object;
    }
  }
  return nullptr;
}

// A change of a satellite's pod template restarts the satellites of every user at the next upgrade.
TEST(RenderSatellite, PlainSatelliteIsAsInTheGoldenFile) {
  const SatelliteRendering rendering = RenderSatellite(Satellite("{clusterRef: {name: linstorcluster}}"));
  EXPECT_THAT(rendering.problems, IsEmpty());
  ExpectGolden("satellite_plain", rendering.objects);
}

// tlshd needs the certificate, NET_ADMIN and the image; without one of them DRBD never gets a session.
TEST(RenderSatellite, HandshakeDaemonAddsKtlsUtils) {
  const SatelliteRendering rendering = RenderSatellite(Satellite(R"(
clusterRef: {name: linstorcluster}
internalTLS:
  tlsHandshakeDaemon: true
  certManager: {name: linstor-ca, kind: Issuer}
  caReference: {kind: ConfigMap, name: bundle, key: trust.pem}
)"));
  EXPECT_THAT(rendering.problems, IsEmpty());
  ExpectGolden("satellite_ktls", rendering.objects);
}

// `internalTLS: {}` means TLS with default names: read as "absent" it would silently turn TLS off.
TEST(RenderSatellite, EmptyTlsBlockMeansTlsWithoutHandshakeDaemon) {
  const SatelliteRendering rendering =
      RenderSatellite(Satellite("{clusterRef: {name: linstorcluster}, internalTLS: {}}"));
  const Json* config = Find(rendering.objects, "ConfigMap", "satellite-config.node1.example.com");
  ASSERT_NE(config, nullptr);
  EXPECT_THAT(config->at("data").at("linstor_satellite.toml").get<std::string>(),
              HasSubstr("port = 3367"));
  const Json& set = *Find(rendering.objects, "DaemonSet", "linstor-satellite.node1.example.com");
  EXPECT_THAT(set.dump(), HasSubstr("node1.example.com-tls"));
  EXPECT_THAT(set.dump(), testing::Not(HasSubstr("ktls-utils")));
}

// Users address objects without the node's suffix, and still patch Pod "satellite" from old guides.
TEST(RenderSatellite, UserPatchesOfBothStylesWork) {
  const SatelliteRendering rendering = RenderSatellite(Satellite(R"(
clusterRef: {name: linstorcluster}
patches:
  - target: {kind: Pod, name: satellite}
    patch: |
      apiVersion: v1
      kind: Pod
      metadata: {name: satellite, annotations: {a: b}}
      spec: {hostNetwork: true}
  - target: {kind: Pod, name: satellite}
    patch: |
      - op: add
        path: /metadata/labels/extra
        value: "yes"
  - patch: |
      apiVersion: apps/v1
      kind: DaemonSet
      metadata: {name: linstor-satellite}
      spec:
        template:
          spec:
            initContainers:
              - {name: drbd-module-loader, $patch: delete}
)"));
  ASSERT_THAT(rendering.problems, IsEmpty());
  const Json& pod = Find(rendering.objects, "DaemonSet", "linstor-satellite.node1.example.com")
                        ->at("spec")
                        .at("template");
  EXPECT_EQ(pod["spec"]["hostNetwork"], true);
  EXPECT_EQ(pod["metadata"]["annotations"]["a"], "b");
  EXPECT_EQ(pod["metadata"]["labels"]["extra"], "yes");
  EXPECT_EQ(pod["spec"]["initContainers"].size(), 1U);
}

// Half a satellite (ConfigMap without its DaemonSet) is worse than the old one: nothing is rendered.
TEST(RenderSatellite, BadPatchIsAProblemOfThisSatelliteOnly) {
  const SatelliteRendering rendering = RenderSatellite(Satellite(R"(
clusterRef: {name: linstorcluster}
patches:
  - target: {kind: DaemonSet}
    patch: "- {op: replace, path: /spec/nothing/here, value: 1}"
)"));
  EXPECT_THAT(rendering.objects, IsEmpty());
  ASSERT_EQ(rendering.problems.size(), 1U);
  EXPECT_EQ(rendering.problems[0].node, "node1.example.com");
  EXPECT_THAT(rendering.problems[0].message, HasSubstr("spec.patches[0]"));
}

// Nodes without kernel sources (Talos) cannot mount them: the pod would never start.
TEST(RenderSatellite, PrecompiledLoaderNeedsNoSources) {
  SatelliteInputs inputs = Satellite("{clusterRef: {name: linstorcluster}}");
  inputs.node = std::make_shared<const api::Object>(
      Json{{"metadata", {{"name", "node1"}}},
           {"status", {{"nodeInfo", {{"osImage", "Talos (v1.9.0)"}}}}}});
  const SatelliteRendering rendering = RenderSatellite(inputs);
  const std::string text = Json(rendering.objects).dump();
  EXPECT_THAT(text, HasSubstr("drbd9-talos"));
  EXPECT_THAT(text, HasSubstr("shipped_modules"));
  EXPECT_THAT(text, testing::Not(HasSubstr("usr-src")));
}

// A file pool that is only inside the container loses its volumes with the pod.
TEST(RenderSatellite, FilePoolsAreOnTheHost) {
  const SatelliteRendering rendering = RenderSatellite(Satellite(R"(
clusterRef: {name: linstorcluster}
storagePools:
  - {name: lvm, lvmPool: {}}
  - {name: files, fileThinPool: {}}
  - {name: other, filePool: {directory: /srv/pool}}
)"));
  const Json& spec = Find(rendering.objects, "DaemonSet", "linstor-satellite.node1.example.com")
                         ->at("spec")
                         .at("template")
                         .at("spec");
  EXPECT_THAT(spec.dump(), HasSubstr(R"("name":"file-pool-1")"));
  EXPECT_THAT(spec.dump(), HasSubstr("/var/lib/linstor-pools/files:/srv/pool"));
}

// Satellites must run the version of an external controller, or it refuses them.
TEST(RenderSatellite, ImageFollowsExternalController) {
  SatelliteInputs inputs = Satellite("{clusterRef: {name: linstorcluster}}");
  inputs.external_controller_version = "1.27.1";
  EXPECT_THAT(Json(RenderSatellite(inputs).objects).dump(),
              HasSubstr("registry.example.com/storage/server:v1.27.1"));
}

TEST(RenderSatellite, SeparatorAndNames) {
  const api::LinstorSatelliteSpec spec = Satellite(
      "{clusterRef: {name: c}, resourceNameSuffixSeparator: '-', internalTLS: {secretName: s}}").spec;
  EXPECT_EQ(SatelliteDaemonSetName("n1", spec), "linstor-satellite-n1");
  EXPECT_EQ(SatelliteTlsSecretName("n1", spec), "s");
  EXPECT_EQ(SatelliteTlsSecretName("n1", {}), "n1-tls");
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
  inputs.nodes = {Node("node1", {{"storage", "yes"}, {"zone", "a"}}), Node("node2", {{"storage", "yes"}})};
  inputs.configurations = {
      {"b-tls", api::DecodeLinstorSatelliteConfiguration(
                    {{"spec", Yaml("{internalTLS: {tlsHandshakeDaemon: true}}")}}).value},
      {"a-pools", api::DecodeLinstorSatelliteConfiguration(
                      {{"spec", Yaml("{storagePools: [{name: thin, lvmThinPool: {volumeGroup: vg}, source: "
                                     "{hostDevices: [/dev/sdb]}}], podTemplate: {spec: {hostNetwork: true}}}")}})
                      .value},
  };
  inputs.pull_secret = "registry";
  const ClusterRendering rendering = RenderCluster(inputs);
  EXPECT_THAT(rendering.problems, IsEmpty());
  EXPECT_THAT(rendering.applied_configurations.at("node1"), ElementsAre("a-pools", "b-tls"));
  ExpectGolden("cluster_full", rendering.objects);
}

// With an external controller a second one would fight for the satellites.
TEST(RenderCluster, ExternalControllerMeansNoController) {
  const ClusterInputs inputs = Cluster("{externalController: {url: http://linstor.example.com:3370}}");
  const ClusterRendering rendering = RenderCluster(inputs);
  EXPECT_EQ(Find(rendering.objects, "Deployment", "linstor-controller"), nullptr);
  EXPECT_NE(Find(rendering.objects, "ServiceAccount", "satellite"), nullptr);
  EXPECT_EQ(ControllerUrl(inputs.spec), "http://linstor.example.com:3370");
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

TEST(RenderCluster, PatchForNothingIsReported) {
  const ClusterRendering rendering = RenderCluster(Cluster(R"(
patches:
  - patch: "{apiVersion: apps/v1, kind: Deployment, metadata: {name: linstor-controler}, spec: {replicas: 0}}"
)"));
  ASSERT_EQ(rendering.problems.size(), 1U);
  EXPECT_THAT(rendering.problems[0].message, HasSubstr("linstor-controler"));
  EXPECT_NE(Find(rendering.objects, "Deployment", "linstor-controller"), nullptr);
}

// Applying without the uid could revive a satellite that was deleted a moment ago.
TEST(RenderCluster, ExistingSatellitesCarryTheirUid) {
  ClusterInputs inputs = Cluster("{}");
  inputs.satellites = {std::make_shared<const api::Object>(
      Json{{"metadata", {{"name", "node1"}, {"uid", "u1"}}}})};
  const ClusterRendering rendering = RenderCluster(inputs);
  EXPECT_EQ(Find(rendering.objects, "LinstorSatellite", "node1")->at("metadata").at("uid"), "u1");
  EXPECT_FALSE(Find(rendering.objects, "LinstorSatellite", "node2")->at("metadata").contains("uid"));
}

// Rendering twice must give the same bytes, or every reconcile writes.
TEST(RenderCluster, IsDeterministic) {
  const ClusterInputs inputs = Cluster("{apiTLS: {}, internalTLS: {}}");
  EXPECT_EQ(Json(RenderCluster(inputs).objects).dump(), Json(RenderCluster(inputs).objects).dump());
}

}  // namespace
}  // namespace breakwater::core
