#pragma once

/// FieldError: what is wrong with one field of an object, in the words of its author.

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace breakwater::api {

struct FieldError {
  std::string path{};     ///< as a user would write it: "spec.storagePools[0].lvmPool.volumeGroup"
  std::string message{};  ///< what is wrong and what would be right

  std::string ToString() const { return path + ": " + message; }

  bool operator==(const FieldError&) const = default;
};

using FieldErrors = std::vector<FieldError>;

/// All errors in one line, joined by "; ": for a condition message.
inline std::string JoinErrors(const FieldErrors& errors) {
  std::string result;
  for (const FieldError& error : errors) {
    result += (result.empty() ? "" : "; ") + error.ToString();
  }
  return result;
}

/// Whether an error is about one of `fields`, about something inside one, or about the whole spec.
inline bool AnyErrorAt(const FieldErrors& errors, std::initializer_list<std::string_view> fields) {
  for (const FieldError& error : errors) {
    for (const std::string_view field : fields) {
      const bool begins = error.path.starts_with(field);
      const char next = begins && error.path.size() > field.size() ? error.path[field.size()] : '.';
      if (error.path == "spec" || (begins && (next == '.' || next == '['))) {
        return true;
      }
    }
  }
  return false;
}

/// A value together with what could not be read of it. The value is always usable: fields that
/// could not be read have their defaults, so that one bad field does not hide the rest of an
/// object.
template <typename T>
struct Decoded {  // NOLINT(bugprone-exception-escape): members are moved, not copied
  T value{};
  FieldErrors errors{};

  bool ok() const { return errors.empty(); }
};

}  // namespace breakwater::api
