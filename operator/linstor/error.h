#pragma once

/// What a LINSTOR call may answer besides its value: API messages (ApiCallRc) and errors.

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "operator/base/error.h"
#include "operator/base/result.h"
#include "operator/net/http.h"

namespace breakwater::linstor {

/// One message of LINSTOR. The text changes with the object it speaks of: decide by `ret_code` and
/// HTTP status only.
struct ApiCallRc {
  std::int64_t ret_code = 0;  ///< signed 64 bit; a double would lose its low digits
  std::string message{};
  std::string cause{};
  std::string details{};
  std::string correction{};

  /// Severity is in the two top bits. Source: linstor-server, ApiConsts.MASK_ERROR.
  bool IsError() const { return (static_cast<std::uint64_t>(ret_code) & kMaskError) == kMaskError; }

  /// "message; cause; correction" as far as they are there.
  std::string ToString() const;

 private:
  static constexpr std::uint64_t kMaskError = 0xC000000000000000U;
};

/// Answer of a write that was accepted. Warnings matter: "no active connection to satellite" says
/// that a node gets the change later.
struct Reply {
  std::vector<ApiCallRc> messages{};
};

/// LINSTOR refused: messages and the HTTP status (nearly every fault is 500, also wrong input).
struct ApiError {
  int http_status = 0;
  std::vector<ApiCallRc> messages{};
};

/// A reply that could not be understood. The body is not kept: replies may hold secrets.
struct DecodeError {
  std::string message{};
};

/// What went wrong with a call.
class LinstorError {
 public:
  // NOLINTNEXTLINE(google-explicit-constructor): one of three causes
  LinstorError(net::TransportError error) : detail_(std::move(error)) {}

  // NOLINTNEXTLINE(google-explicit-constructor): one of three causes
  LinstorError(ApiError error) : detail_(std::move(error)) {}

  // NOLINTNEXTLINE(google-explicit-constructor): one of three causes
  LinstorError(DecodeError error) : detail_(std::move(error)) {}

  /// LINSTOR says so in a message. A bare 404 is the word of something in between (an ingress
  /// without a backend), which knows nothing of the object.
  bool IsNotFound() const { return http_status() == 404 && !api()->messages.empty(); }

  /// No answer arrived: the change may or may not have been made.
  bool IsTransport() const { return transport() != nullptr; }

  const net::TransportError* transport() const {
    return std::get_if<net::TransportError>(&detail_);
  }

  const ApiError* api() const { return std::get_if<ApiError>(&detail_); }

  /// 0 when no answer arrived or it could not be read.
  int http_status() const { return api() != nullptr ? api()->http_status : 0; }

  std::string message() const;

  /// Flattens to the class a controller acts on.
  Error ToError() const;

 private:
  std::variant<net::TransportError, ApiError, DecodeError> detail_;
};

template <typename T>
using LinstorResult = Result<T, LinstorError>;

}  // namespace breakwater::linstor
