#include "operator/controllers/replication/agent_link/memory_budget.h"

#include <algorithm>

namespace breakwater::controllers {

std::optional<std::string> MemoryBudget::Set(const std::string& node, std::size_t bytes) {
  const std::lock_guard lock(mutex_);
  std::size_t& own = nodes_[node];
  total_ = total_ - own + bytes;
  own = bytes;
  if (bytes == 0) {
    nodes_.erase(node);
  }
  if (total_ <= max_bytes_) {
    return std::nullopt;
  }
  const auto largest =
      std::max_element(nodes_.begin(), nodes_.end(),
                       [](const auto& a, const auto& b) { return a.second < b.second; });
  std::string victim = largest->first;
  total_ -= largest->second;
  nodes_.erase(largest);
  return victim;
}

std::size_t MemoryBudget::total() const {
  const std::lock_guard lock(mutex_);
  return total_;
}

}  // namespace breakwater::controllers
