#include "operator/base/error.h"

namespace breakwater {

std::string_view ToString(ErrorClass error_class) {
  switch (error_class) {
    case ErrorClass::kConflict:
      return "conflict";
    case ErrorClass::kNotFound:
      return "not-found";
    case ErrorClass::kTransient:
      return "transient";
    case ErrorClass::kThrottled:
      return "throttled";
    case ErrorClass::kInvalid:
      return "invalid";
    case ErrorClass::kForbidden:
      return "forbidden";
    case ErrorClass::kTerminal:
      return "terminal";
    case ErrorClass::kCanceled:
      return "canceled";
  }
  return "unknown";
}

Error Error::WithContext(std::string_view what) const {
  Error outer = *this;
  outer.message = std::string(what) + ": " + message;
  return outer;
}

}  // namespace breakwater
