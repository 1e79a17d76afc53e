#include "operator/kube/request.h"

#include <nlohmann/json.hpp>

namespace breakwater::kube {
namespace {

/// Query parameters in the order of addition; empty values are left out.
class Query {
 public:
  Query& Add(std::string_view name, std::string_view value) {
    if (!value.empty()) {
      text_ += (text_.empty() ? "?" : "&") + std::string(name) + "=" + PercentEncode(value);
    }
    return *this;
  }

  std::string text() const { return text_; }

 private:
  std::string text_;
};

net::Request WithBody(std::string method,
                      std::string target,
                      const Json& body,
                      const char* content_type) {
  // Names from elsewhere may hold invalid UTF-8: replace it, the server then names the bad field.
  return {.method = std::move(method),
          .target = std::move(target),
          .headers = {{"Accept", "application/json"}, {"Content-Type", content_type}},
          .body = body.dump(-1, ' ', false, Json::error_handler_t::replace)};
}

net::Request WithoutBody(std::string target) {
  return {.target = std::move(target), .headers = {{"Accept", "application/json"}}};
}

const char* ContentType(PatchType type) {
  switch (type) {
    case PatchType::kJson:
      return "application/json-patch+json";
    case PatchType::kMerge:
      return "application/merge-patch+json";
    case PatchType::kStrategicMerge:
      return "application/strategic-merge-patch+json";
  }
  return "application/merge-patch+json";
}

std::string_view NamespaceOf(const ResourceInfo& resource, const ObjectKey& key) {
  return resource.namespaced ? std::string_view(key.ns) : std::string_view();
}

std::string ObjectPath(const ResourceInfo& resource,
                       const ObjectKey& key,
                       std::string_view subresource = {}) {
  return ResourcePath(resource, NamespaceOf(resource, key), key.name, subresource);
}

bool BadSegment(std::string_view segment) {
  return segment == "." || segment == ".." || segment.find_first_of("/%") != std::string_view::npos;
}

}  // namespace

std::string PercentEncode(std::string_view text) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  std::string result;
  result.reserve(text.size());
  for (const char c : text) {
    const bool unreserved = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                            (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' || c == '~';
    if (unreserved) {
      result += c;
    } else {
      const auto byte = static_cast<unsigned char>(c);
      result += '%';
      result += kDigits[byte >> 4U];
      result += kDigits[byte & 0xfU];
    }
  }
  return result;
}

std::string ResourcePath(const ResourceInfo& resource,
                         std::string_view ns,
                         std::string_view name,
                         std::string_view subresource) {
  std::string path =
      resource.group.empty() ? "/api/" : "/apis/" + PercentEncode(resource.group) + "/";
  path += PercentEncode(resource.version);
  if (!ns.empty()) {
    path += "/namespaces/" + PercentEncode(ns);
  }
  path += "/" + PercentEncode(resource.plural);
  if (!name.empty()) {
    path += "/" + PercentEncode(name);
  }
  if (!subresource.empty()) {
    path += "/" + PercentEncode(subresource);
  }
  return path;
}

std::string KeyProblem(const ResourceInfo& resource, const ObjectKey& key) {
  if (key.name.empty()) {
    return "the name is empty";
  }
  if (resource.namespaced && key.ns.empty()) {
    return "the namespace is empty";
  }
  return BadSegment(key.name) || BadSegment(key.ns) ? "the name is not a valid path segment" : "";
}

net::Request GetRequest(const ResourceInfo& resource, const ObjectKey& key) {
  return WithoutBody(ObjectPath(resource, key));
}

net::Request ListRequest(const ResourceInfo& resource, const ListOptions& options) {
  const Query query = Query()
                          .Add("labelSelector", options.label_selector)
                          .Add("fieldSelector", options.field_selector)
                          .Add("limit", options.limit > 0 ? std::to_string(options.limit) : "")
                          .Add("continue", options.continue_token)
                          .Add("resourceVersion", options.resource_version)
                          .Add("resourceVersionMatch", options.resource_version_match);
  return WithoutBody(ResourcePath(resource, options.ns) + query.text());
}

net::Request WatchRequest(const ResourceInfo& resource, const WatchOptions& options) {
  const Query query = Query()
                          .Add("watch", "true")
                          .Add("allowWatchBookmarks", "true")
                          .Add("timeoutSeconds", std::to_string(options.timeout.count()))
                          .Add("labelSelector", options.label_selector)
                          .Add("fieldSelector", options.field_selector)
                          .Add("resourceVersion", options.resource_version);
  return WithoutBody(ResourcePath(resource, options.ns) + query.text());
}

net::Request CreateRequest(const ResourceInfo& resource,
                           const std::string& ns,
                           const Json& object) {
  return WithBody("POST", ResourcePath(resource, resource.namespaced ? ns : std::string()), object,
                  "application/json");
}

net::Request ApplyRequest(const ResourceInfo& resource,
                          const ObjectKey& key,
                          const Json& object,
                          const ApplyOptions& options) {
  Json body = object.is_object() ? object : Json::object();
  body["apiVersion"] = resource.ApiVersion();
  body["kind"] = resource.kind;
  Json& meta = body["metadata"];
  meta["name"] = key.name;
  if (resource.namespaced) {
    meta["namespace"] = key.ns;
  }
  meta.erase("managedFields");
  const Query query = Query()
                          .Add("fieldManager", options.field_manager)
                          .Add("force", options.force ? "true" : "")
                          .Add("dryRun", options.dry_run ? "All" : "");
  return WithBody("PATCH", ObjectPath(resource, key, options.subresource) + query.text(), body,
                  "application/apply-patch+yaml");  // JSON is YAML
}

net::Request ReplaceRequest(const ResourceInfo& resource,
                            const ObjectKey& key,
                            const Json& object,
                            const std::string& subresource) {
  return WithBody("PUT", ObjectPath(resource, key, subresource), object, "application/json");
}

net::Request PatchRequest(const ResourceInfo& resource,
                          const ObjectKey& key,
                          PatchType type,
                          const Json& patch,
                          const std::string& subresource) {
  return WithBody("PATCH", ObjectPath(resource, key, subresource), patch, ContentType(type));
}

net::Request DeleteRequest(const ResourceInfo& resource,
                           const ObjectKey& key,
                           const DeletePreconditions& options) {
  Json body = {{"apiVersion", "v1"}, {"kind", "DeleteOptions"}};
  if (!options.propagation_policy.empty()) {
    body["propagationPolicy"] = options.propagation_policy;
  }
  if (!options.uid.empty()) {
    body["preconditions"]["uid"] = options.uid;
  }
  if (!options.resource_version.empty()) {
    body["preconditions"]["resourceVersion"] = options.resource_version;
  }
  return WithBody("DELETE", ObjectPath(resource, key), body, "application/json");
}

}  // namespace breakwater::kube
