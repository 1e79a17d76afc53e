// What the operator uses of Nodes, Pods and DaemonSets. On a cluster with thousands of them the
// rest (volumes, environment, images on the node, probes) would be most of the operator's memory.

#include <initializer_list>
#include <utility>

#include "operator/runtime/store.h"

namespace breakwater::runtime {
namespace {

using api::Json;

/// A new object with only the named members of `from`.
Json Pick(const Json& from, std::initializer_list<const char*> names) {
  Json result = Json::object();
  if (!from.is_object()) {
    return result;
  }
  for (const char* name : names) {
    const auto it = from.find(name);
    if (it != from.end()) {
      result[name] = *it;
    }
  }
  return result;
}

Json Member(const Json& from, const char* name) {
  const Json* value = api::FindMember(from, name);
  return value == nullptr ? Json::object() : *value;
}

Json PickEach(const Json& list, std::initializer_list<const char*> names) {
  Json result = Json::array();
  if (list.is_array()) {
    for (const Json& item : list) {
      result.push_back(Pick(item, names));
    }
  }
  return result;
}

Json ReadyCondition(const Json& status) {
  Json result = Json::array();
  for (const Json& condition : Member(status, "conditions")) {
    if (api::StringAt(condition, "type") == "Ready") {
      result.push_back(
          Pick(condition, {"type", "status", "reason", "message", "lastTransitionTime"}));
    }
  }
  return result;
}

void TrimNode(Json& node) {
  Json result = Pick(node, {"apiVersion", "kind"});
  result["metadata"] =
      Pick(Member(node, "metadata"), {"name", "uid", "resourceVersion", "labels", "annotations",
                                      "deletionTimestamp", "creationTimestamp"});
  result["spec"] = Pick(Member(node, "spec"), {"taints", "unschedulable"});
  const Json status = Member(node, "status");
  result["status"] = Pick(status, {"addresses"});
  result["status"]["nodeInfo"] =
      Pick(Member(status, "nodeInfo"), {"osImage", "kernelVersion", "architecture"});
  result["status"]["conditions"] = ReadyCondition(status);
  node = std::move(result);
}

void TrimPod(Json& pod) {
  Json result = Pick(pod, {"apiVersion", "kind"});
  result["metadata"] =
      Pick(Member(pod, "metadata"),
           {"name", "namespace", "uid", "resourceVersion", "generation", "labels", "annotations",
            "ownerReferences", "deletionTimestamp", "creationTimestamp"});
  const Json spec = Member(pod, "spec");
  result["spec"] = Pick(spec, {"nodeName"});
  result["spec"]["containers"] = PickEach(Member(spec, "containers"), {"name", "image"});
  result["spec"]["volumes"] = PickEach(Member(spec, "volumes"), {"name"});
  const Json status = Member(pod, "status");
  result["status"] = Pick(status, {"phase", "podIP", "podIPs", "hostIP", "startTime"});
  result["status"]["conditions"] = ReadyCondition(status);
  result["status"]["containerStatuses"] =
      PickEach(Member(status, "containerStatuses"), {"name", "ready", "restartCount", "state"});
  result["status"]["initContainerStatuses"] =  // sidecars are init containers that go on
      PickEach(Member(status, "initContainerStatuses"), {"name", "ready", "restartCount", "state"});
  pod = std::move(result);
}

// Written once and compared again only when something changed; as a tree it would be most of the
// operator's memory on a large cluster.
void PackDaemonSet(Json& daemon_set) {
  if (const Json* spec = api::FindMember(daemon_set, "spec");
      spec != nullptr && spec->is_object()) {  // not yet: a list is trimmed before it comes here
    daemon_set["spec"] = spec->dump(-1, ' ', false, Json::error_handler_t::replace);
  }
}

}  // namespace

Json UnpackSpec(const Json& object) {
  Json result = object;
  const auto spec = result.is_object() ? result.find("spec") : result.end();
  if (spec != result.end() && spec->is_string()) {
    *spec = Json::parse(spec->get<std::string>(), nullptr, /*allow_exceptions=*/false);
  }
  return result;
}

TransformFn TrimFor(std::string_view kind) {
  if (kind == "Node") {
    return TrimNode;
  }
  if (kind == "Pod") {
    return TrimPod;
  }
  if (kind == "DaemonSet") {
    return PackDaemonSet;
  }
  return {};
}

}  // namespace breakwater::runtime
