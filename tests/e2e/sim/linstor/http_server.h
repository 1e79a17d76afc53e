#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "tests/e2e/sim/linstor/http_types.h"

namespace breakwater::sim {

struct TlsFiles {
  std::string certificate, key;
  std::string client_ca;  // not empty: clients need a certificate of this authority (L12)
};

/// HTTP/1.1 server: one thread per connection, which suits handlers that block while satellites
/// work. `handler` may be called from many threads at once and must outlive the server.
class HttpServer {
 public:
  using Handle = std::function<HttpReply(const HttpRequest&)>;

  /// Listens on `address` ("127.0.0.1:3370", port 0 picks one). Throws std::runtime_error.
  HttpServer(const std::string& address, Handle handler);
  HttpServer(const std::string& address, const TlsFiles& tls, Handle handler);
  /// Closes every connection and joins all threads.
  ~HttpServer();

  [[nodiscard]] std::uint16_t port() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

/// "/v1/nodes?nodes=a&nodes=b" into path and query, percent-decoded.
void ParseTarget(const std::string& target, HttpRequest& request);

}  // namespace breakwater::sim
