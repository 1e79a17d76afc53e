#include "operator/cmd/endpoints.h"

#include "operator/cmd/https_endpoint.h"
#include "operator/cmd/listen.h"
#include "operator/cmd/metrics_access.h"
#include "operator/net/http_server.h"
#include "operator/webhook/handler.h"

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
net::HttpServerOptions Small() {
  return {.max_header_bytes = 8U << 10U,
          .max_body_bytes = 1U << 10U,
          .idle_timeout = std::chrono::seconds(10)};
}

/// Hostile JSON takes many times its size in memory while it is judged (two at a time), and the
/// container has 256 MiB: our objects are a few kilobytes, so one that does not fit is not worth
/// more. It is then not checked here ("Ignore"), but when it is read.
net::HttpServerOptions WebhookLimits() {
  return {.max_body_bytes = 1U << 20U, .max_connections = 32};
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

  /// Over HTTPS, as soon as there is a certificate.
  void AddLate(HttpsEndpointOptions options,
               net::RequestHandler handler,
               const Clock& clock,
               const Logger& log) {
    late.push_back(
        std::make_unique<HttpsEndpoint>(std::move(options), std::move(handler), clock, log));
  }

  std::unique_ptr<MetricsAccess> access{};
  std::vector<std::unique_ptr<net::HttpServer>> servers{};
  std::vector<std::unique_ptr<HttpsEndpoint>> late{};
};

Endpoints::Endpoints() : impl_(std::make_unique<Impl>()) {}

Endpoints::~Endpoints() = default;

Result<void, Error> Endpoints::Start(const Options& options,
                                     const Clock& clock,
                                     kube::KubeWriter& reviews,
                                     const runtime::Health& health,
                                     const runtime::Metrics& metrics,
                                     const Logger& log) {
  BREAKWATER_RETURN_IF_ERROR(impl_->Add(
      "--health-probe-bind-address", options.health_probe_bind_address, Small(),
      [&health](const net::Request& request) { return ServeProbes(health, request); }, log));
  if (options.metrics_authentication) {
    impl_->access = std::make_unique<MetricsAccess>(reviews, clock);
  }
  const auto serve_metrics = [&metrics, &clock,
                              access = impl_->access.get()](const net::Request& request) {
    if (access != nullptr) {
      if (auto refusal = access->Refuse(Context(std::stop_token(), clock), request)) {
        return *std::move(refusal);
      }
    }
    return ServeMetrics(metrics, request);
  };
  if (options.metrics_cert_path.empty()) {
    BREAKWATER_RETURN_IF_ERROR(impl_->Add("--metrics-bind-address", options.metrics_bind_address,
                                          Small(), serve_metrics, log));
  } else if (options.metrics_bind_address != "0") {
    impl_->AddLate({.name = "/metrics",
                    .flag = "--metrics-bind-address",
                    .address = options.metrics_bind_address,
                    .certificate_directory = options.metrics_cert_path,
                    .limits = Small()},
                   serve_metrics, clock, log);
  }
  if (!options.webhook_cert_path.empty() && options.webhook_bind_address != "0") {
    impl_->AddLate({.name = "the admission webhook",
                    .flag = "--webhook-bind-address",
                    .address = options.webhook_bind_address,
                    .certificate_directory = options.webhook_cert_path,
                    .limits = WebhookLimits()},
                   webhook::Serve, clock, log);
  }
  return {};
}

}  // namespace breakwater::cmd
