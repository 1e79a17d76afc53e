#include "operator/api/field_reader.h"

#include <algorithm>
#include <utility>

#include "operator/api/duration.h"
#include "operator/api/error_limit.h"

namespace breakwater::api {

FieldReader::FieldReader(const Json& value, std::string path, FieldErrors* errors)
    : value_(value.is_object() ? &value : nullptr), path_(std::move(path)), errors_(errors) {
  if (value_ == nullptr && !value.is_null()) {
    AddLimited({path_, std::string("must be an object, not ") + value.type_name()}, errors_);
  }
}

const Json* FieldReader::Raw(std::string_view key) const {
  const Json* field = value_ == nullptr ? nullptr : FindMember(*value_, key);
  return field == nullptr || field->is_null() ? nullptr : field;
}

void FieldReader::AddError(std::string_view key, std::string message) const {
  std::string path = path_;
  if (!key.empty()) {
    path.append(path.empty() ? "" : ".").append(key);
  }
  AddLimited({std::move(path), std::move(message)}, errors_);
}

std::optional<std::string> FieldReader::OptionalString(std::string_view key) const {
  const Json* field = Raw(key);
  if (field == nullptr) {
    return std::nullopt;
  }
  if (!field->is_string()) {
    AddError(key, std::string("must be a string, not ") + field->type_name());
    return std::nullopt;
  }
  return field->get<std::string>();
}

std::string FieldReader::String(std::string_view key, std::string fallback) const {
  return OptionalString(key).value_or(std::move(fallback));
}

bool FieldReader::Bool(std::string_view key, bool fallback) const {
  const Json* field = Raw(key);
  if (field == nullptr) {
    return fallback;
  }
  if (!field->is_boolean()) {
    AddError(key, std::string("must be true or false, not ") + field->type_name());
    return fallback;
  }
  return field->get<bool>();
}

std::optional<std::int64_t> FieldReader::Integer(std::string_view key) const {
  const Json* field = Raw(key);
  if (field == nullptr) {
    return std::nullopt;
  }
  if (!field->is_number_integer()) {
    AddError(key, std::string("must be a whole number, not ") + field->type_name());
    return std::nullopt;
  }
  return field->get<std::int64_t>();
}

std::optional<std::chrono::nanoseconds> FieldReader::Duration(std::string_view key) const {
  const std::optional<std::string> text = OptionalString(key);
  if (!text) {
    return std::nullopt;
  }
  const auto duration = ParseDuration(*text);
  if (!duration) {
    AddError(key, "must be a duration such as \"10s\" or \"5m\", not \"" + *text + "\"");
  }
  return duration;
}

std::map<std::string, std::string> FieldReader::StringMap(std::string_view key) const {
  std::map<std::string, std::string> result;
  const Json* field = Raw(key);
  if (field == nullptr) {
    return result;
  }
  if (!field->is_object()) {
    AddError(key, std::string("must be a map, not ") + field->type_name());
    return result;
  }
  for (const auto& [name, value] : field->items()) {
    if (value.is_string()) {
      result.emplace(name, value.get<std::string>());
    } else {
      AddError(std::string(key) + "." + name, "must be a string");
    }
  }
  return result;
}

std::vector<std::string> FieldReader::Strings(std::string_view key) const {
  std::vector<std::string> result;
  const Json* field = Raw(key);
  if (field == nullptr) {
    return result;
  }
  if (!field->is_array()) {
    AddError(key, std::string("must be a list, not ") + field->type_name());
    return result;
  }
  for (std::size_t i = 0; i < field->size(); ++i) {
    if ((*field)[i].is_string()) {
      result.push_back((*field)[i].get<std::string>());
    } else {
      AddError(std::string(key) + "[" + std::to_string(i) + "]", "must be a string");
    }
  }
  return result;
}

std::optional<FieldReader> FieldReader::Child(std::string_view key) const {
  const Json* field = Raw(key);
  if (field == nullptr) {
    return std::nullopt;
  }
  if (!field->is_object()) {
    AddError(key, std::string("must be an object, not ") + field->type_name());
    return std::nullopt;
  }
  return FieldReader(*field, path_ + (path_.empty() ? "" : ".") + std::string(key), errors_);
}

std::vector<FieldReader> FieldReader::Children(std::string_view key) const {
  std::vector<FieldReader> result;
  const Json* field = Raw(key);
  if (field == nullptr) {
    return result;
  }
  if (!field->is_array()) {
    AddError(key, std::string("must be a list, not ") + field->type_name());
    return result;
  }
  for (std::size_t i = 0; i < field->size(); ++i) {
    const std::string step = std::string(key) + "[" + std::to_string(i) + "]";
    if ((*field)[i].is_object()) {
      result.emplace_back((*field)[i], path_ + (path_.empty() ? "" : ".") + step, errors_);
    } else {
      AddError(step, std::string("must be an object, not ") + (*field)[i].type_name());
    }
  }
  return result;
}

std::string FieldReader::OneOf(std::string_view key,
                               std::vector<std::string_view> allowed,
                               std::string fallback) const {
  const std::optional<std::string> text = OptionalString(key);
  if (!text) {
    return fallback;
  }
  if (std::find(allowed.begin(), allowed.end(), *text) == allowed.end()) {
    std::string list;
    for (const std::string_view word : allowed) {
      list.append(list.empty() ? "" : ", ").append(word);
    }
    AddError(key, "must be one of " + list + ", not \"" + *text + "\"");
    return fallback;
  }
  return *text;
}

}  // namespace breakwater::api
