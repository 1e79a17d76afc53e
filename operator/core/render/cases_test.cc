// The documents of tests/cases, as far as rendering decides what becomes of them.

#include "operator/api/error_limit.h"
#include "operator/core/admission/validate.h"
#include "operator/core/render/patches.h"
#include "operator/core/render/render_test_support.h"
#include "operator/core/satellite/merge.h"

namespace breakwater::core {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

std::vector<Json> Case(const std::string& name) {
  std::ifstream file(testing::SourceDir() + "/tests/cases/" + name + ".yaml");
  std::ostringstream text;
  text << file.rdbuf();
  return ParseYaml(text.str()).value();
}

std::vector<NamedConfiguration> Configurations(const std::vector<Json>& documents) {
  std::vector<NamedConfiguration> result;
  for (const Json& document : documents) {
    auto decoded = api::DecodeLinstorSatelliteConfiguration(document);
    result.push_back({document.at("metadata").at("name").get<std::string>(), decoded.value,
                      AllErrors(decoded.errors, ValidateSatelliteConfiguration(decoded.value))});
  }
  return result;
}

ClusterInputs Cluster(const Json& spec) {
  ClusterInputs inputs;
  inputs.name = "linstorcluster";
  inputs.spec = api::DecodeLinstorCluster({{"spec", spec}}).value;
  inputs.ns = "piraeus-datastore";
  inputs.nodes = {Node("node1.example.com"), Node("node2.example.com")};
  inputs.images = Images();
  return inputs;
}

/// As the API server would have it after the first pass.
api::ObjectPtr Stored(const Json& rendered) {
  Json object = rendered;
  object["metadata"]["uid"] = "uid-" + object["metadata"]["name"].get<std::string>();
  return std::make_shared<const api::Object>(object);
}

SatelliteRendering Satellite(const std::vector<NamedConfiguration>& configurations,
                             const std::string& node = "node1.example.com") {
  ClusterInputs cluster = Cluster(Json::object());
  cluster.configurations = configurations;
  const ClusterRendering rendering = RenderCluster(cluster);
  const Json* satellite = Find(rendering.objects, "LinstorSatellite", node);
  SatelliteInputs inputs;
  inputs.name = node;
  inputs.uid = "u";
  inputs.spec = api::DecodeLinstorSatellite(*satellite).value;
  inputs.node = Node(node);
  inputs.ns = "piraeus-datastore";
  inputs.images = Images();
  return RenderSatellite(inputs);
}

Json Pod(const SatelliteRendering& rendering, const std::string& node = "node1.example.com") {
  const Json* set = Find(rendering.objects, "DaemonSet", "linstor-satellite." + node);
  return set == nullptr ? Json() : set->at("spec").at("template").at("spec");
}

Json Named(const Json& list, std::string_view name) {
  for (const Json& item : list) {
    if (item.at("name") == name) {
      return item;
    }
  }
  return {};
}

std::vector<std::string> Names(const Json& list, const char* key = "name") {
  std::vector<std::string> names;
  for (const Json& item : list) {
    names.push_back(item.at(key).get<std::string>());
  }
  return names;
}

// A sidecar that names a volume which is not there keeps every satellite from starting.
TEST(CasesTest, Case01HostLvmIsSharedWithTheHost) {
  const SatelliteRendering rendering =
      Satellite(Configurations(Case("01-sidecar-mounts-lvm-volumes")));
  ASSERT_THAT(rendering.problems, IsEmpty());
  const Json pod = Pod(rendering);
  const std::vector<std::string> volumes = Names(pod.at("volumes"));
  const Json helper = Named(pod.at("containers"), "helper");
  for (const Json& mount : helper.at("volumeMounts")) {
    EXPECT_THAT(volumes, Contains(mount.at("name").get<std::string>()));
  }
  EXPECT_EQ(Named(pod.at("volumes"), "run-lvm").at("hostPath").at("path"), "/run/lvm");
  EXPECT_EQ(Named(pod.at("volumes"), "run-lock-lvm").at("hostPath").at("path"), "/run/lock/lvm");
  EXPECT_TRUE(Named(pod.at("volumes"), "container-etc-lvm").contains("emptyDir"));
}

// facts/PIRAEUS.md 1.17: without it LVM's commands in the container lock nothing, and two nodes
// write to the same volume group.
TEST(CasesTest, ExternalLockingBringsTheLockDaemonOfTheHost) {
  const auto pod = [](const char* pool) {
    return Pod(Satellite(
        Configurations({{{"metadata", {{"name", "san"}}},
                         {"spec", {{"storagePools", Json::array({Json::parse(pool)})}}}}})));
  };
  const Json locked =
      pod(R"({"name": "san", "lvmPool": {"sharedSpace": "array", "externalLocking": true}})");
  const Json volume = Named(locked.at("volumes"), "run-lvmlockd-pid").at("hostPath");
  EXPECT_EQ(volume, Json::parse(R"({"path": "/run/lvmlockd.pid", "type": "File"})"));
  const Json container = Named(locked.at("containers"), "linstor-satellite");
  const Json mount = Named(container.at("volumeMounts"), "run-lvmlockd-pid");
  EXPECT_EQ(mount.at("mountPath"), "/run/lvmlockd.pid");
  EXPECT_EQ(mount.at("readOnly"), true);
  const Json shared = pod(R"({"name": "san", "lvmPool": {"sharedSpace": "array"}})");
  EXPECT_THAT(Names(shared.at("volumes")), Not(Contains("run-lvmlockd-pid")))
      << "a host without the daemon has no such file: the pod would not start";
}

// facts/PIRAEUS.md 1.17: JSON patches by index exist.
TEST(CasesTest, OrderOfMountsAndInitContainersIsApi) {
  const Json pod = Pod(Satellite({}));
  EXPECT_THAT(Names(pod.at("initContainers")),
              ElementsAre("drbd-module-loader", "drbd-shutdown-guard", "setup-lvm-configuration"));
  const Json init = pod.at("initContainers").at(2);
  EXPECT_EQ(init.at("image"), Named(pod.at("containers"), "linstor-satellite").at("image"));
  EXPECT_EQ(Named(init.at("volumeMounts"), "etc-lvm").at("mountPath"), "/host/etc/lvm");
  const Json mounts = Named(pod.at("containers"), "linstor-satellite").at("volumeMounts");
  std::vector<std::string> paths = Names(mounts, "mountPath");
  ASSERT_GE(paths.size(), 4U);
  EXPECT_THAT(std::vector<std::string>(paths.end() - 4, paths.end()),
              ElementsAre("/run", "/tmp", "/run/lock", "/run/udev"));
  EXPECT_EQ(mounts.back().at("readOnly"), true);
  EXPECT_THAT(paths, AllOf(Contains("/run/lvm"), Contains("/run/lock/lvm"), Contains("/etc/lvm")));
}

// A probe on a port where nobody listens kills the satellite again and again.
TEST(CasesTest, Case02ThePortIsWhereTheSatelliteListens) {
  const auto ports = [](const SatelliteRendering& rendering) {
    return Named(Pod(rendering).at("containers"), "linstor-satellite").at("ports");
  };
  const Json tls = ports(Satellite(Configurations(Case("02-probe-on-named-port-with-tls"))));
  ASSERT_EQ(tls.size(), 1U);
  EXPECT_EQ(tls[0], Json({{"name", "linstor"}, {"containerPort", 3367}, {"protocol", "TCP"}}));
  EXPECT_EQ(ports(Satellite({}))[0].at("containerPort"), 3366);
}

TEST(CasesTest, Case12bAPatchForNothingHoldsUpNothing) {
  ClusterInputs inputs = Cluster(Case("12b-cluster-patch-pod-no-target")[0].at("spec"));
  inputs.spec.patches[0].patch.replace(inputs.spec.patches[0].patch.find("linstor-csi-node"), 16,
                                       "linstor-csi-nodes");
  const ClusterRendering rendering = RenderCluster(inputs);
  EXPECT_THAT(rendering.problems, IsEmpty());
  EXPECT_THAT(rendering.warnings, Contains(AllOf(HasSubstr("spec.patches[0]"),
                                                 HasSubstr("DaemonSet \"linstor-csi-nodes\""))));
}

// The same with a target, and with the other patches of a satellite.
TEST(CasesTest, PatchesForNothingAreNamedWhateverTheirForm) {
  ClusterInputs inputs = Cluster(Yaml(R"(
patches:
  - target: {kind: Deployment, name: linstor-controler}
    patch: "[{op: add, path: /metadata/labels/a, value: b}]"
)"));
  EXPECT_THAT(RenderCluster(inputs).warnings, Contains(HasSubstr("\"linstor-controler\"")));
  EXPECT_THAT(RenderCluster(inputs).problems, IsEmpty());
  const SatelliteRendering rendering = Satellite(Configurations({Yaml(R"(
metadata: {name: a}
spec:
  patches:
    - patch: "{apiVersion: apps/v1, kind: DaemonSet, metadata: {name: linstor-satelite}, spec: {x: 1}}"
    - target: {kind: Deployment}
      patch: "[{op: remove, path: /nothing}]"
)")}));
  EXPECT_THAT(rendering.problems, IsEmpty());
  EXPECT_THAT(rendering.objects, Not(IsEmpty()));
  EXPECT_THAT(rendering.warnings,
              ElementsAre(HasSubstr("DaemonSet \"linstor-satelite\""), HasSubstr("Deployment")));
}

// A component that another patch breaks has its own problem; this one is not to blame.
TEST(CasesTest, APatchOfABrokenComponentIsNotForNothing) {
  const ClusterRendering rendering = RenderCluster(Cluster(Yaml(R"(
patches:
  - target: {kind: Deployment, name: linstor-controller}
    patch: "[{op: remove, path: /spec/nothing}]"
  - target: {kind: Deployment, name: linstor-controller}
    patch: "[{op: add, path: /metadata/labels/a, value: b}]"
)")));
  EXPECT_EQ(rendering.problems.size(), 1U);
  EXPECT_THAT(rendering.warnings, IsEmpty());
}

TEST(CasesTest, AnImageOverrideWithoutAnImageDoesNotCount) {
  ClusterInputs inputs = Cluster(Json::object());
  inputs.images = Images("components: {linstor-controller: {tag: v9}, unknown: {digest: x}}");
  const ClusterRendering rendering = RenderCluster(inputs);
  EXPECT_THAT(rendering.problems, IsEmpty());
  EXPECT_THAT(Json(rendering.objects).dump(), HasSubstr("/server:v1.34.2"));
  EXPECT_THAT(rendering.warnings, Contains(AllOf(HasSubstr("1_user.yaml"),
                                                 HasSubstr("linstor-controller has no image"))));
}

// Without it the operator never reaches the controller; the server's certificate is not ours.
TEST(CasesTest, Case32AnExternalControllerGetsAClientCertificate) {
  const ClusterRendering rendering =
      RenderCluster(Cluster(Case("32-external-controller-cert-manager")[0].at("spec")));
  const Json* certificate = Find(rendering.objects, "Certificate", "linstor-client-tls");
  ASSERT_NE(certificate, nullptr);
  EXPECT_EQ(certificate->at("spec").at("secretName"), "linstor-client-tls");
  EXPECT_EQ(certificate->at("spec").at("issuerRef").at("name"), "api-ca");
  EXPECT_EQ(Find(rendering.objects, "Certificate", "linstor-api-tls"), nullptr);
  EXPECT_EQ(Find(rendering.objects, "Deployment", "linstor-controller"), nullptr);
}

TEST(CasesTest, Case34MergeKeysAreMerged) {
  const Json pod = Pod(Satellite(Configurations(Case("34-yaml-merge-key"))));
  EXPECT_EQ(Named(pod.at("containers"), "drbd-reactor").at("resources"),
            Yaml("{requests: {cpu: 50m}, limits: {memory: 64Mi}}"));
}

TEST(CasesTest, Case35YesInAJsonPatchIsTrue) {
  EXPECT_EQ(Pod(Satellite(Configurations(Case("35-json-patch-yes")))).at("hostPID"), true);
}

Json Patched(const char* text) {
  return ParsePatch({.patch = text, .target = api::PatchTarget{.kind = "DaemonSet"}})
      .value()
      .content;
}

// Source of every value: `kubectl kustomize` 5.8.
TEST(CasesTest, ScalarsAreThoseOfKustomize) {
  EXPECT_EQ(Patched("[{op: add, path: /a, value: {a: Off, b: y, c: N, d: 0o17, e: 017, f: 1_000, "
                    "g: 0b11, h: '12:30:45', i: 1e3, j: 'on', k: TRUE, l: 08, m: 0x1F, n: YES, "
                    "o: oN, yes: 1, p: !!str yes, q: 1_0.5, r: a_b}}]")[0]["value"],
            Json::parse(R"({"a": false, "b": true, "c": false, "d": 15, "e": 15, "f": 1000,
                            "g": 3, "h": "12:30:45", "i": 1000, "j": "on", "k": true, "l": 8,
                            "m": 31, "false": true, "o": "oN", "true": 1, "p": "yes", "q": 10.5,
                            "r": "a_b"})"));
  EXPECT_EQ(Patched("{kind: K, metadata: {name: n}, spec: {a: yes, b: on, c: y, d: 1_000, yes: 1, "
                    "e: 08, f: 1e3}}")["spec"],
            Json::parse(R"({"a": "yes", "b": "on", "c": "y", "d": 1000, "yes": 1, "e": 8,
                            "f": 1000})"))
      << "in resources kustomize reads these words as text";
}

TEST(CasesTest, MergeKeysOfEveryForm) {
  EXPECT_EQ(Patched(R"(
x: [&a {k: 1, j: {z: 1}}, &b {k: 2, l: 3}]
kind: K
metadata: {name: n}
spec:
  m1: {<<: [*a, *b], j: {y: 2}}
  m2: {k: 9, <<: *a}
  m4: {<<: {q: 1, <<: *b}}
)")["spec"],
            Json::parse(R"({"m1": {"k": 1, "l": 3, "j": {"y": 2}}, "m2": {"k": 9, "j": {"z": 1}},
                            "m4": {"q": 1, "k": 2, "l": 3}})"));
  EXPECT_FALSE(ParsePatch({.patch = "[{op: add, path: /a, value: {<<: 5}}]",
                           .target = api::PatchTarget{.kind = "DaemonSet"}}));
}

// What is no resource is refused by its name, or a person looks for the mistake in another patch.
TEST(CasesTest, APatchThatIsNoResourceIsRefusedByName) {
  for (const char* text : {"roses: red", "{apiVersion: apps/v1, kind: DaemonSet, spec: {a: 1}}",
                           "{apiVersion: apps/v1, metadata: {name: roses}}", "hello", "[{a: b}]"}) {
    EXPECT_FALSE(ParsePatch({.patch = text, .target = api::PatchTarget{.kind = "DaemonSet"}}))
        << text;
  }
  const api::LinstorSatelliteConfigurationSpec spec{
      .patches = {{.patch = "roses: red", .target = api::PatchTarget{.kind = "DaemonSet"}}}};
  EXPECT_THAT(api::JoinErrors(ValidateSatelliteConfiguration(spec)),
              AllOf(HasSubstr("spec.patches[0].patch"), HasSubstr("roses")));
  for (const char* nothing : {"{}", "[]"}) {
    EXPECT_TRUE(ParsePatch({.patch = nothing, .target = api::PatchTarget{.kind = "DaemonSet"}}));
  }
}

TEST(CasesTest, Case40ACanaryKeepsWhatThePlatformSays) {
  const std::vector<NamedConfiguration> both = Configurations(Case("40-tls-canary-name-order"));
  EXPECT_FALSE(Named(Pod(Satellite(both)).at("containers"), "ktls-utils").is_null());
  const SatelliteRendering other = Satellite(both, "node2.example.com");
  EXPECT_TRUE(Named(Pod(other, "node2.example.com").at("containers"), "ktls-utils").is_null());
  EXPECT_NE(Find(Satellite(both).objects, "Certificate", "linstor-satellite.node1.example.com"),
            nullptr);
}

TEST(CasesTest, Case42ALaterConfigurationLeavesTheDaemon) {
  std::vector<NamedConfiguration> all =
      Configurations(Case("42-later-configuration-takes-the-daemon-away"));
  all.push_back({"platform", api::DecodeLinstorSatelliteConfiguration(
                                 {{"spec", Yaml("internalTLS: {tlsHandshakeDaemon: true}")}})
                                 .value});
  const Json pod = Pod(Satellite(all));
  EXPECT_FALSE(Named(pod.at("containers"), "ktls-utils").is_null());
  EXPECT_THAT(pod.dump(), HasSubstr("site-ca"));
}

TlsMerge Merge(const std::vector<std::pair<std::string, std::string>>& blocks) {
  TlsMerge merge;
  for (const auto& [name, tls] : blocks) {
    merge.Add(name,
              *api::DecodeLinstorSatelliteConfiguration({{"spec", {{"internalTLS", Yaml(tls)}}}})
                   .value.internal_tls);
  }
  return merge;
}

std::vector<std::string> Losers(const TlsMerge& merge) {
  std::vector<std::string> lines;
  for (const TlsMerge::Overridden& overridden : merge.overridden()) {
    lines.push_back(overridden.loser + "<" + overridden.winner + ":" + overridden.field);
  }
  return lines;
}

// Nobody finds out by himself which of two configurations counts.
TEST(CasesTest, WhoContradictsIsNamed) {
  const TlsMerge daemon =
      Merge({{"a", "{tlsHandshakeDaemon: true}"}, {"b", "{tlsHandshakeDaemon: false}"}});
  EXPECT_FALSE(daemon.merged()->tls_handshake_daemon);
  EXPECT_THAT(Losers(daemon), ElementsAre("a<b:internalTLS.tlsHandshakeDaemon"));
  const TlsMerge ca =
      Merge({{"a", "{caReference: {name: x}}"}, {"b", "{}"}, {"c", "{caReference: {name: y}}"}});
  EXPECT_EQ(ca.merged()->ca_reference->name, "y");
  EXPECT_THAT(Losers(ca), ElementsAre("a<c:internalTLS.caReference"));
  // cert-manager would overwrite the Secret that somebody made.
  const TlsMerge source = Merge({{"a", "{certManager: {name: ca}}"}, {"b", "{secretName: mine}"}});
  EXPECT_FALSE(source.merged()->cert_manager);
  EXPECT_THAT(Losers(source), ElementsAre("a<b:internalTLS.certManager"));
  EXPECT_THAT(Losers(Merge({{"a", "{secretName: s, tlsHandshakeDaemon: true}"},
                            {"b", "{secretName: s, caReference: {name: x}}"}})),
              IsEmpty())
      << "the same is no contradiction";
}

// With the spec's internalTLS gone, LINSTOR goes back to plaintext and the daemon keeps its key.
TEST(CasesTest, AKeptDaemonKeepsWhatItMounts) {
  SatelliteInputs inputs;
  inputs.name = "node1";
  inputs.uid = "u";
  inputs.spec = api::DecodeLinstorSatellite({{"spec", Yaml("clusterRef: {name: c}")}}).value;
  inputs.node = Node("node1");
  inputs.ns = "ns";
  inputs.images = Images();
  inputs.kept_daemon = api::TlsConfig{.secret_name = "old-secret"};
  const Json pod = Pod(RenderSatellite(inputs), "node1");
  EXPECT_FALSE(Named(pod.at("containers"), "ktls-utils").is_null());
  EXPECT_FALSE(Named(pod.at("containers"), "breakwater-agent").is_null());
  EXPECT_THAT(Named(pod.at("volumes"), "internal-tls").dump(), HasSubstr("old-secret"));
  EXPECT_THAT(Named(pod.at("containers"), "linstor-satellite").dump(),
              Not(HasSubstr("internal-tls")));
}

constexpr const char* kBroken = R"(
metadata: {name: broken}
spec:
  patches: [{patch: "{ not: yaml", target: {kind: DaemonSet}}]
  storagePools: [{name: pool1, lvmPool: {}}]
)";

constexpr const char* kGood = R"(
metadata: {name: good}
spec: {podTemplate: {metadata: {annotations: {v: "%"}}}}
)";

// One unreadable patch must not keep nodes out of the cluster, nor pools out of LINSTOR.
TEST(CasesTest, AnUnreadablePatchHoldsBackItselfOnly) {
  ClusterInputs inputs = Cluster(Json::object());
  inputs.configurations = Configurations({Yaml(kBroken), Yaml(kGood)});
  const ClusterRendering rendering = RenderCluster(inputs);
  EXPECT_THAT(rendering.problems, IsEmpty()) << "pruning goes on";
  EXPECT_THAT(rendering.held_back, ElementsAre(HasSubstr("LinstorSatelliteConfiguration broken")));
  const Json* satellite = Find(rendering.objects, "LinstorSatellite", "node1.example.com");
  ASSERT_NE(satellite, nullptr);
  EXPECT_EQ(satellite->at("spec").at("storagePools").at(0).at("name"), "pool1");
  EXPECT_EQ(satellite->at("spec").at("patches").size(), 2U) << "tolerations, and those of `good`";
}

// What the patches did while they could be read must not be undone by a typing error.
TEST(CasesTest, PatchesThatBecomeUnreadableStayAsTheyWere) {
  ClusterInputs inputs = Cluster(Json::object());
  Json before = Yaml(kBroken);
  before["spec"]["patches"][0]["patch"] =
      "{kind: DaemonSet, metadata: {name: x}, spec: {minReadySeconds: 5}}";
  inputs.configurations = Configurations({before, Yaml(kGood)});
  inputs.satellites = {
      Stored(*Find(RenderCluster(inputs).objects, "LinstorSatellite", "node1.example.com"))};
  Json good = Yaml(kGood);
  good["spec"]["podTemplate"]["metadata"]["annotations"]["v"] = "new";
  inputs.configurations = Configurations({Yaml(kBroken), good});
  const ClusterRendering rendering = RenderCluster(inputs);
  const Json* satellite = Find(rendering.objects, "LinstorSatellite", "node1.example.com");
  ASSERT_NE(satellite, nullptr);
  EXPECT_THAT(satellite->at("spec").at("patches").dump(),
              AllOf(HasSubstr("minReadySeconds"), HasSubstr("new")));
  EXPECT_EQ(*satellite->at("spec").at("patches").begin(),
            *inputs.satellites[0]->raw().at("spec").at("patches").begin());
}

}  // namespace
}  // namespace breakwater::core
