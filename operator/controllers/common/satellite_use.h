#pragma once

/// SatelliteUse: what replication needs of the satellites, told by its controllers to the one that
/// restarts them.

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

namespace breakwater::controllers {

/// One look at a LinstorCluster.
struct SatelliteUse {
  std::string cluster_uid{};
  /// By node why its handshake daemon is needed, "" = it is not. Not in it: not known.
  std::map<std::string, std::string> daemon{};
  /// By node a volume there with a transaction of the agents.
  std::map<std::string, std::string> transaction{};
};

/// Thread safety: all methods from any thread.
class SatelliteUseBoard {
 public:
  /// Null: nobody has looked yet.
  std::shared_ptr<const SatelliteUse> Get() const {
    const std::lock_guard lock(mutex_);
    return use_;
  }

  void Set(std::shared_ptr<const SatelliteUse> use) {
    const std::lock_guard lock(mutex_);
    use_ = std::move(use);
  }

 private:
  mutable std::mutex mutex_;
  std::shared_ptr<const SatelliteUse> use_;  // guarded by mutex_
};

}  // namespace breakwater::controllers
