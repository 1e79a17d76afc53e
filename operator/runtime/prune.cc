#include "operator/runtime/prune.h"

#include <optional>

namespace breakwater::runtime {

std::vector<std::pair<const Store*, api::ObjectPtr>> PruneCandidates(const PruneRequest& request) {
  std::vector<std::pair<const Store*, api::ObjectPtr>> result;
  if (request.owner_uid.empty()) {
    return result;  // "" is the owner of everything that has none
  }
  for (const Store* store : request.stores) {
    if (!store->Synced()) {
      continue;
    }
    for (const api::ObjectPtr& object : store->ListByController(request.owner_uid)) {
      const ObjectId id{store->resource().group, store->resource().kind, object->key()};
      const bool in_scope = id.key.ns.empty() || id.key.ns == request.operator_namespace;
      if (in_scope && !object->deleting() && !request.keep.contains(id)) {
        result.emplace_back(store, object);
      }
    }
  }
  return result;
}

Result<std::vector<ObjectId>, Error> Prune(const Context& ctx,
                                           kube::KubeWriter& client,
                                           const PruneRequest& request) {
  std::vector<ObjectId> deleted;
  std::optional<Error> failure;
  for (const auto& [store, object] : PruneCandidates(request)) {
    const api::ResourceInfo& resource = store->resource();
    const api::ObjectKey key = object->key();
    const kube::KubeResult<void> result = client.Delete(
        ctx, resource, key, {.uid = object->uid(), .resource_version = object->resource_version()});
    if (result) {
      deleted.push_back({resource.group, resource.kind, key});
    } else if (!result.error().IsNotFound() && !result.error().IsConflict() && !failure) {
      failure =
          result.error().ToError().WithContext("prune " + resource.kind + " " + key.ToString());
    }
  }
  if (failure) {
    return Unexpected{*std::move(failure)};
  }
  return deleted;
}

}  // namespace breakwater::runtime
