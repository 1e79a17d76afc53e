#pragma once

/// LinstorView: the levels of DrbdOptions/Net/tls in LINSTOR (rule L15), read with few requests and
/// remembered, and the only place that changes them.

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
#include "operator/core/tls_migration/properties.h"

namespace breakwater::controllers {

/// What LINSTOR knows of one resource.
struct LinstorResource {
  std::set<std::string> nodes{};
  tls_migration::ResourceLevels levels{};
};

struct LinstorSnapshot {
  bool known = false;   ///< the last reading was complete
  std::string error{};  ///< why not
  std::optional<bool> controller{};
  bool controller_ours = false;
  std::map<std::string, LinstorResource> resources{};
};

/// Thread safety: may be called from any thread. Calls are not made under the lock.
class LinstorView {
 public:
  /// `provider` must outlive the view.
  LinstorView(LinstorProvider& provider, std::string cluster);

  /// Reads everything: five requests, and one more for every resource whose definition is new,
  /// changed, or in `with_connections`.
  LinstorSnapshot ReadAll(const Context& ctx, const std::set<std::string>& with_connections);

  /// Reads the levels of one resource again (three requests). When LINSTOR cannot be reached the
  /// last known ones come back with `known == false`.
  tls_migration::ResourceLevels ReadLevels(const Context& ctx, const std::string& resource);

  /// The last known levels, without a request.
  tls_migration::ResourceLevels Remembered(const std::string& resource) const;

  /// One change. The reply may be an error although it was made (L20): read the levels again.
  Result<void, Error> Change(const Context& ctx,
                             const std::string& resource,
                             const tls_migration::LinstorOp& op);

  /// The cluster-wide value with our marker; nothing = delete both.
  Result<void, Error> SetClusterValue(const Context& ctx, std::optional<bool> value);

 private:
  struct Definition {
    std::map<std::string, std::string> props{};
    std::string group{};
  };

  LinstorSnapshot Remember(LinstorSnapshot snapshot);

  LinstorProvider& provider_;
  const std::string cluster_;

  mutable std::mutex mutex_;
  LinstorSnapshot last_{};                           // guarded by mutex_
  std::map<std::string, Definition> definitions_{};  // guarded by mutex_
};

}  // namespace breakwater::controllers
