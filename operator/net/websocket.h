#pragma once

/// WebSocket client port. Adapter: beast_websocket.h.

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "operator/net/http.h"

namespace breakwater::net {

struct UpgradeRequest {
  std::string target = "/";  ///< path and query, already percent-encoded
  Headers headers{};
  std::vector<std::string> subprotocols{};    ///< in order of preference
  std::size_t max_message_bytes = 4U << 20U;  ///< kTooLarge beyond it
};

/// Why there is no connection: no reply, or a reply that refused the upgrade (its body says why).
using UpgradeError = std::variant<TransportError, Response>;

/// Binary messages over one connection. The destructor closes the socket at once, without the
/// closing handshake, on which a frozen peer could keep it waiting. Thread safety: one thread may
/// read while another one writes; Close from any thread. The destructor needs to be alone.
class WebSocket {
 public:
  virtual ~WebSocket() = default;

  /// What the server chose: one of those asked for.
  virtual const std::string& subprotocol() const = 0;

  /// The next message; nothing when the peer closed in order. At the deadline (kTimeout) and on a
  /// stop request (kCanceled) the connection lives on, and what had arrived of a message is not
  /// lost. After any other error it is dead.
  virtual Result<std::optional<std::string>, TransportError> Read(const Context& ctx) = 0;
  /// One message in one frame: servers take every frame for a message. After any error the
  /// connection is dead, because half a message may be on its way.
  virtual Result<void, TransportError> Write(const Context& ctx, std::string_view message) = 0;
  /// Closes the socket: a Read or Write that waits ends at once, later ones fail (kCanceled).
  virtual void Close() = 0;
};

/// Thread safety: may be used from any thread.
class WebSocketConnector {
 public:
  virtual ~WebSocketConnector() = default;
  virtual Result<std::unique_ptr<WebSocket>, UpgradeError> Connect(
      const Context& ctx, const UpgradeRequest& request) = 0;
};

}  // namespace breakwater::net
