#pragma once

/// Reads Kubernetes Status replies. Pure.

#include "operator/kube/client.h"
#include "operator/net/http.h"

namespace breakwater::kube {

/// The Status of a reply that is not 2xx. A body that is no Status (a proxy's HTML page) gives its
/// first 200 bytes as the message. Retry-After is taken from the header, else from
/// details.retryAfterSeconds.
Status DecodeStatus(int code, const net::Headers& headers, const std::string& body);

/// The Status in `json` (an ERROR event of a watch, channel 3 of an exec).
Status StatusFromJson(const Json& json);

}  // namespace breakwater::kube
