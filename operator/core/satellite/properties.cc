#include "operator/core/satellite/properties.h"

#include <optional>
#include <utility>

#include <re2/re2.h>

namespace breakwater::core {
namespace {

using Pairs = std::map<std::string, std::string>;

/// A parsed field path: a plain field, or a map with or without a subscript.
struct FieldPath {
  std::string field{};  ///< "metadata.name", "metadata.labels", …
  std::optional<std::string> subscript{};
  bool wildcard = false;  ///< the whole map, or a subscript with '*' at its end (removed from it)
};

bool IsMap(const std::string& field) {
  return field == "metadata.labels" || field == "metadata.annotations";
}

bool IsPlain(const std::string& field) {
  return field == "metadata.name" || field == "metadata.namespace" || field == "metadata.uid";
}

/// Label and annotation keys: [prefix/]name. Annotations are checked without regard to case.
bool ValidKey(const std::string& key, bool annotation) {
  static const re2::RE2 kKey(
      R"(([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?))");
  static const re2::RE2 kAnnotation(
      R"((?i)([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?))");
  return re2::RE2::FullMatch(key, annotation ? kAnnotation : kKey);
}

/// Returns what is wrong with the path, or "".
std::string Parse(std::string_view text, FieldPath* path) {
  static const re2::RE2 kSubscript(R"((metadata\.(?:labels|annotations))\['([^']*)'\])");
  std::string key;
  if (re2::RE2::FullMatch(re2::StringPiece(text.data(), text.size()), kSubscript, &path->field,
                          &key)) {
    path->wildcard = key.ends_with('*');
    if (path->wildcard) {
      key.pop_back();
    } else if (!ValidKey(key, path->field == "metadata.annotations")) {
      return "\"" + key + "\" is not a valid key";
    }
    path->subscript = std::move(key);
    return {};
  }
  path->field = std::string(text);
  if (IsMap(path->field)) {
    path->wildcard = true;
    return {};
  }
  return IsPlain(path->field) ? std::string()
                              : "\"" + path->field +
                                    "\" is not a field that can be used: metadata.name, "
                                    "metadata.labels['key'] or metadata.annotations['key']";
}

Pairs MapOf(const api::Object& node, const FieldPath& path) {
  return path.field == "metadata.labels" ? node.labels() : node.annotations();
}

std::optional<std::string> SingleValue(const api::Object& node, const FieldPath& path) {
  if (path.field == "metadata.name") {
    return node.name();
  }
  if (path.field == "metadata.namespace") {
    return node.ns();
  }
  if (path.field == "metadata.uid") {
    return node.uid();
  }
  const Pairs map = MapOf(node, path);
  const auto found = map.find(*path.subscript);
  return found == map.end() ? std::nullopt : std::optional(found->second);
}

Pairs MatchingPairs(const api::Object& node, const FieldPath& path) {
  if (!path.wildcard) {
    const std::optional<std::string> value = SingleValue(node, path);
    return value ? Pairs{{path.subscript.value_or(path.field), *value}} : Pairs{};
  }
  Pairs result;
  const std::string prefix = path.subscript.value_or("");
  for (const auto& [key, value] : MapOf(node, path)) {
    if (key.starts_with(prefix)) {
      result[key.substr(prefix.size())] = value;
    }
  }
  return result;
}

/// `$1` is the key and `$2` the value; both are put in as they are, also when they contain a '$'.
std::string Expand(const std::string& pattern, const std::string& key, const std::string& value) {
  std::string result;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    const char next = i + 1 < pattern.size() ? pattern[i + 1] : '\0';
    if (pattern[i] == '$' && (next == '1' || next == '2')) {
      result += next == '1' ? key : value;
      ++i;
    } else {
      result += pattern[i];
    }
  }
  return result;
}

void AddExpansion(const api::Object& node,
                  const api::LinstorNodeProperty& property,
                  const FieldPath& path,
                  ResolvedProperties* result) {
  const api::PropertyExpansion& expansion = *property.expand_from;
  const Pairs pairs = MatchingPairs(node, path);
  if (!expansion.name_template.empty()) {
    for (const auto& [key, value] : pairs) {
      (*result)[property.name + Expand(expansion.name_template, key, value)] =
          Expand(expansion.value_template, key, value);
    }
    return;
  }
  std::string joined;
  bool first = true;
  for (const auto& [key, value] : pairs) {
    joined += (first ? "" : expansion.delimiter) + Expand(expansion.value_template, key, value);
    first = false;
  }
  if (!joined.empty() || !property.optional) {
    (*result)[property.name] = std::move(joined);
  }
}

}  // namespace

std::string CheckFieldPath(std::string_view text, bool wildcard) {
  FieldPath path;
  std::string problem = Parse(text, &path);
  if (!problem.empty()) {
    return problem;
  }
  if (path.wildcard != wildcard) {
    return wildcard ? "must be a whole map or end in '*': use valueFrom for a single field"
                    : "can match several fields: use expandFrom";
  }
  return {};
}

Result<ResolvedProperties, Error> ResolveProperties(
    const api::Object& node, const std::vector<api::LinstorNodeProperty>& properties) {
  ResolvedProperties result;
  for (const api::LinstorNodeProperty& property : properties) {
    if (!property.value.empty()) {
      result[property.name] = property.value;
      continue;
    }
    if (!property.value_from && !property.expand_from) {
      continue;  // an empty literal counts as not set
    }
    FieldPath path;
    std::string problem = Parse(
        property.value_from ? *property.value_from : property.expand_from->node_field_ref, &path);
    if (problem.empty() && property.value_from && path.wildcard) {
      problem = "can match several fields: use expandFrom";
    }
    if (!problem.empty()) {
      return Unexpected{Error{ErrorClass::kInvalid, "property " + property.name + ": " + problem}};
    }
    if (property.expand_from) {
      AddExpansion(node, property, path, &result);
      continue;
    }
    const std::string value = SingleValue(node, path).value_or("");
    if (!value.empty() || !property.optional) {
      result[property.name] = value;
    }
  }
  return result;
}

}  // namespace breakwater::core
