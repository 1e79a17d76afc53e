#pragma once

/// MeteredClient: counts every request to the Kubernetes API in
/// breakwater_api_requests_total{verb,code}.

#include <memory>
#include <string>

#include "operator/kube/client.h"
#include "operator/runtime/metrics.h"

namespace breakwater::runtime {

/// Passes every call through to `inner` unchanged. A call that was cancelled by the caller counts
/// as code "error", like every call without a reply. Thread safety: as `inner`. Ownership: both
/// references must outlive it.
class MeteredClient final : public kube::KubeClient {
 public:
  MeteredClient(kube::KubeClient& inner, Metrics& metrics) : inner_(inner), metrics_(metrics) {}

  kube::KubeResult<kube::Json> Get(const Context& ctx,
                                   const kube::ResourceInfo& resource,
                                   const kube::ObjectKey& key) override;
  kube::KubeResult<kube::ListPage> List(const Context& ctx,
                                        const kube::ResourceInfo& resource,
                                        const kube::ListOptions& options) override;
  kube::KubeResult<std::unique_ptr<kube::WatchStream>> Watch(
      const Context& ctx,
      const kube::ResourceInfo& resource,
      const kube::WatchOptions& options) override;
  kube::KubeResult<kube::Json> Create(const Context& ctx,
                                      const kube::ResourceInfo& resource,
                                      const std::string& ns,
                                      const kube::Json& object) override;
  kube::KubeResult<kube::Json> Apply(const Context& ctx,
                                     const kube::ResourceInfo& resource,
                                     const kube::ObjectKey& key,
                                     const kube::Json& object,
                                     const kube::ApplyOptions& options) override;
  kube::KubeResult<kube::Json> Replace(const Context& ctx,
                                       const kube::ResourceInfo& resource,
                                       const kube::ObjectKey& key,
                                       const kube::Json& object,
                                       const std::string& subresource) override;
  kube::KubeResult<kube::Json> Patch(const Context& ctx,
                                     const kube::ResourceInfo& resource,
                                     const kube::ObjectKey& key,
                                     kube::PatchType type,
                                     const kube::Json& patch,
                                     const std::string& subresource) override;
  kube::KubeResult<void> Delete(const Context& ctx,
                                const kube::ResourceInfo& resource,
                                const kube::ObjectKey& key,
                                const kube::DeletePreconditions& options) override;

 private:
  kube::KubeClient& inner_;
  Metrics& metrics_;
};

}  // namespace breakwater::runtime
