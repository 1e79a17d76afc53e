#pragma once

/// Builds the HTTP requests of the Kubernetes API. Pure: parameters in, request out; the only place
/// where anything is percent-encoded.

#include <string>
#include <string_view>

#include "operator/kube/client.h"
#include "operator/net/http.h"

namespace breakwater::kube {

/// RFC 3986: everything but letters, digits and "-._~" becomes %XX.
std::string PercentEncode(std::string_view text);

/// "/apis/apps/v1/namespaces/<ns>/daemonsets/<name>/<subresource>"; empty parts are left out.
std::string ResourcePath(const ResourceInfo& resource,
                         std::string_view ns,
                         std::string_view name = {},
                         std::string_view subresource = {});

/// Why `key` cannot address one object of `resource`, "" when it can. An empty name would address
/// the whole collection: a delete would then delete everything.
std::string KeyProblem(const ResourceInfo& resource, const ObjectKey& key);

net::Request GetRequest(const ResourceInfo& resource, const ObjectKey& key);
net::Request ListRequest(const ResourceInfo& resource, const ListOptions& options);
net::Request WatchRequest(const ResourceInfo& resource, const WatchOptions& options);
net::Request CreateRequest(const ResourceInfo& resource, const std::string& ns, const Json& object);
/// Fills in apiVersion, kind, name and namespace when missing and drops managedFields, which the
/// server refuses in an apply.
net::Request ApplyRequest(const ResourceInfo& resource,
                          const ObjectKey& key,
                          const Json& object,
                          const ApplyOptions& options);
net::Request ReplaceRequest(const ResourceInfo& resource,
                            const ObjectKey& key,
                            const Json& object,
                            const std::string& subresource);
net::Request PatchRequest(const ResourceInfo& resource,
                          const ObjectKey& key,
                          PatchType type,
                          const Json& patch,
                          const std::string& subresource);
net::Request DeleteRequest(const ResourceInfo& resource,
                           const ObjectKey& key,
                           const DeletePreconditions& options);

}  // namespace breakwater::kube
