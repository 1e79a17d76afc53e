#include "operator/runtime/apply.h"

#include <array>
#include <cstdint>
#include <utility>

#include "operator/base/base64.h"
#include "operator/runtime/subset.h"

namespace breakwater::runtime {
namespace {

using api::Json;

/// FNV-1a, 64 bit. Not for security: it only has to differ between two states of one object.
std::uint64_t Fnv1a(std::string_view text) {
  std::uint64_t hash = 0xcbf29ce484222325U;
  for (const char c : text) {
    hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3U;
  }
  return hash;
}

std::string Hex(std::uint64_t value) {
  static constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text(16, '0');
  for (auto it = text.rbegin(); it != text.rend(); ++it, value >>= 4U) {
    *it = kDigits[value & 0xfU];
  }
  return text;
}

void DropNulls(Json& value) {
  if (value.is_object()) {
    for (auto it = value.begin(); it != value.end();) {
      it = it->is_null() ? value.erase(it) : std::next(it);
    }
  }
  if (value.is_structured()) {
    for (Json& child : value) {
      DropNulls(child);
    }
  }
}

void EncodeStringData(Json& secret) {
  const auto it = secret.find("stringData");
  if (it == secret.end() || api::StringAt(secret, "kind") != "Secret") {
    return;
  }
  const Json plain = std::move(*it);
  secret.erase(it);
  if (!plain.is_object()) {
    return;
  }
  for (const auto& [key, value] : plain.items()) {
    if (value.is_string()) {
      secret["data"][key] = EncodeBase64(value.get_ref<const std::string&>());
    }
  }
}

Error ToApplyError(const kube::KubeError& error, bool force, const std::string& what) {
  Error flat = error.ToError().WithContext("apply " + what);
  if (error.IsConflict() && !force) {
    flat.error_class = ErrorClass::kInvalid;
  }
  return flat;
}

std::string Describe(const api::ResourceInfo& resource, const api::ObjectKey& key) {
  return resource.kind + " " + key.ToString();
}

}  // namespace

std::string DesiredHash(const Json& desired) {
  return Hex(Fnv1a(desired.dump(-1, ' ', false, Json::error_handler_t::replace)));
}

Json NormalizeDesired(Json desired) {
  if (!desired.is_object()) {
    return desired;
  }
  DropNulls(desired);
  desired.erase("status");
  EncodeStringData(desired);
  const auto metadata = desired.find("metadata");
  if (metadata != desired.end() && metadata->is_object()) {
    for (const char* name :
         {"managedFields", "resourceVersion", "creationTimestamp", "generation"}) {
      metadata->erase(name);
    }
    const auto annotations = metadata->find("annotations");
    if (annotations != metadata->end() && annotations->is_object()) {
      annotations->erase(std::string(kAppliedHash));
    }
  }
  return desired;
}

Applier::Applier(kube::KubeWriter& client, ApplierOptions options)
    : client_(client), options_(std::move(options)) {}

// The hash is that of the object without what the API server does not have: the next pass leaves
// the same out and finds nothing to do.
kube::KubeResult<Json> Applier::Send(const Context& ctx,
                                     const api::ResourceInfo& resource,
                                     const api::ObjectKey& key,
                                     Json wanted,
                                     const std::string& subresource) const {
  const kube::ApplyOptions options{.field_manager = options_.field_manager,
                                   .force = options_.force || !subresource.empty(),
                                   .subresource = subresource};
  constexpr int kTries = 5;  // a server may name one field at a time
  kube::KubeResult<Json> applied = client_.Apply(ctx, resource, key, wanted, options);
  for (int i = 0; i < kTries && !applied; ++i) {
    if (!gaps_.Learn(resource, applied.error().message(), ctx.clock().SteadyNow())) {
      break;
    }
    wanted = Known(ctx, resource, std::move(wanted));
    if (subresource.empty()) {
      Json& annotations = wanted["metadata"]["annotations"];
      annotations.erase(std::string(kAppliedHash));
      if (annotations.empty()) {
        wanted["metadata"].erase("annotations");
      }
      const std::string hash = DesiredHash(wanted);
      wanted["metadata"]["annotations"][std::string(kAppliedHash)] = hash;
    }
    applied = client_.Apply(ctx, resource, key, wanted, options);
  }
  return applied;
}

Result<ApplyOutcome, Error> Applier::Apply(const Context& ctx,
                                           const Store& live,
                                           const Json& desired) const {
  const api::ObjectKey key = api::Object(desired).key();
  return Apply(ctx, live.resource(), live.Get(key), desired);
}

Result<ApplyOutcome, Error> Applier::Apply(const Context& ctx,
                                           const api::ResourceInfo& resource,
                                           const api::ObjectPtr& live,
                                           const Json& desired) const {
  Json wanted = Known(ctx, resource, NormalizeDesired(desired));
  const api::ObjectKey key = api::Object(wanted).key();
  if (key.name.empty()) {
    return Unexpected{Error{.error_class = ErrorClass::kInvalid,
                            .message = "apply " + resource.kind + ": metadata.name is missing"}};
  }
  const std::string hash = DesiredHash(wanted);
  wanted["metadata"]["annotations"][std::string(kAppliedHash)] = hash;
  ApplyOutcome outcome{
      .action = live ? ApplyOutcome::Action::kUpdated : ApplyOutcome::Action::kCreated,
      .live = live};
  if (!live) {
    outcome.why = "not there";
  } else if (live->annotation(kAppliedHash) != hash) {
    outcome.why = "desired state changed";
  } else if (const std::optional<std::string> where =
                 FirstDifference(wanted, UnpackSpec(live->raw()))) {
    outcome.why = "differs at " + *where;
  } else {
    outcome.action = ApplyOutcome::Action::kUnchanged;
    return outcome;
  }
  kube::KubeResult<Json> applied = Send(ctx, resource, key, std::move(wanted), "");
  if (!applied) {
    return Unexpected{ToApplyError(applied.error(), options_.force, Describe(resource, key))};
  }
  outcome.live = std::make_shared<const api::Object>(*std::move(applied));
  return outcome;
}

Result<ApplyOutcome, Error> Applier::ApplyStatus(const Context& ctx,
                                                 const api::ResourceInfo& resource,
                                                 const api::ObjectPtr& live,
                                                 const Json& status) const {
  Json wanted_status = Known(ctx, resource, {{"status", status}})["status"];
  DropNulls(wanted_status);
  if (!live) {
    return Unexpected{Error{.error_class = ErrorClass::kNotFound,
                            .message = "apply status of " + resource.kind + ": no such object"}};
  }
  const Json* shown = api::FindMember(live->raw(), "status");
  ApplyOutcome outcome{.live = live};
  if (shown != nullptr && *shown == wanted_status) {
    return outcome;
  }
  const api::ObjectKey key = live->key();
  Json wanted = {{"apiVersion", resource.ApiVersion()},
                 {"kind", resource.kind},
                 {"metadata", {{"name", key.name}, {"uid", live->uid()}}},
                 {"status", std::move(wanted_status)}};
  if (!key.ns.empty()) {
    wanted["metadata"]["namespace"] = key.ns;
  }
  // The uid makes the API server refuse when the object was deleted and made again meanwhile.
  kube::KubeResult<Json> applied = Send(ctx, resource, key, std::move(wanted), "status");
  if (!applied) {
    return Unexpected{ToApplyError(applied.error(), true, "status of " + Describe(resource, key))};
  }
  outcome.action = ApplyOutcome::Action::kUpdated;
  outcome.why = "status differs";
  outcome.live = std::make_shared<const api::Object>(*std::move(applied));
  return outcome;
}

}  // namespace breakwater::runtime
