#include "operator/core/render/shape.h"

#include <string>
#include <vector>

#include "operator/core/render/resource_set.h"

namespace breakwater::core {
namespace {

using api::Json;

using Path = std::vector<std::string_view>;

/// Members that are objects when they are there.
std::vector<Path> ObjectsOf(const Json& object) {
  std::vector<Path> paths{{"metadata"}, {"metadata", "labels"}, {"metadata", "annotations"}};
  const auto add = [&](std::vector<Path> more) {
    paths.insert(paths.end(), more.begin(), more.end());
  };
  const std::string kind = api::StringAt(object, "kind");
  if (api::StringAt(object, "apiVersion") == "apps/v1") {
    add({{"spec"},
         {"spec", "selector"},
         {"spec", "selector", "matchLabels"},
         {"spec", "template"},
         {"spec", "template", "metadata"},
         {"spec", "template", "metadata", "labels"},
         {"spec", "template", "spec"}});
  } else if (kind == "Service") {
    add({{"spec"}, {"spec", "selector"}});
  } else if (kind == "ConfigMap" || kind == "Secret") {
    add({{"data"}, {"stringData"}, {"binaryData"}});
  }
  return paths;
}

Unexpected<Error> Invalid(std::string message) {
  return Unexpected{Error{ErrorClass::kInvalid, std::move(message)}};
}

}  // namespace

Result<void, Error> CheckShape(const Json& object) {
  if (!object.is_object()) {
    return Invalid("what is left is no object");
  }
  for (const Path& path : ObjectsOf(object)) {
    const Json* at = &object;
    std::string name;
    for (const std::string_view step : path) {
      at = at == nullptr ? nullptr : api::FindMember(*at, step);
      name += (name.empty() ? "" : ".") + std::string(step);
    }
    if (at != nullptr && !at->is_object() && !at->is_null()) {
      return Invalid(name + " must be an object");
    }
  }
  const ResourceIdentity identity = IdentityOf(object);
  if (identity.name.empty() || identity.kind.empty() || identity.version.empty()) {
    return Invalid("apiVersion, kind and metadata.name must stay");
  }
  return {};
}

}  // namespace breakwater::core
