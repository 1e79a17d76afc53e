#include "operator/runtime/finalizer.h"

#include <algorithm>
#include <vector>

namespace breakwater::runtime {
namespace {

using api::Json;

/// The object must still be the one that was looked at, not a new one of the same name.
Json TestUid(const api::Object& object) {
  return {{"op", "test"}, {"path", "/metadata/uid"}, {"value", object.uid()}};
}

Error ToFinalizerError(const kube::KubeError& error,
                       const std::string& what,
                       const api::Object& object) {
  Error flat = error.ToError().WithContext(what + " of " + object.key().ToString());
  if (error.IsInvalid()) {
    flat.error_class = ErrorClass::kConflict;  // the API server's answer to a failed test
  }
  return flat;
}

}  // namespace

bool HasFinalizer(const api::Object& object, const std::string& finalizer) {
  const std::vector<std::string> all = object.finalizers();
  return std::find(all.begin(), all.end(), finalizer) != all.end();
}

std::optional<Json> AddFinalizerPatch(const api::Object& object, const std::string& finalizer) {
  if (HasFinalizer(object, finalizer) || object.deleting()) {
    return std::nullopt;
  }
  Json patch = Json::array({TestUid(object)});
  const std::vector<std::string> all = object.finalizers();
  if (all.empty()) {
    // "add" of the whole list would drop a finalizer that somebody else added meanwhile.
    patch.push_back({{"op", "test"},
                     {"path", "/metadata/resourceVersion"},
                     {"value", object.resource_version()}});
    patch.push_back(
        {{"op", "add"}, {"path", "/metadata/finalizers"}, {"value", Json::array({finalizer})}});
  } else {
    patch.push_back({{"op", "test"}, {"path", "/metadata/finalizers"}, {"value", all}});
    patch.push_back({{"op", "add"}, {"path", "/metadata/finalizers/-"}, {"value", finalizer}});
  }
  return patch;
}

std::optional<Json> RemoveFinalizerPatch(const api::Object& object, const std::string& finalizer) {
  const std::vector<std::string> all = object.finalizers();
  const auto it = std::find(all.begin(), all.end(), finalizer);
  if (it == all.end()) {
    return std::nullopt;
  }
  const std::string path = "/metadata/finalizers/" + std::to_string(it - all.begin());
  Json patch = Json::array({TestUid(object)});
  patch.push_back({{"op", "test"}, {"path", path}, {"value", finalizer}});
  patch.push_back({{"op", "remove"}, {"path", path}});
  return patch;
}

Result<void, Error> AddFinalizer(const Context& ctx,
                                 kube::KubeWriter& client,
                                 const api::ResourceInfo& resource,
                                 const api::Object& object,
                                 const std::string& finalizer) {
  const std::optional<Json> patch = AddFinalizerPatch(object, finalizer);
  if (!patch) {
    return {};
  }
  const kube::KubeResult<Json> result =
      client.Patch(ctx, resource, object.key(), kube::PatchType::kJson, *patch, "");
  if (!result) {
    return Unexpected{ToFinalizerError(result.error(), "add finalizer", object)};
  }
  return {};
}

Result<void, Error> RemoveFinalizer(const Context& ctx,
                                    kube::KubeWriter& client,
                                    const api::ResourceInfo& resource,
                                    const api::Object& object,
                                    const std::string& finalizer) {
  const std::optional<Json> patch = RemoveFinalizerPatch(object, finalizer);
  if (!patch) {
    return {};
  }
  const kube::KubeResult<Json> result =
      client.Patch(ctx, resource, object.key(), kube::PatchType::kJson, *patch, "");
  if (!result && !result.error().IsNotFound()) {
    return Unexpected{ToFinalizerError(result.error(), "remove finalizer", object)};
  }
  return {};
}

}  // namespace breakwater::runtime
