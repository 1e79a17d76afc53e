#pragma once

/// ErrorClass: what a caller should do about an error. The set is closed and understood everywhere;
/// messages are for people.

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace breakwater {

enum class ErrorClass {
  kConflict,   ///< somebody else changed the object: read again and retry at once
  kNotFound,   ///< the object does not exist
  kTransient,  ///< retry with backoff
  kThrottled,  ///< retry after `retry_after`
  kInvalid,    ///< the input is wrong: report it, a retry alone cannot help
  kForbidden,  ///< a right is missing: report it, retry slowly
  kTerminal,   ///< do not retry
  kCanceled,   ///< the caller gave up or the process stops: not worth a word
};

std::string_view ToString(ErrorClass error_class);

/// The flattened error at the edge of a controller: class for the machine, message for the person.
struct Error {
  ErrorClass error_class = ErrorClass::kTransient;
  std::string message;
  std::optional<std::chrono::milliseconds> retry_after{};

  /// "<what>: <message>", so that a message reads from intent to cause.
  Error WithContext(std::string_view what) const;
};

}  // namespace breakwater
