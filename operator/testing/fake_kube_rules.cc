#include "operator/testing/fake_kube_rules.h"

#include <array>
#include <utility>

#include "operator/api/object.h"

namespace breakwater::testing {

using kube::Json;
using kube::KubeError;
using kube::ObjectKey;
using kube::ResourceInfo;

bool IsCustom(const ResourceInfo& resource) {
  const std::string& group = resource.group;
  const std::string own = ".k8s.io";
  const bool kubernetes =
      group.size() > own.size() && group.compare(group.size() - own.size(), own.size(), own) == 0;
  return group.find('.') != std::string::npos && !kubernetes;
}

bool HasGeneration(const ResourceInfo& resource) {
  return IsCustom(resource) || resource.group == "apps" || resource.group == "batch" ||
         resource.group == "policy" || resource.kind == "CustomResourceDefinition";
}

bool HasStatusSubresource(const ResourceInfo& resource) {
  return HasGeneration(resource) || resource.kind == "Pod" || resource.kind == "Node" ||
         resource.kind == "Service" || resource.kind == "Namespace" ||
         resource.kind == "PersistentVolumeClaim" || resource.kind == "PersistentVolume";
}

std::string TableName(const ResourceInfo& resource) {
  return resource.group + "/" + resource.plural;
}

ObjectKey NormalKey(const ResourceInfo& resource, const ObjectKey& key) {
  return resource.namespaced ? key : ObjectKey{"", key.name};
}

ObjectKey KeyOfObject(const ResourceInfo& resource, const Json& object) {
  const Json* meta = api::FindMember(object, "metadata");
  return meta == nullptr ? ObjectKey{}
                         : NormalKey(resource, {api::StringAt(*meta, "namespace"),
                                                api::StringAt(*meta, "name")});
}

KubeError MakeError(int code, std::string reason, std::string message) {
  return kube::Status{.code = code, .reason = std::move(reason), .message = std::move(message)};
}

KubeError NotFound(const ResourceInfo& resource, const ObjectKey& key) {
  return MakeError(404, "NotFound", resource.plural + " \"" + key.name + "\" not found");
}

KubeError Modified(const ResourceInfo& resource, const ObjectKey& key) {
  return MakeError(409, "Conflict",
                   "Operation cannot be fulfilled on " + resource.plural + " \"" + key.name +
                       "\": the object has been modified");
}

Json WithinSubresource(const Json& before, Json next, const std::string& subresource) {
  if (subresource == "status") {
    Json result = before;
    result.erase("status");
    if (next.contains("status")) {
      result["status"] = std::move(next["status"]);
    }
    return result;
  }
  next.erase("status");
  if (before.contains("status")) {
    next["status"] = before["status"];
  }
  return next;
}

Json ConfigurationOf(const Json& object, const std::string& subresource) {
  Json result = Json::object();
  if (subresource == "status") {
    if (object.contains("status")) {
      result["status"] = object["status"];
    }
    return result;
  }
  result = object;
  for (const char* field : {"apiVersion", "kind", "status"}) {
    result.erase(field);
  }
  if (const auto meta = result.find("metadata"); meta != result.end() && meta->is_object()) {
    for (const char* field : {"name", "namespace", "uid", "resourceVersion", "managedFields",
                              "creationTimestamp", "deletionTimestamp", "generation"}) {
      meta->erase(field);
    }
    if (meta->empty()) {
      result.erase("metadata");
    }
  }
  return result;
}

void KeepImmutableMeta(const Json& before, Json& next) {
  constexpr std::array<const char*, 8> kFields{"name",
                                               "namespace",
                                               "uid",
                                               "creationTimestamp",
                                               "deletionTimestamp",
                                               "deletionGracePeriodSeconds",
                                               "generation",
                                               "resourceVersion"};
  const Json* old_meta = api::FindMember(before, "metadata");
  if (old_meta == nullptr) {
    return;
  }
  Json& meta = next["metadata"];
  for (const char* field : kFields) {
    meta.erase(field);
    if (const Json* value = api::FindMember(*old_meta, field)) {
      meta[field] = *value;
    }
  }
  next["apiVersion"] = before.value("apiVersion", "");
  next["kind"] = before.value("kind", "");
}

std::optional<Json> GoneWhenReleased(Json object) {
  const api::Object view(object);
  if (view.deleting() && view.finalizers().empty()) {
    return std::nullopt;
  }
  return object;
}

void BumpGeneration(const ResourceInfo& resource, const Json& before, Json& after) {
  if (!HasGeneration(resource)) {
    return;
  }
  Json old_rest = before;
  Json new_rest = after;
  for (Json* rest : {&old_rest, &new_rest}) {
    rest->erase("metadata");
    rest->erase("status");
  }
  const bool deletion_began = api::Object(after).deleting() && !api::Object(before).deleting();
  if (old_rest != new_rest || deletion_began) {
    after["metadata"]["generation"] = api::Object(before).generation() + 1;
  }
}

std::string ContinueToken::ToString() const {
  return std::to_string(version) + "/" + last.ns + "/" + last.name;
}

std::optional<ContinueToken> ContinueToken::Parse(const std::string& text) {
  const std::size_t first = text.find('/');
  const std::size_t second = text.find('/', first == std::string::npos ? first : first + 1);
  if (second == std::string::npos) {
    return std::nullopt;
  }
  return ContinueToken{std::strtoll(text.c_str(), nullptr, 10),
                       {text.substr(first + 1, second - first - 1), text.substr(second + 1)}};
}

}  // namespace breakwater::testing
