#include "operator/controllers/replication/agent_targets.h"

#include <map>
#include <utility>

#include "operator/controllers/node_shell/node_shell.h"
#include "operator/core/replication/node/text.h"

namespace breakwater::controllers {
namespace {

int RestartsOf(const api::Object& pod, std::string_view container) {
  for (const char* list : {"containerStatuses", "initContainerStatuses"}) {
    const api::Json* statuses = api::FindPath(pod.raw(), {"status", list});
    for (const api::Json& status :
         statuses != nullptr && statuses->is_array() ? *statuses : api::Json::array()) {
      const api::Json* restarts = api::FindMember(status, "restartCount");
      if (api::StringAt(status, "name") == container && restarts != nullptr &&
          restarts->is_number_integer()) {
        return restarts->get<int>();
      }
    }
  }
  return 0;
}

bool Runs(const api::Object& pod, const std::string& node) {
  const api::Json* name = api::FindPath(pod.raw(), {"spec", "nodeName"});
  return !pod.deleting() && name != nullptr && name->is_string() &&
         name->get<std::string>() == node &&
         StateOfContainer(pod, std::string(kAgentContainer)) != ContainerState::kAbsent;
}

}  // namespace

std::vector<AgentTarget> AgentTargets(const runtime::Store& satellites,
                                      const runtime::Store& daemon_sets,
                                      const runtime::Store& pods,
                                      const std::string& ns) {
  std::vector<AgentTarget> targets;
  for (const api::ObjectPtr& satellite : satellites.List()) {
    const std::string node = satellite->name();
    if (!replication::IsSafeName(node)) {
      continue;
    }
    std::vector<api::ObjectPtr> candidates;
    for (const api::ObjectPtr& set : daemon_sets.ListByController(satellite->uid())) {
      for (const api::ObjectPtr& pod : pods.ListByController(set->uid())) {
        if (pod->key().ns == ns && Runs(*pod, node)) {
          candidates.push_back(pod);
        }
      }
    }
    if (candidates.size() == 1) {
      const api::Object& pod = *candidates.front();
      targets.push_back({node, ns, pod.name(), pod.uid(), std::string(kAgentContainer),
                         RestartsOf(pod, kAgentContainer)});
    }
  }
  return targets;
}

}  // namespace breakwater::controllers
