#pragma once

/// HttpsEndpoint: an HTTPS server whose certificate may come later than the process.

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "operator/base/clock.h"
#include "operator/base/log.h"
#include "operator/base/result.h"
#include "operator/base/thread.h"
#include "operator/cmd/serving_certificate.h"
#include "operator/net/http_server.h"

namespace breakwater::cmd {

struct HttpsEndpointOptions {
  std::string name{};  ///< for the log: "the admission webhook"
  std::string flag{};  ///< that says the address
  std::string address{};
  /// Holds tls.crt and tls.key, or will; a renewed pair is used within ten seconds.
  std::string certificate_directory{};
  net::HttpServerOptions limits{};
};

/// Starts as soon as there is a certificate and tries again every ten seconds until then: storage
/// never waits for a webhook that only says earlier what the reconcilers say, too, nor for who
/// counts. Served by every replica, the leader or not.
/// Thread safety: one owner; port() from any thread.
class HttpsEndpoint {
 public:
  /// `clock` must outlive this object.
  HttpsEndpoint(HttpsEndpointOptions options,
                net::RequestHandler handler,
                const Clock& clock,
                Logger log);

  /// 0 until it listens.
  std::uint16_t port() const { return port_; }

 private:
  Result<void, Error> Start();

  const HttpsEndpointOptions options_;
  const net::RequestHandler handler_;
  const Clock& clock_;
  const Logger log_;
  std::unique_ptr<ServingCertificate> certificate_{};
  std::unique_ptr<net::HttpServer> server_{};
  std::atomic<std::uint16_t> port_{0};
  Thread thread_{};  ///< last: it uses the others
};

}  // namespace breakwater::cmd
