#include "operator/controllers/node_shell/satellite_pods.h"

#include <optional>
#include <utility>

namespace breakwater::controllers {
namespace {

using api::Json;

std::string TextAt(const api::Object& object, std::initializer_list<std::string_view> path) {
  const Json* value = api::FindPath(object.raw(), path);
  return value != nullptr && value->is_string() ? value->get<std::string>() : std::string();
}

bool InNamespace(const api::Object& object, const std::string& ns) {
  return ns.empty() || object.ns() == ns;
}

/// Can run programs, now or soon.
bool IsCandidate(const api::Object& pod, const SatelliteStores& stores, const std::string& node) {
  const std::string phase = TextAt(pod, {"status", "phase"});
  return !pod.deleting() && InNamespace(pod, stores.ns) &&
         TextAt(pod, {"spec", "nodeName"}) == node && phase != "Failed" && phase != "Succeeded";
}

/// The status of a container, or null. A sidecar may be an init container with restartPolicy
/// Always.
const Json* ContainerStatus(const api::Object& pod, const std::string& container) {
  for (const char* list : {"containerStatuses", "initContainerStatuses"}) {
    const Json* statuses = api::FindPath(pod.raw(), {"status", list});
    if (statuses == nullptr || !statuses->is_array()) {
      continue;
    }
    for (const Json& status : *statuses) {
      if (api::StringAt(status, "name") == container) {
        return &status;
      }
    }
  }
  return nullptr;
}

/// How often it was started again; -1 while it does not run.
int RestartsOf(const api::Object& pod, const std::string& container) {
  const Json* status = ContainerStatus(pod, container);
  if (status == nullptr || api::FindPath(*status, {"state", "running"}) == nullptr) {
    return -1;
  }
  const Json* count = api::FindMember(*status, "restartCount");
  return count != nullptr && count->is_number_integer() ? count->get<int>() : 0;
}

SatellitePod PodOf(const SatelliteStores& stores, const api::Object& satellite) {
  const std::string node = satellite.name();
  std::vector<api::ObjectPtr> controlled = stores.pods.ListByController(satellite.uid());
  for (const api::ObjectPtr& set : stores.daemon_sets.ListByController(satellite.uid())) {
    if (InNamespace(*set, stores.ns)) {
      const auto pods = stores.pods.ListByController(set->uid());
      controlled.insert(controlled.end(), pods.begin(), pods.end());
    }
  }
  SatellitePod found;
  for (const api::ObjectPtr& pod : controlled) {
    if (!IsCandidate(*pod, stores, node)) {
      continue;
    }
    if (found.pod != nullptr) {
      return {.problem = "node " + node + " has two satellite pods, " + found.pod->name() +
                         " and " + pod->name() + ": neither is trusted until one is deleted"};
    }
    found.pod = pod;
  }
  if (found.pod == nullptr) {
    found.problem = "node " + node + " has no satellite pod";
  }
  return found;
}

}  // namespace

SatellitePod FindSatellitePod(const SatelliteStores& stores, const std::string& node) {
  const api::ObjectPtr satellite = stores.satellites.Get({"", node});
  return satellite == nullptr || satellite->uid().empty()
             ? SatellitePod{.problem = "node " + node + " has no LinstorSatellite"}
             : PodOf(stores, *satellite);
}

std::map<std::string, SatellitePod> FindSatellitePods(const SatelliteStores& stores) {
  std::map<std::string, SatellitePod> pods;
  for (const api::ObjectPtr& satellite : stores.satellites.List()) {
    pods.emplace(satellite->name(), FindSatellitePod(stores, satellite->name()));
  }
  return pods;
}

std::vector<AgentTarget> FindAgents(const SatelliteStores& stores, const std::string& container) {
  std::vector<AgentTarget> agents;
  for (const auto& [node, satellite] : FindSatellitePods(stores)) {
    if (satellite.pod == nullptr || !HasContainer(*satellite.pod, container)) {
      continue;
    }
    const api::Object& pod = *satellite.pod;
    agents.push_back({.node = node,
                      .ns = pod.ns(),
                      .pod = pod.name(),
                      .pod_uid = pod.uid(),
                      .container = container,
                      .restarts = RestartsOf(pod, container)});
  }
  return agents;
}

bool HasContainer(const api::Object& pod, const std::string& container) {
  const Json* containers = api::FindPath(pod.raw(), {"spec", "containers"});
  if (containers != nullptr && containers->is_array()) {
    for (const Json& one : *containers) {
      if (api::StringAt(one, "name") == container) {
        return true;
      }
    }
  }
  return ContainerStatus(pod, container) != nullptr;
}

}  // namespace breakwater::controllers
