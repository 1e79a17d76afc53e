#include "tests/e2e/sim/drbd/cuts.h"

#include <algorithm>

namespace breakwater::sim {

void CutLog::Left(const std::string& resource,
                  const std::string& x,
                  const std::string& y,
                  Time now) {
  open_.try_emplace({resource, std::min(x, y), std::max(x, y)}, now);  // the first end that left
}

void CutLog::Joined(const std::string& resource,
                    const std::string& x,
                    const std::string& y,
                    Time now) {
  const auto it = open_.find({resource, std::min(x, y), std::max(x, y)});
  if (it == open_.end()) {
    return;
  }
  ended_[resource].push_back({std::get<1>(it->first), std::get<2>(it->first), it->second, now});
  open_.erase(it);
}

void CutLog::Forget(const std::string& node,
                    const std::optional<std::string>& resource,
                    const std::optional<std::string>& peer) {
  std::erase_if(open_, [&](const auto& entry) {
    const auto& [name, a, b] = entry.first;
    return (a == node || b == node) && (!resource || *resource == name) &&
           (!peer || a == *peer || b == *peer);
  });
}

std::vector<PairCut> CutLog::Of(const std::string& resource, Time now) const {
  const auto it = ended_.find(resource);
  std::vector<PairCut> result = it == ended_.end() ? std::vector<PairCut>{} : it->second;
  for (auto open = open_.lower_bound({resource, "", ""});
       open != open_.end() && std::get<0>(open->first) == resource; ++open) {
    result.push_back({std::get<1>(open->first), std::get<2>(open->first), open->second, now});
  }
  return result;
}

}  // namespace breakwater::sim
