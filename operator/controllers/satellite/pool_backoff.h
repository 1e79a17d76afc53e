#pragma once

/// PoolBackoff: how long to leave a node alone after LINSTOR refused to make a pool on it.
///
/// A device that LINSTOR refuses (in use, too small, not there) is refused again: each attempt runs
/// programs on the node and leaves an error report. A pool that was changed is tried at once.

#include <chrono>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include "operator/api/storage_pool.h"
#include "operator/base/clock.h"

namespace breakwater::controllers {

/// Thread safety: all methods may be called from any thread.
class PoolBackoff {
 public:
  /// The waits are `first`, twice that, and so on up to `longest`.
  PoolBackoff(std::chrono::milliseconds first, std::chrono::milliseconds longest)
      : first_(first), longest_(longest) {}

  /// What was refused, while it is too early to try again; nothing when it may be tried.
  std::optional<std::string> Refusal(const std::string& node,
                                     const api::StoragePool& pool,
                                     SteadyTime now) const;
  void Refused(const std::string& node,
               const api::StoragePool& pool,
               const std::string& why,
               SteadyTime now);
  /// No answer: LINSTOR may be at it, for as long as devices take. Until `until` only looking is
  /// allowed.
  void Unanswered(const std::string& node,
                  const api::StoragePool& pool,
                  const std::string& why,
                  SteadyTime until);
  void Made(const std::string& node, const std::string& pool);
  void ForgetNode(const std::string& node);

 private:
  struct Entry {
    api::StoragePool pool{};
    std::string why{};
    std::chrono::milliseconds wait{};
    SteadyTime until{};
  };

  const std::chrono::milliseconds first_;
  const std::chrono::milliseconds longest_;
  mutable std::mutex mutex_;
  std::map<std::pair<std::string, std::string>, Entry> entries_;  // guarded by mutex_
};

}  // namespace breakwater::controllers
