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

/// A list without keys is taken as it is, nulls in it too; only directives do not survive.
Json Plain(const Json& patch) {
  if (!patch.is_structured()) {
    return patch;
  }
  Json result = patch.is_object() ? Json::object() : Json::array();
  for (const auto& [key, value] : patch.items()) {
    if (patch.is_object() ? key != kDirective
                          : !IsListDirective(value) && Directive(value) != "delete") {
      patch.is_object() ? result[key] = Plain(value) : result.emplace_back(Plain(value));
    }
  }
  return result;
}

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
    return Plain(patch);
  }
  return patch;
}

/// Ports may have the same number for two protocols, constraints the same topology for two ways;
/// where one of them does not say it, it matches any.
bool SameElement(const Json& a, const Json& b, const SchemaField& schema) {
  const Json* key_a = api::FindMember(a, schema.merge_key);
  const Json* key_b = api::FindMember(b, schema.merge_key);
  if (key_a == nullptr || key_b == nullptr || *key_a != *key_b) {
    return false;
  }
  const std::string second_a = api::StringAt(a, schema.second_key);
  const std::string second_b = api::StringAt(b, schema.second_key);
  return second_a.empty() || second_b.empty() || second_a == second_b;
}

/// As kustomize has it: with one key the elements of the patch come first, in its order; with two
/// keys only those that are new do. Of two elements with the same keys the first one counts.
void Order(const Json& merged,
           const Json& target,
           const std::vector<const Json*>& origins,
           bool two_keys,
           Json* result) {
  std::vector<const Json*> placed(target.size(), nullptr);
  std::vector<bool> used(target.size(), false);
  for (std::size_t i = 0; i < merged.size(); ++i) {
    if (origins[i] != nullptr) {
      const auto at = static_cast<std::size_t>(origins[i] - &target[0]);
      used[at] = true;
      placed[at] = &merged[i];
    }
    if (!merged[i].is_discarded() && (origins[i] == nullptr || !two_keys)) {
      result->push_back(merged[i]);
    }
  }
  for (std::size_t i = 0; i < target.size(); ++i) {
    if (!used[i]) {
      result->push_back(target[i]);
    } else if (two_keys && !placed[i]->is_discarded()) {
      result->push_back(*placed[i]);
    }
  }
}

Json MergeKeyedList(const Json& target, const Json& patch, const SchemaField& schema) {
  Json merged = Json::array();  // discarded: the element is deleted
  std::vector<const Json*> origins;
  for (const Json& element : patch) {
    const auto same = [&](const Json& other) { return SameElement(other, element, schema); };
    if (IsListDirective(element) || std::any_of(patch.begin(), patch.end(), [&](const Json& other) {
          return &other < &element && !IsListDirective(other) && same(other);
        })) {
      continue;
    }
    const auto match = std::find_if(target.begin(), target.end(), same);
    auto result = MergeMap(match == target.end() ? Json::object() : *match, element, schema.type);
    merged.push_back(result ? std::move(*result) : Json(Json::value_t::discarded));
    origins.push_back(match == target.end() ? nullptr : &*match);
  }
  Json result = Json::array();
  Order(merged, target, origins, !schema.second_key.empty(), &result);
  return result;
}

/// A number or truth value over a text of a kind where only texts are allowed.
Json AsText(const Json& value) {
  return value.is_number() || value.is_boolean() ? Json(value.dump()) : value;
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
      const bool text = type == SchemaType::kTexts || (type == SchemaType::kEnv && key == "value");
      merged = text && old != nullptr && old->is_string() ? AsText(value) : value;
    }
    if (merged) {
      result[key] = std::move(*merged);
    } else {
      result.erase(key);
    }
  }
  return result;
}

enum class Form { kNothing, kMap, kList, kScalar };

Form FormOf(const Json& value) {
  return value.is_null()     ? Form::kNothing
         : value.is_object() ? Form::kMap
         : value.is_array()  ? Form::kList
                             : Form::kScalar;
}

std::string MisfitInMap(const Json& target, const Json& patch, SchemaType type);

std::string MisfitInList(const Json& target, const Json& patch, const SchemaField& schema) {
  if (schema.merge_key.empty() || std::any_of(patch.begin(), patch.end(), IsListDirective)) {
    return {};
  }
  for (const Json& element : patch) {
    const auto match = std::find_if(target.begin(), target.end(), [&](const Json& other) {
      return SameElement(other, element, schema);
    });
    if (match != target.end()) {
      if (std::string found = MisfitInMap(*match, element, schema.type); !found.empty()) {
        return found;
      }
    }
  }
  return {};
}

std::string MisfitInMap(const Json& target, const Json& patch, SchemaType type) {
  if (!Directive(patch).empty()) {
    return {};
  }
  for (const auto& [key, value] : patch.items()) {
    const Json* old = api::FindMember(target, key);
    if (old == nullptr || old->is_null() || value.is_null()) {
      continue;
    }
    if (FormOf(*old) != FormOf(value)) {
      return key;
    }
    const SchemaField schema = SchemaOfField(type, key);
    std::string found = value.is_object()  ? MisfitInMap(*old, value, schema.type)
                        : value.is_array() ? MisfitInList(*old, value, schema)
                                           : "";
    if (!found.empty()) {
      return key + "." + found;
    }
  }
  return {};
}

}  // namespace

std::string Misfit(const Json& object, const Json& patch) {
  return MisfitInMap(
      object, patch,
      SchemaOfKind(api::StringAt(object, "apiVersion"), api::StringAt(object, "kind")));
}

std::optional<Json> StrategicMerge(const Json& object, const Json& patch) {
  if (!patch.is_object()) {
    return object;
  }
  const SchemaType type =
      SchemaOfKind(api::StringAt(object, "apiVersion"), api::StringAt(object, "kind"));
  return MergeMap(object, patch, type);
}

}  // namespace breakwater::core
