#include "operator/controllers/cluster/csi_node_sync.h"

#include <vector>

#include "operator/api/resources.h"
#include "operator/controllers/common/status_tools.h"
#include "operator/core/cluster/csi_nodes.h"

namespace breakwater::controllers {
namespace {

using core::CsiRegistration;

std::string NodeOf(const api::Object& pod) {
  const api::Json* spec = api::FindPath(pod.raw(), {"spec"});
  return spec == nullptr ? "" : api::StringAt(*spec, "nodeName");
}

void AddUnknown(const std::vector<std::string>& names,
                const std::string& text,
                core::ConditionSet& conditions) {
  if (!names.empty()) {
    constexpr std::size_t kLimit = 300;  // names of nodes, for a table
    conditions.AddUnknown(api::kConditionConfigured, text + JoinBounded(names, kLimit));
  }
}

}  // namespace

bool CsiNodeSync::Run(const Context& ctx,
                      const std::string& cluster,
                      const LinstorSnapshot& linstor,
                      linstor::Client& client,
                      core::ConditionSet& conditions) {
  std::vector<std::string> not_ready;
  std::vector<std::string> unregistered;
  std::vector<std::string> stubborn;
  bool settled = true;
  bool acted = false;
  for (const api::ObjectPtr& pod :
       pods_.ListByLabel(std::string(api::kLabelComponent), "linstor-csi-node")) {
    if (pod->deleting() || pod->label(api::kLabelInstance) != cluster) {
      continue;
    }
    if (!IsReady(*pod)) {
      not_ready.push_back(pod->name());
      continue;
    }
    const std::string node = NodeOf(*pod);
    const auto facts = linstor.Find(node);
    if (!facts) {
      continue;  // its satellite says so
    }
    const api::ObjectPtr csi_node = csi_nodes_.Get({"", node});
    const std::set<std::string> wanted = core::WantedTopologyKeys(facts->node.props);
    switch (core::CheckRegistration(csi_node.get(), wanted)) {
      case CsiRegistration::kAsWanted: {
        const std::lock_guard lock(mutex_);
        restarted_.erase(node);
        break;
      }
      case CsiRegistration::kMissing:
        unregistered.push_back(node);
        break;
      case CsiRegistration::kOutdated:
        if (!IsNew(node, wanted)) {
          stubborn.push_back(node);
        } else if (acted) {
          settled = false;
        } else {
          acted = true;
          settled = Restart(ctx, *pod, *csi_node, node, client, conditions) && settled;
        }
        break;
    }
  }
  AddUnknown(not_ready, "CSI node pods not ready: ", conditions);
  AddUnknown(unregistered, "CSI driver not registered on nodes: ", conditions);
  AddUnknown(stubborn,
             "CSI driver reports another topology than LINSTOR has, also after a restart, on "
             "nodes: ",
             conditions);
  return settled;
}

bool CsiNodeSync::Restart(const Context& ctx,
                          const api::Object& pod,
                          const api::Object& csi_node,
                          const std::string& node,
                          linstor::Client& client,
                          core::ConditionSet& conditions) {
  const linstor::LinstorResult<linstor::Node> fresh = client.GetNode(ctx, node);
  if (!fresh) {
    conditions.AddError(api::kConditionConfigured,
                        "Failed to read node " + node + ": " + fresh.error().message());
    return false;
  }
  const std::set<std::string> wanted = core::WantedTopologyKeys(fresh->props);
  if (core::CheckRegistration(&csi_node, wanted) != CsiRegistration::kOutdated ||
      !IsNew(node, wanted)) {
    return false;  // the next pass sees what this one saw
  }
  const kube::KubeResult<void> deleted =
      kube_.Delete(ctx, api::kPod, pod.key(), {.uid = pod.uid()});
  if (!deleted && !deleted.error().IsNotFound() && !deleted.error().IsConflict()) {
    conditions.AddError(api::kConditionConfigured, "Failed to restart the CSI driver on node " +
                                                       node + ": " + deleted.error().message());
    return false;
  }
  const kube::KubeResult<api::Json> patched =
      kube_.Patch(ctx, api::kCsiNode, csi_node.key(), kube::PatchType::kJson,
                  core::UnregisterPatch(csi_node), "");
  if (!patched) {
    conditions.AddError(api::kConditionConfigured,
                        "Failed to remove the outdated CSI registration of node " + node + ": " +
                            patched.error().message());
    return false;
  }
  {
    const std::lock_guard lock(mutex_);
    restarted_[node] = wanted;
  }
  log_.Info("CSI driver registers again, the topology of its node has changed", {{"node", node}});
  conditions.AddUnknown(api::kConditionConfigured,
                        "CSI driver on node " + node + " registers again");
  return false;
}

bool CsiNodeSync::IsNew(const std::string& node, const std::set<std::string>& wanted) const {
  const std::lock_guard lock(mutex_);
  const auto found = restarted_.find(node);
  return found == restarted_.end() || found->second != wanted;
}

}  // namespace breakwater::controllers
