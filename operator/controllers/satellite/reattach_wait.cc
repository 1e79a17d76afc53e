#include "operator/controllers/satellite/reattach_wait.h"

namespace breakwater::controllers {

std::map<std::string, bool> NotYetElsewhere(const std::vector<linstor::Resource>& all,
                                            const std::string& node,
                                            const std::set<std::string>& claimed) {
  std::set<std::string> data;    // names with data on the node
  std::set<std::string> opened;  // names opened on the node
  std::set<std::string> moved;   // names opened on another one
  for (const linstor::Resource& resource : all) {
    if (!claimed.contains(resource.name)) {
      continue;
    }
    if (resource.node == node && !resource.diskless() && !resource.HasFlag("DELETE")) {
      data.insert(resource.name);
    }
    if (resource.in_use.value_or(false)) {
      (resource.node == node ? opened : moved).insert(resource.name);
    }
  }
  std::map<std::string, bool> here;
  for (const std::string& name : data) {
    if (opened.contains(name) || !moved.contains(name)) {
      here[name] = opened.contains(name);
    }
  }
  return here;
}

std::vector<std::string> ReattachWait::Look(const std::map<std::string, bool>& here,
                                            const api::EvacuationStrategy& strategy,
                                            SteadyTime now) {
  std::erase_if(awaited_, [&](const auto& item) { return !here.contains(item.first); });
  std::vector<std::string> names;
  for (const auto& [name, attached] : here) {
    const Awaited& known = awaited_.try_emplace(name, Awaited{attached, now}).first->second;
    const auto limit = known.attached ? strategy.attached_volume_reattach_timeout
                                      : strategy.unattached_volume_attach_timeout;
    if (now - known.since < limit) {
      names.push_back(name);
    }
  }
  return names;
}

}  // namespace breakwater::controllers
