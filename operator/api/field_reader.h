#pragma once

/// FieldReader: reads typed fields of a JSON object and notes what has the wrong type.
///
///   FieldReader spec(json, "spec", &errors);
///   const std::string repository = spec.String("repository");
///
/// A missing or null field reads as its fallback; a field of the wrong type too, and adds one
/// FieldError, up to the limit of error_limit.h. Unknown fields are ignored, so that objects
/// written by a newer version can be read. Thread safety: none; a reader lives on the stack of one
/// decoder and keeps references to its arguments.

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "operator/api/field_error.h"
#include "operator/api/object.h"

namespace breakwater::api {

class FieldReader {
 public:
  /// `value` and `errors` must outlive the reader. A `value` that is not an object reads as empty
  /// (and is an error unless it is null).
  FieldReader(const Json& value, std::string path, FieldErrors* errors);

  const std::string& path() const { return path_; }

  std::string String(std::string_view key, std::string fallback = {}) const;
  std::optional<std::string> OptionalString(std::string_view key) const;
  bool Bool(std::string_view key, bool fallback = false) const;
  std::optional<std::int64_t> Integer(std::string_view key) const;
  /// A duration as Kubernetes writes it ("10s", "1m30s").
  std::optional<std::chrono::nanoseconds> Duration(std::string_view key) const;
  std::map<std::string, std::string> StringMap(std::string_view key) const;
  std::vector<std::string> Strings(std::string_view key) const;
  /// A reader for a nested object; nullopt when it is missing, null or not an object.
  std::optional<FieldReader> Child(std::string_view key) const;
  /// Readers for the objects of a list, in order; items of another type are errors and skipped.
  std::vector<FieldReader> Children(std::string_view key) const;
  /// The field as it is, or null when it is missing or JSON null.
  const Json* Raw(std::string_view key) const;

  /// The string at `key` must be one of `allowed`, else the fallback and an error.
  std::string OneOf(std::string_view key,
                    std::vector<std::string_view> allowed,
                    std::string fallback) const;

  void AddError(std::string_view key, std::string message) const;

 private:
  const Json* value_;  ///< null when there is no object to read
  std::string path_;
  FieldErrors* errors_;
};

}  // namespace breakwater::api
