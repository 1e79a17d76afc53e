#pragma once

/// Prune: deletes what an owner no longer asks for.
///
/// Caller's duty: never prune after a failed or partial render or apply - what is missing in `keep`
/// is deleted.

#include <set>
#include <string>
#include <utility>
#include <vector>

#include "operator/api/resource_info.h"
#include "operator/base/context.h"
#include "operator/base/error.h"
#include "operator/base/result.h"
#include "operator/kube/client.h"
#include "operator/runtime/store.h"

namespace breakwater::runtime {

/// An object of any kind.
struct ObjectId {
  std::string group{};
  std::string kind{};
  api::ObjectKey key{};

  auto operator<=>(const ObjectId&) const = default;
};

struct PruneRequest {
  /// uid of the controller-owner; objects of other owners are never touched.
  std::string owner_uid{};
  /// Candidates come from these; a store that is not synced prunes nothing.
  std::vector<const Store*> stores{};
  /// What the owner asks for now.
  std::set<ObjectId> keep{};
  /// Only objects in this namespace, and cluster-scoped ones, are deleted.
  std::string operator_namespace{};
};

/// What would be deleted, in the order of deletion; pure over the stores.
std::vector<std::pair<const Store*, api::ObjectPtr>> PruneCandidates(const PruneRequest& request);

/// Deletes the candidates with uid and resourceVersion preconditions, and returns what it deleted.
/// An object that is gone or has changed meanwhile is left for the next reconcile. The first other
/// error is returned after all candidates were tried.
Result<std::vector<ObjectId>, Error> Prune(const Context& ctx,
                                           kube::KubeWriter& client,
                                           const PruneRequest& request);

}  // namespace breakwater::runtime
