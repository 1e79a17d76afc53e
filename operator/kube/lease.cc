#include "operator/kube/lease.h"

#include <nlohmann/json.hpp>

#include "operator/api/object.h"
#include "operator/base/rfc3339.h"

namespace breakwater::kube {
namespace {

const ResourceInfo& Leases() {
  static const ResourceInfo kLeases{
      .group = "coordination.k8s.io", .kind = "Lease", .plural = "leases"};
  return kLeases;
}

int IntAt(const Json& object, std::string_view key) {
  const Json* value = api::FindMember(object, key);
  return value != nullptr && value->is_number_integer() ? value->get<int>() : 0;
}

Lease FromJson(const Json& object) {
  Lease lease;
  lease.resource_version = api::Object(object).resource_version();
  if (const Json* spec = api::FindMember(object, "spec")) {
    lease.holder = api::StringAt(*spec, "holderIdentity");
    lease.duration = std::chrono::seconds(IntAt(*spec, "leaseDurationSeconds"));
    lease.acquire_time = ParseRfc3339(api::StringAt(*spec, "acquireTime"));
    lease.renew_time = ParseRfc3339(api::StringAt(*spec, "renewTime"));
    lease.transitions = IntAt(*spec, "leaseTransitions");
  }
  return lease;
}

Json Time(const std::optional<SystemTime>& time) {
  return time ? Json(FormatRfc3339Micros(*time)) : Json();
}

Json SpecOf(const Lease& lease) {
  return {{"holderIdentity", lease.holder},
          // The API refuses 0; a released lease is short instead, as client-go writes it.
          {"leaseDurationSeconds", std::max<std::int64_t>(lease.duration.count(), 1)},
          {"acquireTime", Time(lease.acquire_time)},
          {"renewTime", Time(lease.renew_time)},
          {"leaseTransitions", lease.transitions}};
}

}  // namespace

KubeResult<Lease> LeaseClient::Get(const Context& ctx) {
  BREAKWATER_ASSIGN_OR_RETURN(const Json object, client_.Get(ctx, Leases(), key_));
  return FromJson(object);
}

KubeResult<Lease> LeaseClient::Create(const Context& ctx, const Lease& lease) {
  const Json object = {{"apiVersion", Leases().ApiVersion()},
                       {"kind", Leases().kind},
                       {"metadata", {{"name", key_.name}, {"namespace", key_.ns}}},
                       {"spec", SpecOf(lease)}};
  BREAKWATER_ASSIGN_OR_RETURN(const Json created, client_.Create(ctx, Leases(), key_.ns, object));
  return FromJson(created);
}

KubeResult<Lease> LeaseClient::Update(const Context& ctx, const Lease& lease) {
  // A merge patch keeps labels and annotations of others; the version in it makes it optimistic.
  const Json patch = {{"metadata", {{"resourceVersion", lease.resource_version}}},
                      {"spec", SpecOf(lease)}};
  BREAKWATER_ASSIGN_OR_RETURN(const Json updated,
                              client_.Patch(ctx, Leases(), key_, PatchType::kMerge, patch, ""));
  return FromJson(updated);
}

}  // namespace breakwater::kube
