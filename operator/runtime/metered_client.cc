#include "operator/runtime/metered_client.h"

#include <utility>

#include <nlohmann/json.hpp>

namespace breakwater::runtime {
namespace {

using kube::Json;
using kube::KubeResult;
using kube::ObjectKey;
using kube::ResourceInfo;

template <typename T>
KubeResult<T> Counted(Metrics& metrics, const char* verb, KubeResult<T> result) {
  constexpr int kOk = 200;  // the client does not tell 200 from 201, and nobody needs it
  CountApiRequest(metrics, verb, result ? kOk : result.error().code());
  return result;
}

}  // namespace

KubeResult<Json> MeteredClient::Get(const Context& ctx,
                                    const ResourceInfo& resource,
                                    const ObjectKey& key) {
  return Counted(metrics_, "get", inner_.Get(ctx, resource, key));
}

KubeResult<kube::ListPage> MeteredClient::List(const Context& ctx,
                                               const ResourceInfo& resource,
                                               const kube::ListOptions& options) {
  return Counted(metrics_, "list", inner_.List(ctx, resource, options));
}

KubeResult<std::unique_ptr<kube::WatchStream>> MeteredClient::Watch(
    const Context& ctx, const ResourceInfo& resource, const kube::WatchOptions& options) {
  return Counted(metrics_, "watch", inner_.Watch(ctx, resource, options));
}

KubeResult<Json> MeteredClient::Create(const Context& ctx,
                                       const ResourceInfo& resource,
                                       const std::string& ns,
                                       const Json& object) {
  return Counted(metrics_, "create", inner_.Create(ctx, resource, ns, object));
}

KubeResult<Json> MeteredClient::Apply(const Context& ctx,
                                      const ResourceInfo& resource,
                                      const ObjectKey& key,
                                      const Json& object,
                                      const kube::ApplyOptions& options) {
  return Counted(metrics_, "apply", inner_.Apply(ctx, resource, key, object, options));
}

KubeResult<Json> MeteredClient::Replace(const Context& ctx,
                                        const ResourceInfo& resource,
                                        const ObjectKey& key,
                                        const Json& object,
                                        const std::string& subresource) {
  return Counted(metrics_, "update", inner_.Replace(ctx, resource, key, object, subresource));
}

KubeResult<Json> MeteredClient::Patch(const Context& ctx,
                                      const ResourceInfo& resource,
                                      const ObjectKey& key,
                                      kube::PatchType type,
                                      const Json& patch,
                                      const std::string& subresource) {
  return Counted(metrics_, "patch", inner_.Patch(ctx, resource, key, type, patch, subresource));
}

KubeResult<void> MeteredClient::Delete(const Context& ctx,
                                       const ResourceInfo& resource,
                                       const ObjectKey& key,
                                       const kube::DeletePreconditions& options) {
  return Counted(metrics_, "delete", inner_.Delete(ctx, resource, key, options));
}

}  // namespace breakwater::runtime
