#pragma once

/// LinstorView: the levels of DrbdOptions/Net/tls in LINSTOR (rule L15), read with few requests and
/// remembered, and the only place that changes them.

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>

#include "operator/base/context.h"
#include "operator/base/error.h"
#include "operator/base/result.h"
#include "operator/controllers/linstor_connection/linstor_provider.h"
#include "operator/core/replication/plan/properties.h"

namespace breakwater::controllers {

/// What LINSTOR knows of one resource.
struct LinstorResource {
  std::set<std::string> nodes{};
  std::string group{};  ///< name of its resource group
  replication::ResourceLevels levels{};
};

struct LevelsSnapshot {
  bool known = false;   ///< the last reading was complete
  std::string error{};  ///< why not
  std::optional<bool> controller{};
  bool controller_ours = false;
  std::set<std::string> online{};   ///< nodes whose satellite is ONLINE
  std::set<std::string> offline{};  ///< OFFLINE; a node in neither is on its way (L33)
  std::map<std::string, LinstorResource> resources{};
};

/// Thread safety: may be called from any thread. Calls are not made under the lock.
class LinstorView {
 public:
  /// `provider` must outlive the view.
  LinstorView(LinstorProvider& provider, std::string cluster);

  /// Reads everything: six requests, and one more for every resource whose definition is new,
  /// changed, changed by us, or in `with_connections`, and for a tenth of the others: a value that
  /// a person sets on a connection changes nothing else.
  LevelsSnapshot ReadAll(const Context& ctx, const std::set<std::string>& with_connections);

  /// What is known of one resource: the last reading and our own changes since. `levels.known`
  /// false: LINSTOR could not be asked lately. Nothing: LINSTOR does not know it.
  std::optional<LinstorResource> Resource(const std::string& name) const;
  /// Everything that is known, as Resource.
  LevelsSnapshot Last() const;

  /// One change. The reply may be an error although it was made (L20): then the resource is read
  /// again (four requests) before this returns, and is not known when that fails too.
  Result<void, Error> Change(const Context& ctx,
                             const std::string& resource,
                             const replication::LinstorOp& op);

  /// The cluster-wide value with our marker; nothing = delete both.
  Result<void, Error> SetClusterValue(const Context& ctx, std::optional<bool> value);

 private:
  /// The connections of a resource, and what they were read with.
  struct PairsRead {
    std::map<std::string, std::string> props{};
    std::set<std::string> nodes{};
    std::map<replication::PairKey, replication::Level> pairs{};
  };

  using PairLevelsOf = std::map<std::string, PairsRead>;

  /// Brings pairs_ up to date, one request for each resource that may have changed. What was read
  /// before an error stays, so that the next try has less to do.
  Result<void, Error> ReadPairs(
      const Context& ctx,
      linstor::Client& api,
      const std::map<std::string, std::map<std::string, std::string>>& props,
      const std::set<std::string>& fresh,
      LevelsSnapshot* snapshot);

  /// `since`: resources that we changed after that keep what we know of them.
  LevelsSnapshot Remember(LevelsSnapshot snapshot, std::uint64_t since);
  Result<void, Error> Write(const Context& ctx,
                            const std::string& resource,
                            const replication::LinstorOp& op);
  void ReadAgain(const Context& ctx, const std::string& name);
  void NoteChange(const std::string& resource);

  LinstorProvider& provider_;
  const std::string cluster_;

  mutable std::mutex mutex_;
  LevelsSnapshot last_{};            // guarded by mutex_
  PairLevelsOf pairs_{};             // guarded by mutex_
  std::set<std::string> changed_{};  // guarded by mutex_; by ourselves, since pairs_ was read
  /// When we last changed a resource, as a number that grows.
  std::map<std::string, std::uint64_t> changed_at_{};  // guarded by mutex_
  std::uint64_t changes_ = 0;                          // guarded by mutex_
  std::size_t round_ = 0;                              // guarded by mutex_
};

}  // namespace breakwater::controllers
