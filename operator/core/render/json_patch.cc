#include "operator/core/render/json_patch.h"

#include <charconv>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace breakwater::core {

using api::Json;

namespace {

std::string Print(const Json& operation) {
  return operation.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace

bool IsJsonPatch(const Json& value) {
  if (!value.is_array()) {
    return false;
  }
  for (const Json& operation : value) {
    if (api::StringAt(operation, "op").empty() || !operation.contains("path") ||
        !operation["path"].is_string()) {
      return false;
    }
  }
  return true;
}

namespace {

/// Where an operation acts: a member of `parent`, or an element of it.
struct Place {
  Json* parent = nullptr;
  std::string key{};
};

/// "~1" is a slash and "~0" a tilde.
std::string Unescape(std::string_view token) {
  std::string text;
  for (std::size_t i = 0; i < token.size(); ++i) {
    const char next = token[i] == '~' && i + 1 < token.size() ? token[i + 1] : '\0';
    text += next == '0' ? '~' : next == '1' ? '/' : token[i];
    i += next == '0' || next == '1' ? 1 : 0;
  }
  return text;
}

/// The index of an element in a list of `size`; one below zero counts from the end, as kustomize
/// has it.
std::optional<std::size_t> Index(std::string_view key, std::size_t size) {
  const std::string_view digits = key.starts_with('+') ? key.substr(1) : key;
  std::int64_t index = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), index);
  if (error != std::errc() || end != digits.data() + digits.size() || key.starts_with("+-")) {
    return std::nullopt;
  }
  const auto count = static_cast<std::int64_t>(size);
  index += index < 0 ? count : 0;
  return index < 0 || index >= count ? std::nullopt
                                     : std::optional(static_cast<std::size_t>(index));
}

/// What stands at `key`; null: nothing.
Json* At(Json* parent, const std::string& key) {
  if (parent->is_object()) {
    const auto member = parent->find(key);
    return member == parent->end() ? nullptr : &*member;
  }
  if (parent->is_array()) {
    const auto index = Index(key, parent->size());
    return index ? &(*parent)[*index] : nullptr;
  }
  return nullptr;
}

/// Nothing when the path does not lead into an object or a list.
std::optional<Place> Find(Json* document, std::string_view path) {
  if (!path.starts_with('/')) {
    return std::nullopt;
  }
  Json* at = document;
  for (path.remove_prefix(1);;) {
    const std::size_t slash = path.find('/');
    std::string key = Unescape(path.substr(0, slash));
    if (!at->is_object() && !at->is_array()) {
      return std::nullopt;
    }
    if (slash == std::string_view::npos) {
      return Place{at, std::move(key)};
    }
    at = At(at, key);
    if (at == nullptr) {
      return std::nullopt;
    }
    path.remove_prefix(slash + 1);
  }
}

bool Add(const Place& place, Json value) {
  if (place.parent->is_object()) {
    (*place.parent)[place.key] = std::move(value);
    return true;
  }
  const std::size_t size = place.parent->size();
  const auto index = place.key == "-" ? std::optional(size) : Index(place.key, size + 1);
  if (!index) {
    return false;
  }
  place.parent->insert(place.parent->begin() + static_cast<std::ptrdiff_t>(*index),
                       std::move(value));
  return true;
}

bool Remove(const Place& place) {
  if (place.parent->is_object()) {
    return place.parent->erase(place.key) > 0;
  }
  const auto index = Index(place.key, place.parent->size());
  if (index) {
    place.parent->erase(*index);
  }
  return index.has_value();
}

/// `move` and `copy`.
bool Transfer(Json* document, const Json& operation, const std::string& path, bool remove) {
  const auto from = Find(document, api::StringAt(operation, "from"));
  const Json* source = from ? At(from->parent, from->key) : nullptr;
  if (source == nullptr && (!from || remove || !from->parent->is_object())) {
    return false;
  }
  Json value = source == nullptr ? Json() : *source;  // kustomize copies what is not there, as null
  if (remove && !Remove(*from)) {
    return false;
  }
  const auto to = Find(document, path);
  return to && Add(*to, std::move(value));
}

/// False: it cannot be applied. `document` is then to be thrown away.
bool Apply(Json* document, const Json& operation) {
  const std::string op = api::StringAt(operation, "op");
  const std::string path = operation.at("path").get<std::string>();
  if (op == "move" || op == "copy") {
    return Transfer(document, operation, path, op == "move");
  }
  const auto place = Find(document, path);
  if (!place) {
    return false;
  }
  if (op == "remove") {
    return Remove(*place);
  }
  Json* old = At(place->parent, place->key);
  Json given = operation.contains("value") ? operation["value"] : Json();
  if (op == "add") {
    return Add(*place, std::move(given));
  }
  if (op == "test") {
    return old == nullptr ? given.is_null() : *old == given;
  }
  if (op != "replace") {
    return false;
  }
  if (old == nullptr) {  // kustomize, unlike the RFC, replaces also what is not there
    return place->parent->is_object() && Add(*place, std::move(given));
  }
  *old = std::move(given);
  return true;
}

}  // namespace

Result<Json, Error> ApplyJsonPatch(const Json& object, const Json& operations) {
  if (!IsJsonPatch(operations)) {
    return Unexpected{
        Error{ErrorClass::kInvalid, "not a JSON patch: every operation needs `op` and `path`"}};
  }
  Json result = object;
  const Json* metadata = api::FindMember(object, "metadata");
  const bool annotated = metadata != nullptr && metadata->contains("annotations");
  if (metadata != nullptr && !annotated) {
    result["metadata"]["annotations"] = Json::object();
  }
  for (const Json& operation : operations) {
    if (!Apply(&result, operation)) {
      return Unexpected{Error{ErrorClass::kInvalid, "operation " + Print(operation) +
                                                        " cannot be applied: no such path, or the "
                                                        "value there is not as tested"}};
    }
  }
  if (!annotated && result.is_object() && result.contains("metadata")) {
    Json& after = result["metadata"];
    if (const Json* left = api::FindMember(after, "annotations");
        left != nullptr && left->is_object() && left->empty()) {
      after.erase("annotations");
    }
  }
  return result;
}

}  // namespace breakwater::core
