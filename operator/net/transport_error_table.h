#pragma once

/// The one table that reads cpprestsdk's errors: (errno, text of the stage) to TransportError.
/// Pure.

#include <string_view>

#include "operator/net/http.h"

namespace breakwater::net {

/// `code` is an errno value or, for TLS, an OpenSSL error number in the wrong category; the stage
/// text is the library's constant (cpprestsdk 2.10.18, http_client_asio.cpp). Connection refused
/// arrives as EHOSTUNREACH, so the stage decides, not the code.
TransportError MapLibraryError(int code, std::string_view stage);

}  // namespace breakwater::net
