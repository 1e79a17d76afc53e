// The components beside the LINSTOR controller. What they look like by default is in the golden
// files of cluster_test.cc.

#include <array>
#include <fstream>
#include <map>
#include <set>
#include <sstream>

#include "operator/core/render/components.h"
#include "operator/core/render/render_test_support.h"

namespace breakwater::core {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

ClusterInputs Cluster(std::string_view spec) {
  ClusterInputs inputs;
  inputs.name = "linstorcluster";
  inputs.spec = api::DecodeLinstorCluster({{"spec", Yaml(spec)}}).value;
  inputs.ns = "piraeus-datastore";
  inputs.images = Images();
  return inputs;
}

/// The only object of the workload kinds with that name.
const Json* Workload(const std::vector<Json>& objects, std::string_view name) {
  const Json* deployment = Find(objects, "Deployment", name);
  return deployment != nullptr ? deployment : Find(objects, "DaemonSet", name);
}

const Json& PodSpec(const ClusterRendering& rendering, std::string_view name) {
  static const Json kNothing = Json::object();
  const Json* workload = Workload(rendering.objects, name);
  return workload == nullptr ? kNothing : workload->at("spec").at("template").at("spec");
}

const Json& Container(const Json& pod_spec, const char* list, std::string_view name) {
  static const Json kNothing = Json::object();
  const Json* containers = api::FindMember(pod_spec, list);
  for (std::size_t i = 0; containers != nullptr && i < containers->size(); ++i) {
    if ((*containers)[i].at("name") == name) {
      return (*containers)[i];
    }
  }
  return kNothing;
}

Json Variable(const Json& container, std::string_view name) {
  for (const Json& variable : container.value("env", Json::array())) {
    if (variable.at("name") == name) {
      return variable;
    }
  }
  return nullptr;
}

const std::vector<std::string> kWorkloads{"linstor-csi-controller", "linstor-csi-node",
                                          "ha-controller", "linstor-affinity-controller",
                                          "linstor-csi-nfs-server"};

/// Who talks to LINSTOR: workload, list, container.
const std::vector<std::array<const char*, 3>> kCallers{
    {"linstor-csi-controller", "initContainers", "linstor-wait-api-online"},
    {"linstor-csi-controller", "containers", "linstor-csi"},
    {"linstor-csi-node", "initContainers", "linstor-wait-node-online"},
    {"linstor-csi-node", "containers", "linstor-csi"},
    {"linstor-affinity-controller", "containers", "linstor-affinity-controller"},
    {"linstor-csi-nfs-server", "initContainers", "linstor-wait-node-online"}};

// "enabled: false" must leave nothing of a component behind, and nothing else away.
TEST(Components, EachCanBeSwitchedOff) {
  const std::vector<std::pair<const char*, std::set<std::string>>> cases{
      {"csiController", {"linstor-csi-controller", "linstor.csi.linbit.com"}},
      {"csiNode", {"linstor-csi-node"}},
      {"highAvailabilityController", {"ha-controller"}},
      {"affinityController", {"linstor-affinity-controller"}},
      {"nfsServer",
       {"linstor-csi-nfs-server", "linstor-csi-nfs", "linstor-csi-nfs-server-templates",
        "linstor-csi-nfs-server-reactor-config"}}};
  const ClusterRendering all = RenderCluster(Cluster("{}"));
  EXPECT_THAT(all.problems, IsEmpty());
  for (const auto& [field, names] : cases) {
    const ClusterRendering some =
        RenderCluster(Cluster("{" + std::string(field) + ": {enabled: false}}"));
    EXPECT_THAT(some.problems, IsEmpty()) << field;
    std::size_t missing = 0;
    for (const Json& object : all.objects) {
      const std::string kind = api::StringAt(object, "kind");
      const std::string name = api::Object(object).name();
      const bool there = Find(some.objects, kind, name) != nullptr;
      EXPECT_EQ(there, !names.contains(name)) << field << ": " << kind << " " << name;
      missing += there ? 0 : 1;
    }
    EXPECT_EQ(some.objects.size() + missing, all.objects.size()) << field;
  }
}

// A driver that does not know where LINSTOR is serves no claim.
TEST(Components, TalkToTheControllerOfTheCluster) {
  const auto urls = [](std::string_view spec) {
    std::set<std::string> found;
    const ClusterRendering rendering = RenderCluster(Cluster(spec));
    for (const auto& [workload, list, container] : kCallers) {
      const Json& env = Container(PodSpec(rendering, workload), list, container).at("env");
      // First: the suite of the Piraeus Operator looks for it there.
      const std::size_t at = spec.find("apiTLS") == std::string_view::npos ? 0 : 3;
      EXPECT_EQ(env.at(at).at("name"), "LS_CONTROLLERS") << workload << " " << env.dump();
      found.insert(env.at(at).at("value").get<std::string>());
    }
    return found;
  };
  EXPECT_THAT(urls("{}"), ElementsAre("http://linstor-controller:3370"));
  EXPECT_THAT(urls("{apiTLS: {}}"), ElementsAre("https://linstor-controller:3371"));
  EXPECT_THAT(urls("{externalController: {url: 'http://a:3370,http://b:3370'}}"),
              ElementsAre("http://a:3370,http://b:3370"));
  EXPECT_THAT(urls("{externalController: {url: 'https://a'}, apiTLS: {}}"),
              ElementsAre("https://a"));
}

// A key in an environment is shown by `kubectl describe` and in core dumps, and is not renewed.
TEST(Components, KeysForTheRestApiAreFiles) {
  const ClusterRendering rendering = RenderCluster(Cluster(R"(
apiTLS:
  csiControllerSecretName: one
  csiNodeSecretName: two
  affinityControllerSecretName: three
  nfsServerSecretName: four
)"));
  EXPECT_THAT(rendering.problems, IsEmpty());
  const std::map<std::string, std::string> secrets{{"linstor-csi-controller", "one"},
                                                   {"linstor-csi-node", "two"},
                                                   {"linstor-affinity-controller", "three"},
                                                   {"linstor-csi-nfs-server", "four"}};
  for (const auto& [workload, list, container] : kCallers) {
    const Json& pod = PodSpec(rendering, workload);
    const std::string secret = secrets.at(workload);
    const Json volume{{"name", "linstor-client-tls"}, {"secret", {{"secretName", secret}}}};
    EXPECT_EQ(pod.at("volumes").at(0), volume) << workload;
    const Json& caller = Container(pod, list, container);
    EXPECT_EQ(caller.at("volumeMounts").at(0), (Json{{"name", "linstor-client-tls"},
                                                     {"mountPath", "/etc/linstor/tls"},
                                                     {"readOnly", true}}));
    EXPECT_EQ(Variable(caller, "LS_USER_CERTIFICATE_FILE")["value"], "/etc/linstor/tls/tls.crt");
    EXPECT_EQ(Variable(caller, "LS_USER_KEY_FILE")["value"], "/etc/linstor/tls/tls.key");
    EXPECT_EQ(Variable(caller, "LS_ROOT_CA")["valueFrom"],
              (Json{{"secretKeyRef", {{"name", secret}, {"key", "ca.crt"}}}}));
  }
  // The key itself is in no environment, of nobody.
  for (const Json& object : rendering.objects) {
    EXPECT_THAT(object.dump(), Not(HasSubstr(R"("key":"tls.key")"))) << object.dump();
  }
  EXPECT_THAT(PodSpec(rendering, "ha-controller").dump(), Not(HasSubstr("linstor-client-tls")))
      << "it does not talk to LINSTOR";
}

TEST(Components, TrustTheReferencedAuthority) {
  const ClusterRendering rendering = RenderCluster(
      Cluster("{apiTLS: {caReference: {kind: ConfigMap, name: ca, key: bundle, optional: true}}}"));
  EXPECT_EQ(Variable(Container(PodSpec(rendering, "linstor-csi-node"), "containers", "linstor-csi"),
                     "LS_ROOT_CA")["valueFrom"],
            (Json{{"configMapKeyRef", {{"name", "ca"}, {"key", "bundle"}, {"optional", true}}}}));
}

TEST(Components, HaveCertificatesOfTheIssuer) {
  const ClusterRendering rendering =
      RenderCluster(Cluster("{apiTLS: {certManager: {name: ca}, csiNodeSecretName: mine}}"));
  for (const char* name : {"linstor-csi-controller-tls", "linstor-csi-node-tls",
                           "linstor-affinity-controller-tls", "linstor-csi-nfs-server-tls"}) {
    const Json* certificate = Find(rendering.objects, "Certificate", name);
    ASSERT_NE(certificate, nullptr) << name;
    EXPECT_EQ(certificate->at("spec").at("usages"), Json::array({"client auth"}));
    EXPECT_EQ(certificate->at("spec").at("issuerRef").at("name"), "ca");
    EXPECT_EQ(certificate->at("spec").at("secretName"),
              std::string(name) == "linstor-csi-node-tls" ? "mine" : name);
  }
}

// Pods of the driver must be where the satellites are, and survive the taints of the
// high-availability controller.
TEST(Components, RunWhereTheClusterIs) {
  const ClusterRendering rendering = RenderCluster(Cluster(R"(
nodeSelector: {storage: "yes"}
nodeAffinity: {nodeSelectorTerms: [{matchExpressions: [{key: zone, operator: Exists}]}]}
tolerations: [{key: storage, operator: Exists}]
)"));
  for (const std::string& name : kWorkloads) {
    const Json& pod = PodSpec(rendering, name);
    EXPECT_EQ(pod.at("nodeSelector"), (Json{{"storage", "yes"}})) << name;
    EXPECT_THAT(pod.at("affinity").dump(), HasSubstr("\"zone\"")) << name;
    EXPECT_EQ(pod.at("tolerations").size(), 3U) << name;
    EXPECT_THAT(pod.at("tolerations").dump(),
                AllOf(HasSubstr("drbd.linbit.com/lost-quorum"), HasSubstr("\"storage\"")));
  }
  EXPECT_FALSE(PodSpec(RenderCluster(Cluster("{}")), "linstor-csi-node").contains("nodeSelector"));
}

TEST(Components, ReplicasAndPodTemplates) {
  const ClusterRendering rendering = RenderCluster(Cluster(R"(
csiController:
  replicas: 3
  podTemplate: {spec: {containers: [{name: csi-resizer, resources: {limits: {memory: 1Gi}}}]}}
affinityController: {replicas: 0}
csiNode: {replicas: 3, podTemplate: {metadata: {labels: {a: b}}}}
)"));
  EXPECT_THAT(rendering.problems, IsEmpty());
  const Json* controller = Find(rendering.objects, "Deployment", "linstor-csi-controller");
  EXPECT_EQ(controller->at("spec").at("replicas"), 3);
  EXPECT_EQ(Container(PodSpec(rendering, "linstor-csi-controller"), "containers", "csi-resizer")
                .at("resources")
                .at("limits")
                .at("memory"),
            "1Gi");
  EXPECT_EQ(Workload(rendering.objects, "linstor-affinity-controller")->at("spec").at("replicas"),
            0);
  const Json* node = Find(rendering.objects, "DaemonSet", "linstor-csi-node");
  EXPECT_FALSE(node->at("spec").contains("replicas")) << "a DaemonSet has none";
  EXPECT_EQ(node->at("spec").at("template").at("metadata").at("labels").at("a"), "b");
}

// A patch for one component that cannot be applied must not keep the others from being mended, and
// a person must see which it is.
TEST(Components, ABrokenPatchStopsItsOwnOnly) {
  for (const std::string& name : kWorkloads) {
    const std::string kind =
        Find(RenderCluster(Cluster("{}")).objects, "Deployment", name) != nullptr ? "Deployment"
                                                                                  : "DaemonSet";
    const ClusterRendering rendering = RenderCluster(
        Cluster("patches:\n  - {target: {kind: Node}, patch: '[{op: add, path: /a, value: b}]'}\n"
                "  - target: {kind: " +
                kind + ", name: " + name +
                "}\n"
                "    patch: '[{op: remove, path: /spec/nothing}]'\n"));
    ASSERT_EQ(rendering.problems.size(), 1U) << name;
    EXPECT_EQ(rendering.problems[0].component, name);
    EXPECT_THAT(rendering.problems[0].ToString(),
                AllOf(HasSubstr(name + ": spec.patches[1] for " + kind + " " + name),
                      HasSubstr("/spec/nothing")));
    for (const std::string& other : kWorkloads) {
      EXPECT_EQ(Workload(rendering.objects, other) != nullptr, other != name) << other;
    }
    EXPECT_EQ(Find(rendering.objects, "ServiceAccount", name), nullptr)
        << "half a component is none";
  }
}

// The number must be that of the user's list, also when an earlier patch cannot be read.
TEST(Components, ABrokenPatchIsNamedByItsPlace) {
  const ClusterRendering rendering = RenderCluster(Cluster(R"(
patches:
  - {target: {kind: Nothing}, patch: "{ not: yaml"}
  - target: {kind: DaemonSet, name: ha-controller}
    patch: "[{op: remove, path: /spec/nothing}]"
)"));
  ASSERT_EQ(rendering.problems.size(), 1U);
  EXPECT_THAT(rendering.problems[0].ToString(), HasSubstr("ha-controller: spec.patches[1] for"));
}

// Users' documents patch these by name, with and without a target.
TEST(Components, ArePatchedByName) {
  const ClusterRendering rendering = RenderCluster(Cluster(R"(
patches:
  - patch: |
      apiVersion: apps/v1
      kind: DaemonSet
      metadata: {name: linstor-csi-node}
      spec:
        template:
          spec:
            containers:
              - name: linstor-csi
                volumeMounts:
                  - {mountPath: /var/lib/kubelet, name: publish-dir, $patch: delete}
                  - {mountPath: /var/snap/kubelet, name: publish-dir, mountPropagation: Bidirectional}
  - target: {kind: CSIDriver, name: linstor.csi.linbit.com}
    patch: "[{op: replace, path: /spec/seLinuxMount, value: false}]"
  - target: {kind: Service, name: linstor-csi-nfs}
    patch: "{apiVersion: v1, kind: Service, metadata: {name: x, annotations: {a: b}}}"
)"));
  EXPECT_THAT(rendering.problems, IsEmpty());
  const Json& driver =
      Container(PodSpec(rendering, "linstor-csi-node"), "containers", "linstor-csi");
  EXPECT_THAT(driver.at("volumeMounts").dump(),
              AllOf(HasSubstr("/var/snap/kubelet"), Not(HasSubstr("/var/lib/kubelet"))));
  EXPECT_EQ(
      Find(rendering.objects, "CSIDriver", "linstor.csi.linbit.com")->at("spec").at("seLinuxMount"),
      false);
  EXPECT_EQ(Find(rendering.objects, "Service", "linstor-csi-nfs")
                ->at("metadata")
                .at("annotations")
                .at("a"),
            "b");
}

// Kubernetes would send the clients of NFS exports to pods that serve nothing.
TEST(Components, TheServiceForNfsHasNoSelector) {
  const ClusterRendering rendering = RenderCluster(Cluster("{}"));
  const Json* service = Find(rendering.objects, "Service", "linstor-csi-nfs");
  EXPECT_FALSE(service->at("spec").contains("selector"));
  EXPECT_EQ(service->at("metadata").at("labels").at("app.kubernetes.io/instance"),
            "linstorcluster");
  // What the CSI controller writes into it is not ours.
  EXPECT_FALSE(Find(rendering.objects, "ConfigMap", "linstor-csi-nfs-server-reactor-config")
                   ->contains("data"));
}

// A driver that promises what nobody serves lets claims wait for ever.
TEST(Components, TheDriverOffersWhatTheClusterHas) {
  const auto driver = [](const ClusterRendering& rendering, const char* container) {
    return Container(PodSpec(rendering, "linstor-csi-controller"), "containers", container);
  };
  ClusterInputs inputs = Cluster("{nfsServer: {enabled: false}}");
  const ClusterRendering without = RenderCluster(inputs);
  EXPECT_EQ(Variable(driver(without, "linstor-csi"), "ENABLE_RWX")["value"], "false");
  const char* const gate = "FEATURE_GATE_CSI_VOLUME_GROUP_SNAPSHOT";
  EXPECT_EQ(Variable(driver(without, "csi-snapshotter"), gate)["value"], "false");
  inputs = Cluster("{}");
  inputs.volume_group_snapshots = true;
  const ClusterRendering with = RenderCluster(inputs);
  EXPECT_EQ(Variable(driver(with, "linstor-csi"), "ENABLE_RWX")["value"], "true");
  EXPECT_EQ(Variable(driver(with, "csi-snapshotter"), gate)["value"], "true");
  const auto order = [](const ClusterRendering& rendering) {
    std::vector<std::string> names;
    for (const Json& container : PodSpec(rendering, "linstor-csi-controller").at("containers")) {
      names.push_back(api::StringAt(container, "name"));
    }
    return names;
  };
  EXPECT_EQ(order(with), order(without)) << "patches count containers";
}

// Images of sidecars come from documents of their own; a mirror replaces all bases.
TEST(Components, ImagesCanBeOverridden) {
  ClusterInputs inputs = Cluster("{}");
  inputs.images =
      Images("{base: mirror, components: {csi-attacher: {image: a, digest: 'sha256:1'}}}");
  const Json attacher = Container(PodSpec(RenderCluster(inputs), "linstor-csi-controller"),
                                  "containers", "csi-attacher");
  EXPECT_EQ(attacher.at("image"), "mirror/a@sha256:1");
  inputs.spec.repository = "registry.example.com/x";
  EXPECT_EQ(Container(PodSpec(RenderCluster(inputs), "linstor-csi-controller"), "containers",
                      "csi-attacher")
                .at("image"),
            "registry.example.com/x/a@sha256:1");
}

std::string ReadSource(const std::string& path) {
  std::ifstream file(testing::SourceDir() + "/" + path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

// A container whose image nobody names is pulled from wherever the node looks first.
TEST(Components, EveryImageHasADefault) {
  ClusterInputs inputs = Cluster("{}");
  inputs.images =
      ImageConfig::FromConfigMap(
          {{"data",
            {{"0_default_csi_images.yaml", ReadSource("deploy/default/csi-images.yaml")},
             {"0_default_images.yaml", ReadSource("deploy/default/images.yaml")}}}})
          .value();
  const ClusterRendering rendering = RenderCluster(inputs);
  for (const std::string& name : kWorkloads) {
    for (const char* list : {"initContainers", "containers"}) {
      for (const Json& container : PodSpec(rendering, name).value(list, Json::array())) {
        EXPECT_THAT(container.at("image").get<std::string>(),
                    AllOf(HasSubstr("/"), HasSubstr(":v")))
            << name;
      }
    }
  }
}

// Least privilege: reading Secrets, and "*", are for nobody here.
TEST(Components, RolesReadNoSecrets) {
  for (const Json& object : RenderCluster(Cluster("{}")).objects) {
    const std::string name = api::Object(object).name();
    const bool role = object.at("kind") == "Role" || object.at("kind") == "ClusterRole";
    if (!role || name == "linstor-controller") {
      continue;
    }
    for (const Json& rule : object.at("rules")) {
      EXPECT_THAT(rule.at("resources"), Not(Contains("secrets"))) << name;
      EXPECT_THAT(rule.dump(), Not(HasSubstr("*"))) << name;
    }
  }
}

}  // namespace
}  // namespace breakwater::core
