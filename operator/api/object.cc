#include "operator/api/object.h"

namespace breakwater::api {

const Json* FindMember(const Json& object, std::string_view key) {
  if (!object.is_object()) {
    return nullptr;
  }
  const auto it = object.find(key);
  return it == object.end() ? nullptr : &*it;
}

std::string StringAt(const Json& object, std::string_view key) {
  const Json* value = FindMember(object, key);
  return value != nullptr && value->is_string() ? value->get<std::string>() : std::string();
}

const Json* FindPath(const Json& object, std::initializer_list<std::string_view> path) {
  const Json* at = &object;
  for (const std::string_view step : path) {
    at = FindMember(*at, step);
    if (at == nullptr) {
      return nullptr;
    }
  }
  return at;
}

std::string Object::Meta(std::string_view key) const {
  const Json* meta = FindMember(raw_, "metadata");
  return meta == nullptr ? std::string() : StringAt(*meta, key);
}

std::map<std::string, std::string> Object::StringMap(std::string_view key) const {
  std::map<std::string, std::string> result;
  const Json* map = FindPath(raw_, {"metadata", key});
  if (map != nullptr && map->is_object()) {
    for (const auto& [name, value] : map->items()) {
      if (value.is_string()) {
        result.emplace(name, value.get<std::string>());
      }
    }
  }
  return result;
}

std::int64_t Object::generation() const {
  const Json* value = FindPath(raw_, {"metadata", "generation"});
  return value != nullptr && value->is_number_integer() ? value->get<std::int64_t>() : 0;
}

std::string Object::label(std::string_view key) const {
  const Json* map = FindPath(raw_, {"metadata", "labels"});
  return map == nullptr ? std::string() : StringAt(*map, key);
}

std::string Object::annotation(std::string_view key) const {
  const Json* map = FindPath(raw_, {"metadata", "annotations"});
  return map == nullptr ? std::string() : StringAt(*map, key);
}

std::vector<std::string> Object::finalizers() const {
  std::vector<std::string> result;
  const Json* list = FindPath(raw_, {"metadata", "finalizers"});
  if (list != nullptr && list->is_array()) {
    for (const Json& item : *list) {
      if (item.is_string()) {
        result.push_back(item.get<std::string>());
      }
    }
  }
  return result;
}

std::vector<OwnerReference> Object::owners() const {
  std::vector<OwnerReference> result;
  const Json* list = FindPath(raw_, {"metadata", "ownerReferences"});
  if (list == nullptr || !list->is_array()) {
    return result;
  }
  for (const Json& item : *list) {
    const Json* controller = FindMember(item, "controller");
    result.push_back({.api_version = StringAt(item, "apiVersion"),
                      .kind = StringAt(item, "kind"),
                      .name = StringAt(item, "name"),
                      .uid = StringAt(item, "uid"),
                      .controller = controller != nullptr && controller->is_boolean() &&
                                    controller->get<bool>()});
  }
  return result;
}

std::string Object::controller_uid() const {
  for (const OwnerReference& owner : owners()) {
    if (owner.controller) {
      return owner.uid;
    }
  }
  return {};
}

}  // namespace breakwater::api
