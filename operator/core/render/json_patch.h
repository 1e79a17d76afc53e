#pragma once

/// JSON6902 patches (RFC 6902), as kustomize applies them.

#include "operator/api/object.h"
#include "operator/base/error.h"
#include "operator/base/result.h"

namespace breakwater::core {

/// Applies the list of operations. Differences to the RFC, kept from kustomize because users depend
/// on them: `add /metadata/annotations/x` works on an object without annotations, `replace` also
/// where nothing is, indices below zero count from the end, a missing value is null. kInvalid with
/// the operation that failed; the object is then unchanged.
Result<api::Json, Error> ApplyJsonPatch(const api::Json& object, const api::Json& operations);

/// Whether the value looks like a list of JSON6902 operations.
bool IsJsonPatch(const api::Json& value);

}  // namespace breakwater::core
