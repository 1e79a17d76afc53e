#pragma once

/// ResourceSet: the objects of one component while it is being rendered.

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "operator/api/object.h"
#include "operator/core/render/selector.h"

namespace breakwater::core {

/// An object with the identity that it had in its manifest: patches may address it by that one even
/// after it was renamed.
struct RenderedResource {
  explicit RenderedResource(api::Json json);

  ResourceIdentity Current() const;

  api::Json object;
  ResourceIdentity original;
};

using ResourceSet = std::vector<RenderedResource>;

/// group, version, kind, namespace and name of an object.
ResourceIdentity IdentityOf(const api::Json& object);

}  // namespace breakwater::core
