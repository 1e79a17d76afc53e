#pragma once

/// FieldError: what is wrong with one field of an object, in the words of its author.

#include <string>
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
