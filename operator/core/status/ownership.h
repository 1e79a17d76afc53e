#pragma once

/// Controller owner references: how an object says which custom resource made it.

#include "operator/api/object.h"
#include "operator/base/error.h"
#include "operator/base/result.h"

namespace breakwater::core {

/// Makes `owner` the controller of `object` (metadata.ownerReferences with controller and
/// blockOwnerDeletion). Other owners stay. kConflict when another object already controls it;
/// kInvalid when `owner` has no uid.
Result<void, Error> SetControllerOwner(api::Json* object, const api::Object& owner);

}  // namespace breakwater::core
