#include "operator/controllers/common/write_secret.h"

#include "operator/api/resources.h"

namespace breakwater::controllers {

using api::Json;

Result<void, Error> WriteSecret(const Context& ctx,
                                kube::KubeClient& client,
                                const api::ObjectKey& key,
                                const api::ObjectPtr& live,
                                Json content) {
  if (live == nullptr) {
    content["apiVersion"] = "v1";
    content["kind"] = "Secret";
    content["type"] = "Opaque";
    content["metadata"]["name"] = key.name;
    content["metadata"]["namespace"] = key.ns;
    // As in a merge patch: null is what is not there.
    Json object = Json::object();
    object.merge_patch(content);
    const auto made = client.Create(ctx, api::kSecret, key.ns, object);
    return made ? Result<void, Error>()
                : Unexpected{made.error().ToError().WithContext("create Secret " + key.name)};
  }
  content["metadata"]["resourceVersion"] = live->resource_version();
  const auto changed = client.Patch(ctx, api::kSecret, key, kube::PatchType::kMerge, content, "");
  return changed ? Result<void, Error>()
                 : Unexpected{changed.error().ToError().WithContext("change Secret " + key.name)};
}

}  // namespace breakwater::controllers
