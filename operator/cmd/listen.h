#pragma once

/// Listen: one of our HTTP servers on the address that a flag says.

#include <memory>
#include <string>

#include "operator/base/log.h"
#include "operator/base/result.h"
#include "operator/net/http_server.h"

namespace breakwater::cmd {

/// `address` is the text of `flag`, checked by ParseOptions; address and port of `options` are set
/// from it. Errors: that of StartHttpServer, with the flag.
Result<std::unique_ptr<net::HttpServer>, Error> Listen(const std::string& flag,
                                                       const std::string& address,
                                                       net::HttpServerOptions options,
                                                       net::RequestHandler handler,
                                                       const Logger& log);

}  // namespace breakwater::cmd
