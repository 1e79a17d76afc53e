#include "operator/cmd/endpoints.h"

#include "operator/cmd/listen.h"
#include "operator/cmd/serving_certificate.h"
#include "operator/cmd/webhook_endpoint.h"
#include "operator/net/http_server.h"

namespace breakwater::cmd {
namespace {

net::Response Text(int status, std::string body) {
  return {.status = status,
          .headers = {{"Content-Type", "text/plain; charset=utf-8"}},
          .body = std::move(body)};
}

net::Response Probe(const runtime::HealthReport& report) {
  return Text(report.ok ? 200 : 503, report.ok ? "ok" : report.text);
}

std::string PathOf(const net::Request& request) {
  return request.target.substr(0, request.target.find('?'));
}

net::Response ServeProbes(const runtime::Health& health, const net::Request& request) {
  const std::string path = PathOf(request);
  if (path == "/readyz") {
    return Probe(health.Ready());
  }
  // /healthz is the name in the Piraeus Operator's Deployment.
  if (path == "/livez" || path == "/healthz") {
    return Probe(health.Live());
  }
  return Text(404, "try /livez or /readyz");
}

net::Response ServeMetrics(const runtime::Metrics& metrics, const net::Request& request) {
  if (PathOf(request) != "/metrics") {
    return Text(404, "try /metrics");
  }
  return {.status = 200,
          .headers = {{"Content-Type", "text/plain; version=0.0.4; charset=utf-8"}},
          .body = metrics.Serialize()};
}

/// Anybody in the cluster may connect: what they can make the process hold stays small, and no idle
/// connection takes the place of a probe for long.
net::HttpServerOptions Small(std::shared_ptr<const net::TlsMaterialHolder> tls = nullptr) {
  return {.tls = std::move(tls),
          .max_header_bytes = 8U << 10U,
          .max_body_bytes = 1U << 10U,
          .idle_timeout = std::chrono::seconds(10)};
}

}  // namespace

struct Endpoints::Impl {
  /// Nothing for the address "0".
  Result<void, Error> Add(const std::string& flag,
                          const std::string& address,
                          net::HttpServerOptions options,
                          net::RequestHandler handler,
                          const Logger& log) {
    if (address == "0") {
      return {};
    }
    BREAKWATER_ASSIGN_OR_RETURN(std::unique_ptr<net::HttpServer> server,
                                Listen(flag, address, std::move(options), std::move(handler), log));
    servers.push_back(std::move(server));
    return {};
  }

  std::unique_ptr<ServingCertificate> metrics_certificate{};
  std::vector<std::unique_ptr<net::HttpServer>> servers{};
  std::unique_ptr<WebhookEndpoint> webhook{};
};

Endpoints::Endpoints() : impl_(std::make_unique<Impl>()) {}

Endpoints::~Endpoints() = default;

Result<void, Error> Endpoints::Start(const Options& options,
                                     const Clock& clock,
                                     const runtime::Health& health,
                                     const runtime::Metrics& metrics,
                                     const Logger& log) {
  BREAKWATER_RETURN_IF_ERROR(impl_->Add(
      "--health-probe-bind-address", options.health_probe_bind_address, Small(),
      [&health](const net::Request& request) { return ServeProbes(health, request); }, log));
  std::shared_ptr<const net::TlsMaterialHolder> tls;
  if (!options.metrics_cert_path.empty()) {
    Result<std::unique_ptr<ServingCertificate>, Error> loaded =
        ServingCertificate::Load(options.metrics_cert_path, log);
    if (!loaded) {
      return Unexpected{loaded.error().WithContext("--metrics-cert-path")};
    }
    impl_->metrics_certificate = std::move(*loaded);
    impl_->metrics_certificate->Watch(clock);
    tls = impl_->metrics_certificate->holder();
  }
  BREAKWATER_RETURN_IF_ERROR(impl_->Add(
      "--metrics-bind-address", options.metrics_bind_address, Small(std::move(tls)),
      [&metrics](const net::Request& request) { return ServeMetrics(metrics, request); }, log));
  if (!options.webhook_cert_path.empty() && options.webhook_bind_address != "0") {
    impl_->webhook = std::make_unique<WebhookEndpoint>(options.webhook_bind_address,
                                                       options.webhook_cert_path, clock, log);
  }
  return {};
}

}  // namespace breakwater::cmd
