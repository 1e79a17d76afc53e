#pragma once

/// HTTP messages and the HttpTransport port. Adapters: cpprest_transport.h (real),
/// testing/scripted_transport.h (tests).

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "operator/base/context.h"
#include "operator/base/error.h"
#include "operator/base/result.h"

namespace breakwater::net {

using Headers = std::vector<std::pair<std::string, std::string>>;

/// First value of `name` (compared without case), or nothing.
std::optional<std::string> FindHeader(const Headers& headers, std::string_view name);

/// False when `name` or `value` holds CR, LF or another control character: such a header could
/// smuggle a second request.
bool ValidHeader(std::string_view name, std::string_view value);

struct Request {
  std::string method = "GET";
  std::string target = "/";  ///< path and query, already percent-encoded
  Headers headers{};
  std::string body{};
  /// Opens a connection for this request alone. The HTTP library below repeats a request by itself
  /// when a kept connection closes before the reply: set this for calls that must not run twice.
  bool fresh_connection = false;
};

struct Response {
  int status = 0;
  Headers headers{};
  std::string body{};
};

/// Why no (complete) response arrived.
struct TransportError {
  enum class Kind { kConnect, kTls, kTimeout, kCanceled, kReset, kTooLarge, kProtocol };

  Kind kind = Kind::kConnect;
  std::string message{};
  /// True when the request cannot have reached the server, so that even a write may be repeated.
  bool not_sent = false;
};

std::string_view ToString(TransportError::Kind kind);
Error ToError(const TransportError& error);

/// The body of a streaming response, as it arrives. The destructor ends the transfer.
/// Thread safety: one reader at a time.
class ByteStream {
 public:
  virtual ~ByteStream() = default;

  /// Waits for more bytes; an empty string is the end of the body.
  virtual Result<std::string, TransportError> Read(const Context& ctx) = 0;
};

struct StreamResponse {
  int status = 0;
  Headers headers{};
  std::unique_ptr<ByteStream> body{};
};

/// One server, given at construction. Keeps connections alive, follows no redirect and trusts only
/// the configured CA. A request on a kept connection that turns out to be closed may be sent again:
/// see Request::fresh_connection.
/// Thread safety: all methods may be called from any thread.
class HttpTransport {
 public:
  virtual ~HttpTransport() = default;

  /// Whole response in memory. kTooLarge beyond the adapter's body cap.
  virtual Result<Response, TransportError> Send(const Context& ctx, const Request& request) = 0;

  /// Response whose body is read piece by piece; `idle_timeout` is the longest wait for one piece.
  virtual Result<StreamResponse, TransportError> Open(const Context& ctx,
                                                      const Request& request,
                                                      std::chrono::milliseconds idle_timeout) = 0;
};

}  // namespace breakwater::net
