#include "operator/kube/client.h"

#include <nlohmann/json.hpp>

namespace breakwater::kube {

ListPage::ListPage() = default;
ListPage::~ListPage() = default;
ListPage::ListPage(ListPage&&) noexcept = default;
ListPage& ListPage::operator=(ListPage&&) noexcept = default;

bool KubeError::IsCanceled() const {
  return transport() != nullptr && transport()->kind == net::TransportError::Kind::kCanceled;
}

int KubeError::code() const {
  const auto* status = std::get_if<Status>(&detail_);
  return status == nullptr ? 0 : status->code;
}

std::string KubeError::message() const {
  if (const net::TransportError* error = transport()) {
    return std::string(net::ToString(error->kind)) + ": " + error->message;
  }
  if (const auto* error = std::get_if<DecodeError>(&detail_)) {
    return "cannot read the reply: " + error->message;
  }
  const auto& status = std::get<Status>(detail_);
  const std::string code = std::to_string(status.code);
  return (status.reason.empty() ? "HTTP " + code : status.reason + " (" + code + ")") +
         (status.message.empty() ? "" : ": " + status.message);
}

std::optional<std::chrono::milliseconds> KubeError::retry_after() const {
  const auto* status = std::get_if<Status>(&detail_);
  return status == nullptr ? std::nullopt : status->retry_after;
}

Error KubeError::ToError() const {
  if (const net::TransportError* error = transport()) {
    return net::ToError(*error);
  }
  ErrorClass error_class = ErrorClass::kTransient;
  if (IsNotFound()) {
    error_class = ErrorClass::kNotFound;
  } else if (IsConflict()) {
    error_class = ErrorClass::kConflict;
  } else if (IsForbidden()) {
    error_class = ErrorClass::kForbidden;
  } else if (IsThrottled()) {
    error_class = ErrorClass::kThrottled;
  } else if (IsInvalid() || code() == 405 || code() == 413 || code() == 415) {
    error_class = ErrorClass::kInvalid;
  }
  return {error_class, message(), retry_after()};
}

}  // namespace breakwater::kube
