#include "operator/controllers/satellite/pool_backoff.h"

#include <algorithm>

namespace breakwater::controllers {

std::optional<std::string> PoolBackoff::Refusal(const std::string& node,
                                                const api::StoragePool& pool,
                                                SteadyTime now) const {
  const std::lock_guard lock(mutex_);
  const auto found = entries_.find({node, pool.name});
  if (found == entries_.end() || !(found->second.pool == pool) || now >= found->second.until) {
    return std::nullopt;
  }
  return found->second.why;
}

void PoolBackoff::Refused(const std::string& node,
                          const api::StoragePool& pool,
                          const std::string& why,
                          SteadyTime now) {
  const std::lock_guard lock(mutex_);
  Entry& entry = entries_[{node, pool.name}];
  const bool again = entry.wait.count() > 0 && entry.pool == pool;
  entry.wait = std::min(again ? entry.wait * 2 : first_, longest_);
  entry.pool = pool;
  entry.why = why;
  entry.until = now + entry.wait;
}

void PoolBackoff::Unanswered(const std::string& node,
                             const api::StoragePool& pool,
                             const std::string& why,
                             SteadyTime until) {
  const std::lock_guard lock(mutex_);
  Entry& entry = entries_[{node, pool.name}];
  entry.pool = pool;
  entry.why = why;
  entry.until = until;
}

void PoolBackoff::Made(const std::string& node, const std::string& pool) {
  const std::lock_guard lock(mutex_);
  entries_.erase({node, pool});
}

void PoolBackoff::ForgetNode(const std::string& node) {
  const std::lock_guard lock(mutex_);
  std::erase_if(entries_, [&](const auto& entry) { return entry.first.first == node; });
}

}  // namespace breakwater::controllers
