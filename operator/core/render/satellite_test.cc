#include "operator/core/render/component.h"
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

constexpr std::string_view kWithDaemon =
    "{clusterRef: {name: c}, internalTLS: {tlsHandshakeDaemon: true}}";

constexpr const char* kNoAgent = "components: {breakwater-agent: {}}";

Json PodSpec(const SatelliteRendering& rendering) {
  const Json* set = Find(rendering.objects, "DaemonSet", "linstor-satellite.node1.example.com");
  return set == nullptr ? Json() : set->at("spec").at("template").at("spec");
}

std::vector<std::string> Names(const Json& list) {
  std::vector<std::string> names;
  for (const Json& item : list) {
    names.push_back(item.at("name").get<std::string>());
  }
  return names;
}

Json Named(const Json& list, std::string_view name) {
  for (const Json& item : list) {
    if (item.at("name") == name) {
      return item;
    }
  }
  return {};
}

std::vector<std::string> Mounters(const Json& pod, std::string_view volume) {
  std::vector<std::string> names;
  for (const char* list : {"initContainers", "containers"}) {
    for (const Json& container : pod.value(list, Json::array())) {
      if (!Named(container.value("volumeMounts", Json::array()), volume).is_null()) {
        names.push_back(container.at("name").get<std::string>());
      }
    }
  }
  return names;
}

// REVIEW-2 S3, T4: the replication key is for tlshd, LINSTOR's is not.
TEST(RenderSatellite, ReplicationSecretIsMountedByTheHandshakeDaemonOnly) {
  SatelliteInputs inputs = Satellite(kWithDaemon);
  EXPECT_THAT(Mounters(PodSpec(RenderSatellite(inputs)), "internal-tls"),
              ::testing::ElementsAre("ktls-utils", "linstor-satellite"));
  inputs.replication.mounted = true;
  const Json pod = PodSpec(RenderSatellite(inputs));
  EXPECT_THAT(Mounters(pod, "replication-tls"), ::testing::ElementsAre("ktls-utils"));
  EXPECT_THAT(Mounters(pod, "internal-tls"), ::testing::ElementsAre("linstor-satellite"));
  const Json volume = Named(pod.at("volumes"), "replication-tls");
  EXPECT_EQ(volume.at("projected").at("sources").at(0).at("secret").at("name"),
            "node1.example.com-replication-tls");
  EXPECT_EQ(volume.at("projected").at("defaultMode"), 0600) << "tlshd complains about other modes";
  const Json tlshd = Named(pod.at("containers"), "ktls-utils");
  for (const Json& mount : tlshd.at("volumeMounts")) {
    EXPECT_FALSE(mount.contains("subPath")) << "a renewed certificate would not reach the file";
  }
}

// REVIEW-2 S3: the satellite's certificate stays as it is while tlshd presents it, or cert-manager
// issues all of them again at a take-over from the Piraeus Operator; after that it is a server's.
TEST(RenderSatellite, SatelliteCertificateIsAServersOnlyOnceTlshdHasItsOwn) {
  SatelliteInputs inputs = Satellite(
      "{clusterRef: {name: c}, internalTLS: {tlsHandshakeDaemon: true, certManager: {name: ca}}}");
  const auto usages = [&] {
    const SatelliteRendering rendering = RenderSatellite(inputs);
    const Json* certificate =
        Find(rendering.objects, "Certificate", "linstor-satellite.node1.example.com");
    return certificate->at("spec").at("usages");
  };
  EXPECT_EQ(usages(), Json::array({"server auth", "client auth"}));
  inputs.replication.mounted = true;
  EXPECT_EQ(usages(), Json::array({"server auth", "client auth"}));
  inputs.replication.separate = true;
  EXPECT_EQ(usages(), Json::array({"server auth"}));
}

// Mode CertManager: a node is server and client, and its peers check its name (F7.1).
TEST(RenderSatellite, AsksCertManagerForACertificateOfReplication) {
  SatelliteInputs inputs = Satellite(kWithDaemon);
  inputs.replication.issuer = api::IssuerReference{"replication", "Issuer", ""};
  inputs.replication.duration = std::chrono::hours(720);
  const SatelliteRendering rendering = RenderSatellite(inputs);
  const Json* certificate =
      Find(rendering.objects, "Certificate", "linstor-replication.node1.example.com");
  ASSERT_NE(certificate, nullptr);
  EXPECT_EQ(certificate->at("spec"), Yaml(R"(
dnsNames: [node1.example.com]
duration: 720h
renewBefore: 240h
issuerRef: {name: replication, kind: Issuer}
privateKey: {algorithm: ECDSA, size: 256, rotationPolicy: Always}
secretName: node1.example.com-replication-issued
usages: [server auth, client auth]
)"));
}

// Issue 9, G7: a label with the operator's version made an upgrade write the DaemonSet of every
// node. This file is compiled twice, with two versions, and compared with the same golden files.
TEST(RenderSatellite, OperatorVersionIsInNoObjectOfASatellite) {
  const std::string version = MetadataLabels().at("app.kubernetes.io/version");
  ASSERT_EQ(version, BREAKWATER_VERSION);
  const std::string text = Json(RenderSatellite(Satellite(kWithDaemon)).objects).dump();
  EXPECT_THAT(text, HasSubstr("breakwater-agent:0.7.0"));
  EXPECT_THAT(text, ::testing::Not(HasSubstr(version)));
}

// User files patch by index (facts/PIRAEUS.md 1.17.3): an agent in front would move their patch to
// another container.
TEST(RenderSatellite, AgentIsBehindEverythingElse) {
  const Json with = PodSpec(RenderSatellite(Satellite(kWithDaemon)));
  SatelliteInputs old = Satellite(kWithDaemon);
  old.images = Images(kNoAgent);
  const Json without = PodSpec(RenderSatellite(old));
  for (const char* list : {"containers", "initContainers", "volumes"}) {
    const std::vector<std::string> before = Names(without.at(list));
    std::vector<std::string> after = Names(with.at(list));
    ASSERT_GT(after.size(), before.size()) << list;
    after.resize(before.size());
    EXPECT_EQ(after, before) << list;
    for (const std::string& name : before) {
      EXPECT_EQ(Named(with.at(list), name), Named(without.at(list), name)) << name;
    }
  }
}

// An init container whose image nobody configured (that of a Piraeus Operator knows no agent) would
// keep the satellite from starting, and with it every volume of the node.
TEST(RenderSatellite, WithoutAnAgentInTheImageConfigurationThereIsNone) {
  SatelliteInputs inputs = Satellite(kWithDaemon);
  inputs.images = Images(kNoAgent);
  const SatelliteRendering rendering = RenderSatellite(inputs);
  EXPECT_THAT(rendering.problems, IsEmpty());
  EXPECT_THAT(Json(rendering.objects).dump(), ::testing::Not(HasSubstr("breakwater")));
  EXPECT_THAT(Json(rendering.objects).dump(), HasSubstr("ktls-utils"));
}

// drbdsetup of another version than the satellite's may not speak with the kernel, or not print
// what LINSTOR's does: the agent follows in every way in which the satellite gets its image.
TEST(RenderSatellite, AgentRunsTheImageOfTheSatellite) {
  const auto images = [](const SatelliteInputs& inputs) {
    const Json containers = PodSpec(RenderSatellite(inputs)).at("containers");
    return std::pair(Named(containers, "linstor-satellite").at("image").get<std::string>(),
                     Named(containers, "breakwater-agent").at("image").get<std::string>());
  };
  SatelliteInputs inputs = Satellite(kWithDaemon);
  EXPECT_EQ(images(inputs).second, "registry.example.com/storage/server:v1.34.2");
  inputs.external_controller_version = "1.27.1";
  EXPECT_EQ(images(inputs).second, "registry.example.com/storage/server:v1.27.1");
  inputs.spec.repository = "mirror.example.com";
  EXPECT_EQ(images(inputs).second, "mirror.example.com/server:v1.27.1");

  const std::string patched = std::string(kWithDaemon.substr(0, kWithDaemon.size() - 1)) + R"(,
patches: [{patch: '{apiVersion: apps/v1, kind: DaemonSet, metadata: {name: linstor-satellite},
  spec: {template: {spec: {containers: [
    {name: linstor-satellite, image: "own.example.com/satellite:7", imagePullPolicy: Never}]}}}}'}]})";
  EXPECT_EQ(images(Satellite(patched)).first, "own.example.com/satellite:7");
  EXPECT_EQ(images(Satellite(patched)).second, "own.example.com/satellite:7");
  EXPECT_EQ(Named(PodSpec(RenderSatellite(Satellite(patched))).at("containers"), "breakwater-agent")
                .at("imagePullPolicy"),
            "Never");
}

// Patches by name are how people set resources, other images, or take the agent away.
TEST(RenderSatellite, AgentCanBePatched) {
  const std::string spec = std::string(kWithDaemon.substr(0, kWithDaemon.size() - 1)) + R"(,
patches: [{patch: '{apiVersion: apps/v1, kind: DaemonSet, metadata: {name: linstor-satellite},
  spec: {template: {spec: {
    initContainers: [{name: breakwater-agent-init, $patch: delete}],
    containers: [{name: breakwater-agent, image: "own.example.com/agent:1"},
                 {name: linstor-satellite, image: "own.example.com/satellite:7"}]}}}}'}]})";
  const Json pod = PodSpec(RenderSatellite(Satellite(spec)));
  EXPECT_EQ(Named(pod.at("containers"), "breakwater-agent").at("image"), "own.example.com/agent:1");
  EXPECT_EQ(Named(pod.at("initContainers"), "breakwater-agent-init"), Json());
}

// REVIEW-2 M6: root on the node is what the security model's table of containers says, and no more.
// tlshd, which parses network bytes, sees of the node's files only the directory of its own
// certificate, and can ask Kubernetes for nothing.
TEST(RenderSatellite, PrivilegedIsWhatTheSecurityModelNames) {
  const Json pod = PodSpec(RenderSatellite(Satellite(kWithDaemon)));
  std::vector<std::string> privileged;
  for (const char* list : {"initContainers", "containers"}) {
    for (const Json& container : pod.at(list)) {
      const Json& security = container.at("securityContext");
      EXPECT_EQ(security.value("readOnlyRootFilesystem", false), true) << container.at("name");
      if (security.value("privileged", false)) {
        privileged.push_back(container.at("name").get<std::string>());
      } else {
        EXPECT_EQ(security.at("capabilities").at("drop"), Json::array({"ALL"}))
            << container.at("name");
      }
    }
  }
  EXPECT_THAT(privileged, ::testing::UnorderedElementsAre("drbd-shutdown-guard", "ktls-utils",
                                                          "linstor-satellite"));
  const Json mounts = Named(pod.at("containers"), "ktls-utils").at("volumeMounts");
  ASSERT_EQ(mounts.size(), 1U);
  EXPECT_EQ(mounts[0].at("mountPath"), "/etc/tlshd.d");
  EXPECT_EQ(mounts[0].value("readOnly", false), true);
  EXPECT_EQ(pod.at("automountServiceAccountToken"), false);
  EXPECT_FALSE(pod.value("hostPID", false));  // hostIPC: the host's LVM is used
}

// What the agent needs is in the golden file; this is what it must not get, or must not lose.
TEST(RenderSatellite, AgentHasNoMoreThanItNeeds) {
  const Json pod = PodSpec(RenderSatellite(Satellite(kWithDaemon)));
  EXPECT_EQ(pod.at("automountServiceAccountToken"), false);
  const Json agent = Named(pod.at("containers"), "breakwater-agent");
  EXPECT_FALSE(agent.at("securityContext").contains("privileged"));
  EXPECT_FALSE(agent.contains("ports"));
  // An out-of-memory kill takes the whole container, guardian included; and a throttled one is
  // late.
  EXPECT_FALSE(agent.at("resources").contains("limits"));
  // The agent needs 25 s to end its transactions; without a value of its own a pod has 30 s.
  EXPECT_GE(pod.value("terminationGracePeriodSeconds", 30), 30);
  // Two programs that work on one minor must meet the same lock file.
  const Json lock = Named(agent.at("volumeMounts"), "run-lock");
  EXPECT_EQ(lock,
            Named(Named(pod.at("containers"), "linstor-satellite").at("volumeMounts"), "run-lock"));
  EXPECT_FALSE(lock.is_null());
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
  EXPECT_THAT(pod["spec"]["initContainers"].dump(),
              ::testing::Not(HasSubstr("drbd-module-loader")));
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
