#include "operator/core/render/patch_guard.h"

#include "operator/core/render/render_test_support.h"

namespace breakwater::core {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

ClusterRendering RenderWith(std::string_view spec) {
  ClusterInputs inputs;
  inputs.name = "linstorcluster";
  inputs.spec = api::DecodeLinstorCluster({{"spec", Yaml(spec)}}).value;
  inputs.ns = "piraeus-datastore";
  inputs.nodes = {Node("node1")};
  inputs.images = Images();
  return RenderCluster(inputs);
}

std::string ProblemOf(std::string_view spec) {
  const ClusterRendering rendering = RenderWith(spec);
  return rendering.problems.empty() ? "" : rendering.problems[0].ToString();
}

// REVIEW-2 S4: a patch added its author to the bindings of the LINSTOR controller, and with them
// came all Secrets of the namespace.
TEST(PatchGuard, RightsAreNotPatched) {
  EXPECT_THAT(ProblemOf(R"(
patches:
  - target: {kind: ConfigMap}
    patch: '[{op: test, path: /kind, value: ConfigMap}]'
  - target: {kind: ClusterRoleBinding, name: linstor-.*}
    patch: '[{op: add, path: /subjects/-, value: {kind: User, name: mallory}}]'
)"),
              AllOf(HasSubstr("spec.patches[1]"),
                    HasSubstr("refused for ClusterRoleBinding \"linstor-controller\""),
                    HasSubstr("rbac.authorization.k8s.io")));
  EXPECT_THAT(ProblemOf(R"(
patches:
  - patch: |
      apiVersion: rbac.authorization.k8s.io/v1
      kind: Role
      metadata: {name: satellite}
      rules: [{apiGroups: [""], resources: [secrets], verbs: [get]}]
)"),
              HasSubstr("refused for Role \"satellite\""));
}

// REVIEW-2 S4: nor is another object turned into one that gives rights.
TEST(PatchGuard, NothingBecomesABinding) {
  EXPECT_THAT(ProblemOf(R"(
patches:
  - target: {kind: ConfigMap, name: linstor-controller-config}
    options: {allowKindChange: true}
    patch: |
      apiVersion: rbac.authorization.k8s.io/v1
      kind: ClusterRoleBinding
      metadata: {name: linstor-controller-config}
      roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}
)"),
              HasSubstr("refused for ClusterRoleBinding"));
}

// Labels of one's own on everything are what half of the patches in the field do.
TEST(PatchGuard, LabelsOnRightsAreFine) {
  EXPECT_EQ(ProblemOf(R"(
patches:
  - target: {kind: .*}
    patch: |
      apiVersion: any/v1
      kind: Any
      metadata: {name: any, labels: {team: storage}, annotations: {a: b}}
)"),
            "");
}

// REVIEW-2 S4: keys of other components.
TEST(PatchGuard, KeysOfOthersAreNotMounted) {
  for (const char* volume :
       {"{name: x, secret: {secretName: node1-tls}}", "{name: x, secret: {secretName: pass}}",
        "{name: x, projected: {sources: [{secret: {name: linstor-csi-node-tls}}]}}"}) {
    const std::string spec = R"(
linstorPassphraseSecret: pass
controller: {podTemplate: {spec: {volumes: [)" +
                             std::string(volume) + "]}}}\n";
    // The passphrase is in the controller's environment anyway.
    if (spec.find("secretName: pass}") == std::string::npos) {
      EXPECT_THAT(ProblemOf(spec), AllOf(HasSubstr("spec.controller.podTemplate"),
                                         HasSubstr("is the key of another component")))
          << volume;
    } else {
      EXPECT_EQ(ProblemOf(spec), "");
    }
  }
  EXPECT_EQ(ProblemOf(R"(
controller: {podTemplate: {spec: {volumes: [{name: x, secret: {secretName: mine}}]}}}
)"),
            "");
}

TEST(PatchGuard, ASatelliteGetsNoOtherAccountAndNoOtherKey) {
  const auto problem = [](const std::string& pod_spec) {
    SatelliteInputs inputs{.name = "node1", .uid = "u", .node = Node("node1"), .ns = "ns"};
    inputs.images = Images();
    inputs.node_names = {"node1", "node2"};
    inputs.spec.cluster_ref.name = "c";
    inputs.spec.internal_tls = api::TlsConfig{};
    inputs.spec.patches = {
        {.patch =
             "{apiVersion: apps/v1, kind: DaemonSet, metadata: {name: linstor-satellite}, spec: "
             "{template: {spec: " +
             pod_spec + "}}}"}};
    const SatelliteRendering rendering = RenderSatellite(inputs);
    return rendering.problems.empty() ? std::string() : rendering.problems[0].message;
  };
  EXPECT_THAT(problem("{serviceAccountName: linstor-controller}"),
              HasSubstr("ServiceAccount \"linstor-controller\" is that of another component"));
  EXPECT_THAT(problem("{volumes: [{name: x, secret: {secretName: node2-tls}}]}"),
              HasSubstr("Secret \"node2-tls\""));
  EXPECT_EQ(problem("{volumes: [{name: x, secret: {secretName: node1-tls}}]}"), "") << "its own";
  EXPECT_EQ(problem("{serviceAccountName: of-the-user}"), "");
}

std::vector<std::string> Dangers(const std::string& patch) {
  return DangerousPatches({{.patch = patch, .target = api::PatchTarget{.kind = "DaemonSet"}}}, {},
                          "spec.podTemplate");
}

// REVIEW-2 S4: what takes over a node is allowed, and never silent.
TEST(PatchGuard, NamesWhatIsDangerous) {
  EXPECT_THAT(Dangers(R"({kind: DaemonSet, metadata: {name: x},
    spec: {template: {spec: {hostNetwork: true, volumes: [{name: x, hostPath:
    {path: /}}], containers: [{name: c, image: evil, securityContext: {privileged: true}}]}}}})"),
              ElementsAre("spec.patches[0]: hostNetwork, hostPath, image, privileged"));
  EXPECT_THAT(Dangers("[{op: add, path: /spec/template/spec/hostPID, value: true}]"),
              ElementsAre("spec.patches[0]: hostPID"));
  EXPECT_THAT(Dangers("[{op: replace, path: /spec/volumes/0/hostPath/path, value: /}]"),
              ElementsAre("spec.patches[0]: hostPath"));
  EXPECT_THAT(Dangers("[{op: add, path: /a/securityContext/capabilities/add/-, value: SYS_ADMIN}]"),
              ElementsAre("spec.patches[0]: capabilities"));
  EXPECT_THAT(Dangers("{spec: {template: {spec: {hostNetwork: false, priorityClassName: x}}}}"),
              IsEmpty());
  EXPECT_THAT(DangerousPatches({}, Yaml("{spec: {hostIPC: true}}"), "spec.podTemplate"),
              ElementsAre("spec.podTemplate: hostIPC"));
}

}  // namespace
}  // namespace breakwater::core
