#pragma once

/// WebSocketConnector over Boost.Beast (cpprestsdk's websocket client blocks for ever on a frozen
/// peer and cannot show why an upgrade failed: ARCHITECTURE.md, "cpprestsdk").
///
/// Every step (resolve, connect, TLS, upgrade, read, write) ends at the context's deadline and
/// within milliseconds of a stop request. All work is done on the calling threads; no thread stays
/// behind. Of two threads that wait at a time, one serves the operations of both: OpenSSL and Beast
/// see one thread after the other, never two.

#include <memory>

#include "operator/net/cpprest_transport.h"
#include "operator/net/websocket.h"

namespace breakwater::net {

/// Uses base_url (https only), tls_server_name and tls of `options`.
Result<std::unique_ptr<WebSocketConnector>, Error> MakeBeastConnector(TransportOptions options);

}  // namespace breakwater::net
