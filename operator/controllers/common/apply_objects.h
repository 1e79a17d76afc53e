#pragma once

/// ApplyObjects: brings rendered objects into the cluster and deletes what is no longer rendered.

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "operator/api/object.h"
#include "operator/base/context.h"
#include "operator/base/error.h"
#include "operator/controllers/common/object_stores.h"
#include "operator/kube/client.h"
#include "operator/runtime/apply.h"
#include "operator/runtime/prune.h"

namespace breakwater::controllers {

/// What became of a list of objects.
struct ApplyReport {
  /// "DaemonSet ns/name: why", for a condition.
  std::vector<std::string> errors{};
  /// The same for what waits for something that will pass by itself: no error.
  std::vector<std::string> pending{};
  /// The worst of the errors, for the retry; nothing when all went well.
  std::optional<Error> error{};
  /// Every object of the list, also those that failed: nothing of it may be pruned.
  std::set<runtime::ObjectId> wanted{};
  int written = 0;    ///< requests that changed something
  std::string why{};  ///< the first of them: what was different, for the log
  /// metadata.generation of the objects that were written.
  std::map<runtime::ObjectId, std::int64_t> generations{};

  bool ok() const { return !error.has_value(); }

  void AddError(const std::string& what, const Error& failure);
};

/// The writers that the controllers share. References; all outlive the controllers.
struct Writers {
  kube::KubeClient& client;
  const runtime::Applier& applier;
  const ObjectStores& stores;
  std::string operator_namespace{};
};

/// Identity of a raw object.
runtime::ObjectId IdOf(const api::Json& object);

/// Applies the objects in their order, with `owner` as controller. An object that fails does not
/// stop the others, but nothing more is tried once `ctx` ended. A LinstorSatellite that is being
/// deleted is pending, which may take as long as its evacuation: applying it again would bring back
/// what is on its way out.
ApplyReport ApplyObjects(const Context& ctx,
                         const Writers& writers,
                         const api::Object& owner,
                         std::vector<api::Json> objects);

/// Deletes what `owner` controls and `report.wanted` does not have. Does nothing after a failure,
/// because then something wanted may be missing in the list.
void PruneObjects(const Context& ctx,
                  const Writers& writers,
                  const api::Object& owner,
                  const std::vector<api::ResourceInfo>& kinds,
                  ApplyReport& report);

}  // namespace breakwater::controllers
