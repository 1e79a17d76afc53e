#pragma once

/// Pure rules of FakeKube: what the API server does with metadata, status and versions.

#include <cstdint>
#include <optional>
#include <string>

#include <nlohmann/json.hpp>

#include "operator/kube/client.h"

namespace breakwater::testing {

/// True for kinds from a CustomResourceDefinition: their group has a dot and is not Kubernetes'
/// own.
bool IsCustom(const kube::ResourceInfo& resource);
/// Kinds whose metadata.generation the server counts.
bool HasGeneration(const kube::ResourceInfo& resource);
bool HasStatusSubresource(const kube::ResourceInfo& resource);

/// "group/plural": versions of one kind share their objects.
std::string TableName(const kube::ResourceInfo& resource);
/// Without the namespace for cluster-scoped kinds.
kube::ObjectKey NormalKey(const kube::ResourceInfo& resource, const kube::ObjectKey& key);
kube::ObjectKey KeyOfObject(const kube::ResourceInfo& resource, const kube::Json& object);

kube::KubeError MakeError(int code, std::string reason, std::string message);
kube::KubeError NotFound(const kube::ResourceInfo& resource, const kube::ObjectKey& key);
kube::KubeError Modified(const kube::ResourceInfo& resource, const kube::ObjectKey& key);

/// What a write may change: with subresource "status" only the status, else all but the status.
kube::Json WithinSubresource(const kube::Json& before,
                             kube::Json next,
                             const std::string& subresource);
/// The fields that a writer can own: without what identifies the object or belongs to the server.
kube::Json ConfigurationOf(const kube::Json& object, const std::string& subresource);
/// uid, creationTimestamp and the like are the server's.
void KeepImmutableMeta(const kube::Json& before, kube::Json& next);
/// Nothing when the object is being deleted and its last finalizer is gone.
std::optional<kube::Json> GoneWhenReleased(kube::Json object);
/// Counts up when anything but metadata and status changed, or when the deletion began.
void BumpGeneration(const kube::ResourceInfo& resource,
                    const kube::Json& before,
                    kube::Json& after);

/// Where a paged list goes on.
struct ContinueToken {
  std::int64_t version = 0;
  kube::ObjectKey last{};

  std::string ToString() const;
  static std::optional<ContinueToken> Parse(const std::string& text);
};

}  // namespace breakwater::testing
