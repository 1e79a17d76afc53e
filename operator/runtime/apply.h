#pragma once

/// Applier: server-side apply that makes no request when it would change nothing.
///
/// The object in the store carries the hash of what was last applied (annotation kAppliedHash).
/// When the hash is that of the desired object *and* every desired field still has its value, there
/// is nothing to do. The hash finds fields that we no longer want, the comparison finds changes by
/// others.
///
///   Applier applier(client, {.field_manager = "piraeus.io/operator"});
///   BREAKWATER_ASSIGN_OR_RETURN(ApplyOutcome outcome,
///                               applier.Apply(ctx, daemon_sets, desired));

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "operator/api/object.h"
#include "operator/api/resource_info.h"
#include "operator/base/context.h"
#include "operator/base/error.h"
#include "operator/base/result.h"
#include "operator/kube/client.h"
#include "operator/runtime/schema_gaps.h"
#include "operator/runtime/store.h"

namespace breakwater::runtime {

/// Annotation with the hash of the object as last applied by this operator.
inline constexpr std::string_view kAppliedHash = "breakwater.io/applied-hash";

struct ApplierOptions {
  std::string field_manager = "piraeus.io/operator";
  /// Take fields over from other field managers. True only for objects that are ours alone.
  bool force = true;
};

struct ApplyOutcome {
  enum class Action { kUnchanged, kCreated, kUpdated };

  Action action = Action::kUnchanged;
  /// Why a request was made: "not there", "desired state changed", "differs at /spec/replicas".
  std::string why{};
  /// The object as the server has it now (from the reply, or from the store when unchanged).
  api::ObjectPtr live{};
};

/// Thread safety: all methods may be called from any thread.
class Applier {
 public:
  explicit Applier(kube::KubeWriter& client, ApplierOptions options = {});

  /// Applies `desired` (with metadata.name and, if namespaced, metadata.namespace) unless the
  /// object in `live` already is as desired. `live` must be synced, or each call makes a request.
  /// Errors: the client's; a field conflict (only when not forced) is kInvalid, because a retry
  /// alone does not help, and its message names the other field managers.
  Result<ApplyOutcome, Error> Apply(const Context& ctx,
                                    const Store& live,
                                    const api::Json& desired) const;

  /// The same with the live object at hand; null = not there.
  Result<ApplyOutcome, Error> Apply(const Context& ctx,
                                    const api::ResourceInfo& resource,
                                    const api::ObjectPtr& live,
                                    const api::Json& desired) const;

  /// Applies the status subresource unless `live` already shows it. `status` is the whole status
  /// that this field manager owns.
  Result<ApplyOutcome, Error> ApplyStatus(const Context& ctx,
                                          const api::ResourceInfo& resource,
                                          const api::ObjectPtr& live,
                                          const api::Json& status) const;

  /// `object` as it can be applied: without fields that the cluster's definition of its kind does
  /// not have.
  api::Json Known(const Context& ctx, const api::ResourceInfo& resource, api::Json object) const {
    return gaps_.Without(resource, std::move(object), ctx.clock().SteadyNow());
  }

  /// What is left out because of that, a line for each kind.
  std::vector<std::string> Gaps() const { return gaps_.Describe(); }

 private:
  kube::KubeResult<api::Json> Send(const Context& ctx,
                                   const api::ResourceInfo& resource,
                                   const api::ObjectKey& key,
                                   api::Json wanted,
                                   const std::string& subresource) const;

  kube::KubeWriter& client_;
  const ApplierOptions options_;
  mutable SchemaGaps gaps_;  // own locking
};

/// Hash of a desired object: equal for equal content whatever the order of members.
std::string DesiredHash(const api::Json& desired);

/// Secrets: moves stringData into data (base64), because the server never returns stringData.
/// Drops status, managedFields and null members, which apply must not send.
api::Json NormalizeDesired(api::Json desired);

}  // namespace breakwater::runtime
