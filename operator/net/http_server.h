#pragma once

/// HTTP server port for health and metrics. Adapter: beast_http_server.cc.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "operator/base/log.h"
#include "operator/net/http.h"
#include "operator/net/tls_material.h"

namespace breakwater::net {

/// Answers one request. Called from several of the server's threads at once, so it must be
/// thread-safe, and quick: while one calls another service, the server has a thread less for the
/// others. An exception becomes a 500 and is logged.
using RequestHandler = std::function<Response(const Request&)>;

struct HttpServerOptions {
  std::string address = "::";  ///< "::" serves IPv4 as well where the machine has IPv6
  std::uint16_t port = 0;      ///< 0: any free one, see HttpServer::port()
  /// Null: plain HTTP. Read for each new connection, so a renewed certificate is used at once.
  std::shared_ptr<const TlsMaterialHolder> tls{};
  std::size_t max_header_bytes = 16U << 10U;
  /// 7 MiB: an AdmissionReview holds two objects of at most 3 MB and its own fields; source:
  /// controller-runtime, pkg/webhook/admission/http.go.
  std::size_t max_body_bytes = 7U << 20U;
  /// For the TLS handshake, and from the first byte of a request to its last.
  std::chrono::milliseconds read_timeout{5000};
  /// Between two requests. Longer than the 90 s after which Go's client, the API server's, closes
  /// an idle connection itself: a server that closes first makes a webhook call fail now and then.
  std::chrono::milliseconds idle_timeout{120000};
  /// A further one takes the place of the one that has waited longest without being answered; when
  /// all are being answered it is closed itself.
  int max_connections = 128;
  int threads = 2;
};

/// A running server. The destructor stops it: it lets requests in work finish for half a second,
/// then closes everything and joins its threads.
class HttpServer {
 public:
  virtual ~HttpServer() = default;
  virtual std::uint16_t port() const = 0;
  /// Open connections, for tests and metrics.
  virtual int connections() const = 0;
};

/// kTransient when the port cannot be bound, kInvalid for TLS material without a certificate.
Result<std::unique_ptr<HttpServer>, Error> StartHttpServer(HttpServerOptions options,
                                                           RequestHandler handler,
                                                           Logger log);

}  // namespace breakwater::net
