#include "operator/cmd/webhook_endpoint.h"

#include <chrono>
#include <utility>

#include "operator/base/context.h"
#include "operator/cmd/listen.h"
#include "operator/webhook/handler.h"

namespace breakwater::cmd {
namespace {

/// Anybody in the cluster may connect. Hostile JSON takes many times its size in memory while it
/// is judged (two at a time), and the container has 256 MiB: our objects are a few kilobytes, so
/// one that does not fit is not worth more. It is then not checked here ("Ignore"), but when it is
/// read.
net::HttpServerOptions Limits(std::shared_ptr<const net::TlsMaterialHolder> tls) {
  return {.tls = std::move(tls), .max_body_bytes = 1U << 20U, .max_connections = 32};
}

}  // namespace

WebhookEndpoint::WebhookEndpoint(std::string address,
                                 std::string certificate_directory,
                                 const Clock& clock,
                                 Logger log)
    : address_(std::move(address)),
      certificate_directory_(std::move(certificate_directory)),
      clock_(clock),
      log_(std::move(log)) {
  thread_ = Thread("webhook", [this](const std::stop_token& stop) {
    const Context ctx(stop, clock_);
    std::string last_error;
    do {
      const Result<void, Error> started = Start();
      if (started) {
        return;
      }
      if (started.error().message != last_error) {
        last_error = started.error().message;
        log_.Warn("the admission webhook is not served yet", {{"error", last_error}});
      }
    } while (ctx.SleepFor(std::chrono::seconds(10)));
  });
}

Result<void, Error> WebhookEndpoint::Start() {
  if (!certificate_) {
    BREAKWATER_ASSIGN_OR_RETURN(certificate_,
                                ServingCertificate::Load(certificate_directory_, log_));
    certificate_->Watch(clock_);
  }
  BREAKWATER_ASSIGN_OR_RETURN(
      server_, Listen("--webhook-bind-address", address_, Limits(certificate_->holder()),
                      webhook::Serve, log_));
  port_ = server_->port();
  return {};
}

}  // namespace breakwater::cmd
