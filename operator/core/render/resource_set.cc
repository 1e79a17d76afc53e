#include "operator/core/render/resource_set.h"

namespace breakwater::core {

ResourceIdentity IdentityOf(const api::Json& object) {
  ResourceIdentity identity;
  const std::string api_version = api::StringAt(object, "apiVersion");
  const auto slash = api_version.find('/');
  identity.group = slash == std::string::npos ? "" : api_version.substr(0, slash);
  identity.version = slash == std::string::npos ? api_version : api_version.substr(slash + 1);
  identity.kind = api::StringAt(object, "kind");
  if (const api::Json* metadata = api::FindMember(object, "metadata")) {
    identity.ns = api::StringAt(*metadata, "namespace");
    identity.name = api::StringAt(*metadata, "name");
  }
  return identity;
}

RenderedResource::RenderedResource(api::Json json)
    : object(std::move(json)), original(IdentityOf(object)) {}

ResourceIdentity RenderedResource::Current() const {
  return IdentityOf(object);
}

}  // namespace breakwater::core
