#pragma once

/// Object: any Kubernetes object as JSON, with its metadata at hand. Missing or malformed fields
/// read as empty, so that one bad object never stops a watch.

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "operator/api/resource_info.h"

namespace breakwater::api {

using Json = nlohmann::json;

/// The member of `object` at `key`, of whatever type; null when there is none or `object` is none.
const Json* FindMember(const Json& object, std::string_view key);
/// The string at `key`, or "".
std::string StringAt(const Json& object, std::string_view key);
/// The value at a path of member names, or null when any step is missing.
const Json* FindPath(const Json& object, std::initializer_list<std::string_view> path);

struct OwnerReference {
  std::string api_version{};
  std::string kind{};
  std::string name{};
  std::string uid{};
  bool controller = false;
};

/// Immutable after construction, hence safe to share between threads as shared_ptr<const Object>.
class Object {
 public:
  explicit Object(Json raw) : raw_(std::move(raw)) {}

  const Json& raw() const { return raw_; }

  std::string name() const { return Meta("name"); }

  std::string ns() const { return Meta("namespace"); }

  std::string uid() const { return Meta("uid"); }

  std::string resource_version() const { return Meta("resourceVersion"); }

  std::int64_t generation() const;

  bool deleting() const { return !Meta("deletionTimestamp").empty(); }

  ObjectKey key() const { return {ns(), name()}; }

  std::map<std::string, std::string> labels() const { return StringMap("labels"); }

  std::map<std::string, std::string> annotations() const { return StringMap("annotations"); }

  std::string label(std::string_view key) const;
  std::string annotation(std::string_view key) const;
  std::vector<std::string> finalizers() const;
  std::vector<OwnerReference> owners() const;
  /// uid of the owner with controller=true, or "".
  std::string controller_uid() const;

 private:
  std::string Meta(std::string_view key) const;
  std::map<std::string, std::string> StringMap(std::string_view key) const;

  Json raw_;
};

using ObjectPtr = std::shared_ptr<const Object>;

}  // namespace breakwater::api
