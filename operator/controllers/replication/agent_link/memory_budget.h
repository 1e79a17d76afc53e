#pragma once

/// MemoryBudget: what the reports of all nodes take together. One hostile node must not push out
/// the others (REVIEW-2 M2): when the budget is exceeded, the node that takes most has to go.

#include <cstddef>
#include <map>
#include <mutex>
#include <optional>
#include <string>

namespace breakwater::controllers {

/// Thread safety: all methods from any thread.
class MemoryBudget {
 public:
  explicit MemoryBudget(std::size_t max_bytes) : max_bytes_(max_bytes) {}

  /// `node` now takes so many bytes. Over the budget: the node whose reports are to be dropped; it
  /// counts as dropped from then on.
  std::optional<std::string> Set(const std::string& node, std::size_t bytes);

  std::size_t total() const;

 private:
  const std::size_t max_bytes_;
  mutable std::mutex mutex_;
  std::map<std::string, std::size_t> nodes_;
  std::size_t total_ = 0;
};

}  // namespace breakwater::controllers
