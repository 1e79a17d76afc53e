#pragma once

/// Finalizers by JSON patch, guarded by `test` operations: a concurrent change makes the patch fail
/// instead of dropping somebody else's finalizer.

#include <optional>
#include <string>

#include "operator/api/object.h"
#include "operator/api/resource_info.h"
#include "operator/base/context.h"
#include "operator/base/error.h"
#include "operator/base/result.h"
#include "operator/kube/client.h"

namespace breakwater::runtime {

bool HasFinalizer(const api::Object& object, const std::string& finalizer);

/// The patch that adds the finalizer, or nothing when it is there or the object is being deleted
/// (the server refuses new finalizers then). Pure.
std::optional<api::Json> AddFinalizerPatch(const api::Object& object, const std::string& finalizer);
/// The patch that removes the finalizer, or nothing when it is not there. Pure.
std::optional<api::Json> RemoveFinalizerPatch(const api::Object& object,
                                              const std::string& finalizer);

/// Sends the patch if one is needed. Errors: the client's; a failed test is kConflict.
Result<void, Error> AddFinalizer(const Context& ctx,
                                 kube::KubeWriter& client,
                                 const api::ResourceInfo& resource,
                                 const api::Object& object,
                                 const std::string& finalizer);
/// As above; success when the object is already gone.
Result<void, Error> RemoveFinalizer(const Context& ctx,
                                    kube::KubeWriter& client,
                                    const api::ResourceInfo& resource,
                                    const api::Object& object,
                                    const std::string& finalizer);

}  // namespace breakwater::runtime
