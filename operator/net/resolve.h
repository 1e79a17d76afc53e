#pragma once

/// Name resolution with a deadline, which getaddrinfo() does not have.

#include <string>
#include <vector>

#include "operator/net/http.h"

namespace breakwater::net {

/// Numeric addresses of `host`, in the system's order of preference; an address resolves to itself
/// without any lookup. The lookup runs on a thread of its own that is left to itself when the
/// caller's time is over: getaddrinfo() cannot be interrupted (it ends after resolv.conf's timeout,
/// 10 s by default). kConnect, kTimeout or kCanceled, all with not_sent.
Result<std::vector<std::string>, TransportError> Resolve(const Context& ctx,
                                                         const std::string& host);

}  // namespace breakwater::net
