#include "operator/core/render/strategic_merge.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "operator/core/render/merge_schema.h"

namespace breakwater::core {
namespace {

using api::Json;

constexpr const char* kDirective = "$patch";

std::string Directive(const Json& value) {
  return api::StringAt(value, kDirective);
}

bool IsListDirective(const Json& element) {
  return element.is_object() && element.size() == 1 && element.contains(kDirective);
}

std::optional<Json> MergeMap(const Json& target, const Json& patch, SchemaType type);

/// A value of a patch that replaces or adds: directives and nulls inside it do not survive.
Json Clean(const Json& patch) {
  if (patch.is_object()) {
    Json result = Json::object();
    for (const auto& [key, value] : patch.items()) {
      if (key != kDirective && !value.is_null() && Directive(value) != "delete") {
        result[key] = Clean(value);
      }
    }
    return result;
  }
  if (patch.is_array()) {
    Json result = Json::array();
    for (const Json& element : patch) {
      if (!IsListDirective(element) && Directive(element) != "delete") {
        result.push_back(Clean(element));
      }
    }
    return result;
  }
  return patch;
}

/// Ports may have the same number for two protocols; a missing protocol matches any.
bool SameElement(const Json& a, const Json& b, std::string_view key) {
  const Json* key_a = api::FindMember(a, key);
  const Json* key_b = api::FindMember(b, key);
  if (key_a == nullptr || key_b == nullptr || *key_a != *key_b) {
    return false;
  }
  if (key != "containerPort" && key != "port") {
    return true;
  }
  const std::string protocol_a = api::StringAt(a, "protocol");
  const std::string protocol_b = api::StringAt(b, "protocol");
  return protocol_a.empty() || protocol_b.empty() || protocol_a == protocol_b;
}

Json MergeKeyedList(const Json& target, const Json& patch, const SchemaField& schema) {
  Json result = Json::array();
  std::vector<bool> used(target.size(), false);
  for (const Json& element : patch) {
    if (IsListDirective(element)) {
      continue;
    }
    const auto match = std::find_if(target.begin(), target.end(), [&](const Json& candidate) {
      return SameElement(candidate, element, schema.merge_key);
    });
    Json base = Json::object();
    if (match != target.end()) {
      used[static_cast<std::size_t>(match - target.begin())] = true;
      base = *match;
    }
    if (auto merged = MergeMap(base, element, schema.type)) {
      result.push_back(std::move(*merged));
    }
  }
  for (std::size_t i = 0; i < target.size(); ++i) {
    if (!used[i]) {
      result.push_back(target[i]);
    }
  }
  return result;
}

Json MergeValues(const Json& target, const Json& patch) {
  Json result = patch;
  for (const Json& value : target) {
    if (std::find(patch.begin(), patch.end(), value) == patch.end()) {
      result.push_back(value);
    }
  }
  return result;
}

std::optional<Json> MergeList(const Json& target, const Json& patch, const SchemaField& schema) {
  for (const Json& element : patch) {
    if (IsListDirective(element)) {
      if (Directive(element) == "delete") {
        return std::nullopt;
      }
      if (Directive(element) == "replace") {
        return Clean(patch);
      }
    }
  }
  if (!target.is_array()) {
    return Clean(patch);
  }
  if (schema.merged_values) {
    return MergeValues(target, patch);
  }
  return schema.merge_key.empty() ? Clean(patch) : MergeKeyedList(target, patch, schema);
}

std::optional<Json> MergeMap(const Json& target, const Json& patch, SchemaType type) {
  const std::string directive = Directive(patch);
  if (directive == "delete") {
    return std::nullopt;
  }
  if (directive == "replace") {
    return Clean(patch);
  }
  Json result = target.is_object() ? target : Json::object();
  for (const auto& [key, value] : patch.items()) {
    if (key == kDirective) {
      continue;
    }
    if (value.is_null()) {
      result.erase(key);
      continue;
    }
    const SchemaField schema = SchemaOfField(type, key);
    static const Json kNothing;
    const Json* old = api::FindMember(result, key);
    std::optional<Json> merged;
    if (value.is_object()) {
      merged = MergeMap(old == nullptr ? kNothing : *old, value, schema.type);
    } else if (value.is_array()) {
      merged = MergeList(old == nullptr ? kNothing : *old, value, schema);
    } else {
      merged = value;
    }
    if (merged) {
      result[key] = std::move(*merged);
    } else {
      result.erase(key);
    }
  }
  return result;
}

}  // namespace

std::optional<Json> StrategicMerge(const Json& object, const Json& patch) {
  if (!patch.is_object()) {
    return object;
  }
  const SchemaType type =
      SchemaOfKind(api::StringAt(object, "apiVersion"), api::StringAt(object, "kind"));
  return MergeMap(object, patch, type);
}

}  // namespace breakwater::core
