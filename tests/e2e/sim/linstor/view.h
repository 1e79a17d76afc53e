#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include <nlohmann/json.hpp>

#include "tests/e2e/sim/linstor/drbd_port.h"
#include "tests/e2e/sim/linstor/model.h"

namespace breakwater::sim {

/// What `drbdsetup status --json` says per node, kept for a moment so that a list of many resources
/// asks each node once. Thread safe; never call with the database locked (it runs a command).
class StatusCache {
 public:
  explicit StatusCache(DrbdPort& port) : port_(port) {}

  /// Key(resource) -> status object of that node. Empty when the node does not answer, never null.
  using Statuses = std::shared_ptr<const std::map<std::string, nlohmann::json>>;
  Statuses Of(const std::string& node, bool fresh = false);
  bool InUse(const std::string& node, const std::string& resource);
  /// The same, but asks the node: before something is deleted, a remembered answer is not enough.
  bool InUseNow(const std::string& node, const std::string& resource);
  bool AllUpToDate(const std::string& node, const std::string& resource);

 private:
  struct Cached {
    std::chrono::steady_clock::time_point at;
    Statuses resources;
  };

  DrbdPort& port_;
  std::mutex mutex_;
  std::map<std::string, Cached> nodes_;
};

/// "drbd_resource_definition" of replies. Contains DRBD's shared secret, as in LINSTOR (L11).
nlohmann::json DrbdDefinitionJson(const Definition& definition);

/// One element of /v1/view/resources; `status` is null when the node is offline. Pure.
nlohmann::json ResourceJson(const Definition& definition,
                            const Resource& resource,
                            const nlohmann::json& status,
                            bool with_volumes);

}  // namespace breakwater::sim
