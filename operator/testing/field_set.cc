#include "operator/testing/field_set.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

namespace breakwater::testing {
namespace {

using Json = nlohmann::json;

/// Keyed lists by field name. Source: x-kubernetes-list-map-keys in the API's OpenAPI document.
constexpr std::array<std::pair<std::string_view, std::string_view>, 9> kKeyedLists{{
    {"conditions", "type"},
    {"containers", "name"},
    {"env", "name"},
    {"imagePullSecrets", "name"},
    {"initContainers", "name"},
    {"ownerReferences", "uid"},
    {"volumeMounts", "mountPath"},
    {"volumes", "name"},
    {"taints", "key"},
}};

/// The key of the list called `name` when all its items have it; "" for an atomic list.
std::string_view KeyOf(std::string_view name, const Json& list) {
  for (const auto& [field, key] : kKeyedLists) {
    if (field == name) {
      const bool all = std::all_of(list.begin(), list.end(), [k = key](const Json& item) {
        return item.is_object() && item.contains(k);
      });
      return all ? key : std::string_view();
    }
  }
  return {};
}

bool IsSet(std::string_view name) {
  return name == "finalizers";
}

void Collect(const Json& value, std::string_view name, FieldPath& path, FieldSet& out) {
  if (value.is_object() && !value.empty()) {
    for (const auto& [field, child] : value.items()) {
      path.push_back("f:" + field);
      Collect(child, field, path, out);
      path.pop_back();
    }
    return;
  }
  if (value.is_array() && !value.empty()) {
    const std::string_view key = KeyOf(name, value);
    if (!key.empty() || IsSet(name)) {
      for (const Json& item : value) {
        path.push_back(key.empty() ? "v:" + item.dump() : "k:" + item.at(key).dump());
        if (key.empty()) {
          out.insert(path);
        } else {
          Collect(item, "", path, out);
        }
        path.pop_back();
      }
      return;
    }
  }
  out.insert(path);
}

/// The item of the list `list` (called `name`) that `step` names.
Json::iterator FindItem(Json& list, std::string_view name, const std::string& step) {
  const std::string wanted = step.substr(2);
  if (step[0] == 'v') {
    return std::find_if(list.begin(), list.end(),
                        [&](const Json& item) { return item.dump() == wanted; });
  }
  const std::string_view key = KeyOf(name, list);
  return std::find_if(list.begin(), list.end(), [&](const Json& item) {
    return !key.empty() && item.at(key).dump() == wanted;
  });
}

void Remove(Json& value, std::string_view name, const FieldPath& path, std::size_t at) {
  const std::string& step = path[at];
  if (step[0] == 'f') {
    const std::string field = step.substr(2);
    if (!value.is_object() || !value.contains(field)) {
      return;
    }
    Json& child = value[field];
    if (at + 1 < path.size()) {
      Remove(child, field, path, at + 1);
    }
    if (at + 1 == path.size() || (child.is_structured() && child.empty())) {
      value.erase(field);
    }
    return;
  }
  if (!value.is_array()) {
    return;
  }
  const auto item = FindItem(value, name, step);
  if (item == value.end()) {
    return;
  }
  const std::string key(KeyOf(name, value));
  if (at + 1 < path.size() && path[at + 1] != "f:" + key) {
    Remove(*item, "", path, at + 1);
    return;
  }
  value.erase(item);  // its key is given up, and so is the item
}

void Merge(Json& base, const Json& overlay, std::string_view name) {
  if (base.is_object() && overlay.is_object()) {
    for (const auto& [field, child] : overlay.items()) {
      if (base.contains(field)) {
        Merge(base[field], child, field);
      } else {
        base[field] = child;
      }
    }
    return;
  }
  const bool lists = base.is_array() && overlay.is_array();
  const std::string_view key = lists && !KeyOf(name, base).empty() ? KeyOf(name, overlay) : "";
  if (!lists || (key.empty() && !IsSet(name))) {
    base = overlay;
    return;
  }
  for (const Json& item : overlay) {
    const auto found =
        FindItem(base, name, key.empty() ? "v:" + item.dump() : "k:" + item.at(key).dump());
    if (found == base.end()) {
      base.push_back(item);
    } else {
      Merge(*found, item, "");
    }
  }
}

}  // namespace

FieldSet FieldsOf(const Json& document) {
  FieldSet fields;
  FieldPath path;
  if (document.is_object() && !document.empty()) {
    Collect(document, "", path, fields);
  }
  return fields;
}

const Json* FieldAt(const Json& document, const FieldPath& path) {
  const Json* value = &document;
  std::string name;
  for (const std::string& step : path) {
    if (step[0] == 'f') {
      name = step.substr(2);
      if (!value->is_object() || !value->contains(name)) {
        return nullptr;
      }
      value = &value->at(name);
      continue;
    }
    if (!value->is_array()) {
      return nullptr;
    }
    auto& list = const_cast<Json&>(*value);  // only to share FindItem; nothing is changed
    const auto item = FindItem(list, name, step);
    if (item == list.end()) {
      return nullptr;
    }
    value = &*item;
  }
  return value;
}

void RemoveField(Json& document, const FieldPath& path) {
  if (!path.empty()) {
    Remove(document, "", path, 0);
  }
}

void MergeFields(Json& base, const Json& overlay) {
  Merge(base, overlay, "");
}

}  // namespace breakwater::testing
