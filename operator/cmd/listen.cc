#include "operator/cmd/listen.h"

#include <cstdint>
#include <optional>
#include <utility>

#include "operator/cmd/options.h"

namespace breakwater::cmd {

Result<std::unique_ptr<net::HttpServer>, Error> Listen(const std::string& flag,
                                                       const std::string& address,
                                                       net::HttpServerOptions options,
                                                       net::RequestHandler handler,
                                                       const Logger& log) {
  const std::optional<BindAddress> bind = ParseBindAddress(address);
  if (!bind) {
    return Unexpected{Error{ErrorClass::kInvalid, flag + "=" + address + " is no address"}};
  }
  options.port = static_cast<std::uint16_t>(bind->port);
  if (!bind->host.empty()) {
    options.address = bind->host == "localhost" ? "127.0.0.1" : bind->host;
  }
  Result<std::unique_ptr<net::HttpServer>, Error> server =
      net::StartHttpServer(std::move(options), std::move(handler), log);
  if (!server) {
    return Unexpected{server.error().WithContext(flag + "=" + address)};
  }
  log.Info("listening", {{"for", flag}, {"port", (*server)->port()}});
  return server;
}

}  // namespace breakwater::cmd
