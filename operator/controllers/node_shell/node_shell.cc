#include "operator/controllers/node_shell/node_shell.h"

#include <algorithm>
#include <utility>

#include "operator/api/resources.h"
#include "operator/core/replication/node/text.h"

namespace breakwater::controllers {

PodNodeShell::PodNodeShell(kube::PodExec& exec, SatelliteStores stores, PodNodeShellOptions options)
    : exec_(exec), stores_(std::move(stores)), options_(options) {}

Result<kube::ExecResult, Error> PodNodeShell::Run(const Context& ctx,
                                                  const std::string& node,
                                                  const std::string& container,
                                                  const std::vector<std::string>& argv) {
  if (!replication::IsSafeName(node)) {
    return Unexpected{Error{ErrorClass::kInvalid, "not a node name"}};
  }
  const auto [pod, problem] = FindSatellitePod(stores_, node);
  if (pod == nullptr) {
    return Unexpected{Error{ErrorClass::kNotFound, problem}};
  }
  if (StateOfContainer(*pod, container) == ContainerState::kAbsent) {
    return Unexpected{Error{ErrorClass::kNotFound, "the satellite pod of node " + node +
                                                       " has no container " + container}};
  }
  kube::ExecRequest request;
  request.ns = pod->ns();
  request.pod = pod->name();
  request.container = container;
  request.argv = argv;
  request.max_output_bytes = options_.max_output_bytes;
  kube::KubeResult<kube::ExecResult> result =
      exec_.Exec(ctx.WithTimeout(options_.timeout), request);
  if (!result) {
    return Unexpected{result.error().ToError().WithContext("exec on node " + node)};
  }
  const auto values = std::count_if(result->out.begin(), result->out.end(),
                                    [](char c) { return c == ',' || c == '[' || c == '{'; });
  if (static_cast<std::size_t>(values) > options_.max_values) {
    return Unexpected{Error{ErrorClass::kInvalid, "the answer of node " + node +
                                                      " is too large to be read (" +
                                                      std::to_string(values) + " values)"}};
  }
  return std::move(*result);
}

std::map<std::string, api::ObjectPtr> SatellitePods(const runtime::Store& pods,
                                                    const std::string& ns) {
  const auto created = [](const api::Object& object) {
    const api::Json* time = api::FindPath(object.raw(), {"metadata", "creationTimestamp"});
    return time != nullptr && time->is_string() ? time->get<std::string>() : std::string();
  };
  std::map<std::string, api::ObjectPtr> youngest;
  for (const api::ObjectPtr& pod :
       pods.ListByLabel(std::string(api::kLabelComponent), "linstor-satellite")) {
    const api::Json* node = api::FindPath(pod->raw(), {"spec", "nodeName"});
    if (node == nullptr || !node->is_string() || pod->deleting() ||
        (!ns.empty() && pod->ns() != ns)) {
      continue;
    }
    api::ObjectPtr& best = youngest[node->get<std::string>()];
    if (best == nullptr || created(*pod) > created(*best)) {
      best = pod;
    }
  }
  return youngest;
}

api::ObjectPtr FindSatellitePod(const runtime::Store& pods,
                                const std::string& ns,
                                const std::string& node) {
  const std::map<std::string, api::ObjectPtr> all = SatellitePods(pods, ns);
  const auto found = all.find(node);
  return found == all.end() ? nullptr : found->second;
}

ContainerState StateOfContainer(const api::Object& pod, const std::string& container) {
  // A sidecar may be an init container with restartPolicy Always.
  for (const char* list : {"containerStatuses", "initContainerStatuses"}) {
    const api::Json* statuses = api::FindPath(pod.raw(), {"status", list});
    if (statuses == nullptr || !statuses->is_array()) {
      continue;
    }
    for (const api::Json& status : *statuses) {
      if (api::StringAt(status, "name") != container) {
        continue;
      }
      const auto ready = status.find("ready");
      const bool is_ready = ready != status.end() && ready->is_boolean() && ready->get<bool>();
      return is_ready ? ContainerState::kReady : ContainerState::kNotReady;
    }
  }
  return ContainerState::kAbsent;
}

}  // namespace breakwater::controllers
