#include "operator/linstor/error.h"

namespace breakwater::linstor {

std::string ApiCallRc::ToString() const {
  std::string text = message;
  for (const std::string* more : {&cause, &correction}) {
    if (!more->empty() && more->find(message) == std::string::npos) {
      text += "; " + *more;
    }
  }
  return text;
}

std::string LinstorError::message() const {
  if (const auto* decode = std::get_if<DecodeError>(&detail_)) {
    return decode->message;
  }
  if (transport() != nullptr) {
    return net::ToError(*transport()).message;
  }
  std::string text;
  for (const ApiCallRc& rc : api()->messages) {
    if (rc.IsError()) {
      text += (text.empty() ? "" : "; ") + rc.ToString();
    }
  }
  return text.empty() ? "HTTP status " + std::to_string(http_status()) : text;
}

Error LinstorError::ToError() const {
  if (transport() != nullptr) {
    return net::ToError(*transport());
  }
  ErrorClass error_class = ErrorClass::kTransient;
  if (IsNotFound()) {
    error_class = ErrorClass::kNotFound;
  } else if (http_status() == 401 || http_status() == 403) {
    error_class = ErrorClass::kForbidden;
  } else if (http_status() == 400 || http_status() == 405) {
    error_class = ErrorClass::kInvalid;
  }
  return Error{error_class, message()};
}

}  // namespace breakwater::linstor
