#pragma once

/// CheckShape: whether an object is still one after a user's patch.

#include "operator/api/object.h"
#include "operator/base/error.h"
#include "operator/base/result.h"

namespace breakwater::core {

/// What is done to every object after the patches needs a name, and objects where labels,
/// selectors, templates and data are. kInvalid names the field that is something else. The rest is
/// for the API server to judge. Pure.
Result<void, Error> CheckShape(const api::Json& object);

}  // namespace breakwater::core
