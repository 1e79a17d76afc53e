#include "operator/cmd/https_endpoint.h"

#include <chrono>
#include <utility>

#include "operator/base/context.h"
#include "operator/cmd/listen.h"

namespace breakwater::cmd {

HttpsEndpoint::HttpsEndpoint(HttpsEndpointOptions options,
                             net::RequestHandler handler,
                             const Clock& clock,
                             Logger log)
    : options_(std::move(options)),
      handler_(std::move(handler)),
      clock_(clock),
      log_(std::move(log)) {
  thread_ = Thread("https", [this](const std::stop_token& stop) {
    const Context ctx(stop, clock_);
    std::string last_error;
    do {
      const Result<void, Error> started = Start();
      if (started) {
        return;
      }
      if (started.error().message != last_error) {
        last_error = started.error().message;
        log_.Warn(options_.name + " is not served yet", {{"error", last_error}});
      }
    } while (ctx.SleepFor(std::chrono::seconds(10)));
  });
}

Result<void, Error> HttpsEndpoint::Start() {
  if (!certificate_) {
    BREAKWATER_ASSIGN_OR_RETURN(certificate_,
                                ServingCertificate::Load(options_.certificate_directory, log_));
    certificate_->Watch(clock_);
  }
  net::HttpServerOptions limits = options_.limits;
  limits.tls = certificate_->holder();
  BREAKWATER_ASSIGN_OR_RETURN(
      server_, Listen(options_.flag, options_.address, std::move(limits), handler_, log_));
  port_ = server_->port();
  return {};
}

}  // namespace breakwater::cmd
