#include "operator/core/render/render_test_support.h"

namespace breakwater::core {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

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

// A change of a satellite's pod template restarts the satellites of every user at the next upgrade.
TEST(RenderSatellite, PlainSatelliteIsAsInTheGoldenFile) {
  const SatelliteRendering rendering =
      RenderSatellite(Satellite("{clusterRef: {name: linstorcluster}}"));
  EXPECT_THAT(rendering.problems, IsEmpty());
  ExpectGolden("satellite_plain", rendering.objects);
}

// tlshd needs the certificate, NET_ADMIN and the image; without one of them DRBD never gets a
// session.
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
  EXPECT_THAT(set.dump(), ::testing::Not(HasSubstr("ktls-utils")));
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

// Half a satellite (ConfigMap without its DaemonSet) is worse than the old one: nothing is
// rendered.
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
  EXPECT_THAT(text, ::testing::Not(HasSubstr("usr-src")));
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
  const api::LinstorSatelliteSpec spec =
      Satellite(
          "{clusterRef: {name: c}, resourceNameSuffixSeparator: '-', internalTLS: {secretName: s}}")
          .spec;
  EXPECT_EQ(SatelliteDaemonSetName("n1", spec), "linstor-satellite-n1");
  EXPECT_EQ(SatelliteTlsSecretName("n1", spec), "s");
  EXPECT_EQ(SatelliteTlsSecretName("n1", {}), "n1-tls");
}

}  // namespace
}  // namespace breakwater::core
