#include "operator/controllers/testing/world.h"

#include <algorithm>
#include <set>
#include <sstream>

#include "operator/api/resources.h"

namespace breakwater::testing {
namespace {

using api::ObjectKey;

constexpr const char* kImages = R"yaml(
base: registry.example/storage
components:
  linstor-controller: {image: linstor-controller, tag: v1}
  linstor-satellite: {image: linstor-satellite, tag: v1}
  linstor-csi: {image: linstor-csi, tag: v1}
  drbd-reactor: {image: drbd-reactor, tag: v1}
  drbd-shutdown-guard: {image: drbd-shutdown-guard, tag: v1}
  ktls-utils: {image: ktls-utils, tag: v1}
  drbd-module-loader: {image: drbd9, tag: v1}
)yaml";

const std::vector<const api::ResourceInfo*>& Kinds() {
  static const std::vector<const api::ResourceInfo*> kKinds{&api::kLinstorCluster,
                                                            &api::kLinstorSatelliteConfiguration,
                                                            &api::kLinstorSatellite,
                                                            &api::kLinstorNodeConnection,
                                                            &api::kNode,
                                                            &api::kPersistentVolume,
                                                            &api::kPod,
                                                            &api::kConfigMap,
                                                            &api::kSecret,
                                                            &api::kService,
                                                            &api::kDaemonSet,
                                                            &api::kServiceAccount,
                                                            &api::kDeployment,
                                                            &api::kRole,
                                                            &api::kRoleBinding,
                                                            &api::kClusterRole,
                                                            &api::kClusterRoleBinding,
                                                            &api::kCsiDriver,
                                                            &api::kCsiNode};
  return kKinds;
}

Json MakePod(const api::Object& daemon_set, const std::string& node, int address) {
  Json pod{{"apiVersion", "v1"}, {"kind", "Pod"}};
  const Json* labels = api::FindPath(daemon_set.raw(), {"spec", "template", "metadata", "labels"});
  const std::string ip = "10.0.0." + std::to_string(address);
  pod["metadata"] = {{"name", "pod-" + node}, {"namespace", kWorldNamespace}};
  pod["metadata"]["labels"] = labels == nullptr ? Json::object() : *labels;
  pod["spec"] = {{"nodeName", node}};
  pod["status"] = {{"podIP", ip}, {"podIPs", Json::array({{{"ip", ip}}})}};
  return pod;
}

/// `names` empty = all.
bool Contains(const std::vector<std::string>& names, const std::string& name) {
  return names.empty() || std::find(names.begin(), names.end(), name) != names.end();
}

Json ReadyConditions(bool ready) {
  return Json::array({{{"type", "Ready"}, {"status", ready ? "True" : "False"}}});
}

}  // namespace

Result<std::shared_ptr<linstor::Client>, Error> FakeLinstorProvider::ClientFor(
    const std::string& cluster) {
  if (error) {
    return Unexpected{*error};
  }
  (void)cluster;
  return std::shared_ptr<linstor::Client>(fake_);
}

const api::ResourceInfo& World::api_cluster() {
  return api::kLinstorCluster;
}

World::World(const std::vector<std::string>& nodes) {
  std::map<std::string, runtime::Store*> by_kind;
  for (const api::ResourceInfo* kind : Kinds()) {
    stores_.push_back(std::make_unique<runtime::Store>(*kind, clock));
    by_kind[kind->kind] = stores_.back().get();
    written_.Add(*stores_.back());
  }
  for (const std::string& node : nodes) {
    kube.Put(api::kNode,
             {{"metadata", {{"name", node}, {"labels", {{"kubernetes.io/hostname", node}}}}},
              {"status", {{"nodeInfo", {{"osImage", "Debian GNU/Linux 12"}}}}}});
  }
  kube.Put(api::kConfigMap, {{"metadata", {{"name", "images"}, {"namespace", kWorldNamespace}}},
                             {"data", {{"images.yaml", kImages}}}});
  const auto store = [&](const api::ResourceInfo& kind) -> runtime::Store& {
    return *by_kind.at(kind.kind);
  };
  writers_ = std::make_unique<controllers::Writers>(
      controllers::Writers{kube, applier_, written_, kWorldNamespace});
  images_ = std::make_unique<controllers::ImageSource>(store(api::kConfigMap),
                                                       ObjectKey{kWorldNamespace, "images"},
                                                       std::map<std::string, std::string>());
  const auto record = [this](kube::Event event) { events.push_back(std::move(event)); };
  cluster_ = std::make_unique<controllers::ClusterReconciler>(
      controllers::ClusterReconcilerDeps{
          store(api::kLinstorCluster), store(api::kLinstorSatelliteConfiguration),
          store(api::kLinstorSatellite), store(api::kNode), store(api::kPod), store(api::kCsiNode),
          *writers_, *images_, provider, snapshots, log_, record},
      controllers::ClusterReconcilerOptions{});
  satellite_ = std::make_unique<controllers::SatelliteReconciler>(
      controllers::SatelliteReconcilerDeps{
          store(api::kLinstorCluster), store(api::kLinstorSatellite), store(api::kNode),
          store(api::kPod), store(api::kDaemonSet), store(api::kPersistentVolume), *writers_,
          *images_, provider, snapshots, log_, use, record},
      controllers::SatelliteReconcilerOptions{});
  configuration_ = std::make_unique<controllers::ConfigurationReconciler>(
      controllers::ConfigurationReconcilerDeps{store(api::kLinstorSatelliteConfiguration),
                                               store(api::kLinstorSatellite), applier_});
  connection_ = std::make_unique<controllers::NodeConnectionReconciler>(
      controllers::NodeConnectionReconcilerDeps{
          store(api::kLinstorNodeConnection), store(api::kLinstorCluster),
          store(api::kLinstorSatellite), store(api::kNode), applier_, provider, snapshots, log_},
      controllers::NodeConnectionReconcilerOptions{});
  Refresh();
}

World::~World() = default;

void World::Put(const api::ResourceInfo& kind, const std::string& name, const std::string& spec) {
  const Json parsed = Json::parse(spec);
  if (!kube.Mutate(kind, {"", name}, [&](Json& object) {
        object["spec"] = parsed;
        object["metadata"]["generation"] =
            object["metadata"].value("generation", std::int64_t{1}) + 1;
      })) {
    kube.Put(kind, {{"apiVersion", kind.ApiVersion()},
                    {"kind", kind.kind},
                    {"metadata", {{"name", name}, {"generation", 1}}},
                    {"spec", parsed}});
  }
}

void World::RunNodes(const std::vector<std::string>& ready) {
  std::set<std::string> alive;
  int address = 1;
  for (const Json& raw : kube.All(api::kDaemonSet)) {
    const api::Object daemon_set(raw);
    if (daemon_set.label(api::kLabelComponent) == "linstor-csi-node") {
      RunCsiNodes(daemon_set, ready, &alive);
    }
    if (daemon_set.label(api::kLabelComponent) != "linstor-satellite") {
      continue;
    }
    const std::string node = daemon_set.name().substr(daemon_set.name().find('.') + 1);
    const bool is_ready = Contains(ready, node);
    Json pod = MakePod(daemon_set, node, address++);
    pod["status"]["conditions"] = ReadyConditions(is_ready);
    alive.insert("pod-" + node);
    if (!kube.Mutate(api::kPod, {kWorldNamespace, "pod-" + node}, [&](Json& live) {
          live["status"] = pod["status"];
          live["metadata"]["labels"] = pod["metadata"]["labels"];
        })) {
      kube.Put(api::kPod, pod);
    }
    kube.Mutate(api::kDaemonSet, daemon_set.key(), [&](Json& live) {
      live["status"] = {{"desiredNumberScheduled", 1},
                        {"observedGeneration", daemon_set.generation()},
                        {"updatedNumberScheduled", 1},
                        {"numberReady", is_ready ? 1 : 0}};
    });
  }
  for (const Json& raw : kube.All(api::kPod)) {
    const api::Object pod(raw);
    if (!alive.contains(pod.name())) {
      kube.Remove(api::kPod, pod.key());
    }
  }
}

std::vector<Json> World::SatelliteSets() const {
  std::vector<Json> sets = kube.All(api::kDaemonSet);
  std::erase_if(sets, [](const Json& set) {
    return api::Object(set).label(api::kLabelComponent) != "linstor-satellite";
  });
  return sets;
}

void World::RunCsiNodes(const api::Object& daemon_set,
                        const std::vector<std::string>& ready,
                        std::set<std::string>* alive) {
  const auto properties = linstor->With([](FakeLinstor::State& state) {
    std::map<std::string, linstor::Props> of_nodes;
    for (const auto& [name, node] : state.nodes) {
      of_nodes[name] = node.props;
    }
    return of_nodes;
  });
  for (const auto& [node, props] : properties) {  // its init container waits for LINSTOR's node
    const std::string name = "csi-" + node;
    alive->insert(name);
    Json pod = MakePod(daemon_set, node, 0);
    pod["metadata"]["name"] = name;
    pod["status"]["conditions"] = ReadyConditions(Contains(ready, node));
    if (kube.Mutate(api::kPod, {kWorldNamespace, name}, [&](Json& live) {
          live["status"] = pod["status"];
          live["metadata"]["labels"] = pod["metadata"]["labels"];
        })) {
      continue;
    }
    kube.Put(api::kPod, pod);
    RegisterCsiDriver(node, props);
  }
}

void World::RegisterCsiDriver(const std::string& node, const linstor::Props& props) {
  Json keys = Json::array();
  for (const auto& [name, value] : props) {
    constexpr std::string_view kTopology = "Aux/topology/";
    if (name.starts_with(kTopology)) {
      keys.push_back(name.substr(kTopology.size()));
    }
  }
  const Json driver{
      {"name", std::string(api::kCsiDriverName)}, {"nodeID", node}, {"topologyKeys", keys}};
  bool registered = false;
  const bool there = kube.Mutate(api::kCsiNode, {"", node}, [&](Json& live) {
    for (const Json& known : live["spec"]["drivers"]) {
      registered = registered || known["name"] == driver["name"];
    }
    if (!registered) {  // the keys of a registered driver cannot be changed
      live["spec"]["drivers"].push_back(driver);
    }
  });
  if (!there) {
    kube.Put(api::kCsiNode,
             {{"metadata", {{"name", node}}}, {"spec", {{"drivers", Json::array({driver})}}}});
  }
}

void World::Refresh() {
  for (const auto& store : stores_) {
    auto objects = kube.All(store->resource());
    if (store->resource() == api::kSecret) {  // as cmd/stores.cc: types that are none of ours
      std::erase_if(objects, [](const api::Json& secret) {
        return api::StringAt(secret, "type") == "kubernetes.io/dockerconfigjson";
      });
    }
    store->Replace(std::move(objects), "1");
  }
}

Result<runtime::Requeue, Error> World::ReconcileSatellite(const std::string& name) {
  Refresh();
  return satellite_->Reconcile(ctx(), {"", name});
}

Result<runtime::Requeue, Error> World::ReconcileCluster() {
  Refresh();
  return cluster_->Reconcile(ctx(), {"", "cluster"});
}

std::vector<std::string> World::ReconcileAll() {
  std::vector<std::string> errors;
  const auto note = [&](const Result<runtime::Requeue, Error>& result) {
    if (!result) {
      errors.push_back(result.error().message);
    }
  };
  note(ReconcileCluster());
  for (const Json& satellite : kube.All(api::kLinstorSatellite)) {
    note(ReconcileSatellite(api::Object(satellite).name()));
  }
  for (const Json& configuration : kube.All(api::kLinstorSatelliteConfiguration)) {
    Refresh();
    note(configuration_->Reconcile(ctx(), {"", api::Object(configuration).name()}));
  }
  Refresh();
  note(connection_->Reconcile(ctx(), controllers::kAllNodeConnections));
  return errors;
}

bool World::Settle(int rounds) {
  for (int round = 0; round < rounds; ++round) {
    clock.Advance(std::chrono::minutes(1));  // what is known of LINSTOR is old
    kube.CollectGarbage();
    RunNodes();
    kube.ClearCalls();
    linstor->ClearWrites();
    if (ReconcileAll().empty() && kube.write_count() == 0 && linstor->writes().empty()) {
      return true;
    }
  }
  return false;
}

std::string World::Condition(const api::ResourceInfo& kind,
                             const std::string& name,
                             std::string_view type) const {
  const std::optional<Json> object = kube.Find(kind, {"", name});
  if (!object) {
    return "";
  }
  const std::vector<api::Condition> conditions = api::ConditionsFromJson(*object);
  const api::Condition* found = api::FindCondition(conditions, type);
  return found == nullptr ? "" : found->status + "/" + found->reason + ": " + found->message;
}

std::string World::Summary() {
  Json summary = Json::object();
  for (const api::ResourceInfo* kind : Kinds()) {
    for (const Json& raw : kube.All(*kind)) {
      const api::Object object(raw);
      Json& entry = summary[kind->kind][object.key().ToString()];
      const Json* spec = api::FindPath(raw, {"spec"});
      const Json* data = api::FindPath(raw, {"data"});
      entry = {{"spec", spec == nullptr ? Json() : *spec},
               {"data", data == nullptr ? Json() : *data}};
      for (const api::Condition& condition : api::ConditionsFromJson(raw)) {
        entry["conditions"][condition.type] = condition.status + " " + condition.message;
      }
    }
  }
  linstor->With([&](FakeLinstor::State& state) {
    summary["controller"] = state.controller_props;
    for (const auto& [name, node] : state.nodes) {
      summary["nodes"][name] = {{"props", node.props}, {"interfaces", node.net_interfaces.size()}};
    }
    for (const auto& [key, pool] : state.pools) {
      summary["pools"][key.first + "/" + key.second] = pool.props;
    }
    return 0;
  });
  // Uids depend on how many objects were made before.
  std::string text = summary.dump(1);
  for (const Json& raw : kube.All(api::kLinstorSatellite)) {
    const api::Object satellite(raw);
    for (std::size_t at = text.find(satellite.uid()); at != std::string::npos;
         at = text.find(satellite.uid(), at)) {
      text.replace(at, satellite.uid().size(), "uid of " + satellite.name());
    }
  }
  return text;
}

std::string FirstDifference(const std::string& left, const std::string& right) {
  std::istringstream a(left);
  std::istringstream b(right);
  std::string line_a;
  std::string line_b;
  while (true) {
    const bool more_a = static_cast<bool>(std::getline(a, line_a));
    const bool more_b = static_cast<bool>(std::getline(b, line_b));
    if (!more_a && !more_b) {
      return "";
    }
    if (more_a != more_b || line_a != line_b) {
      return line_a + " <> " + line_b;
    }
  }
}

}  // namespace breakwater::testing
