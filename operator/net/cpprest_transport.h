#pragma once

/// HttpTransport over cpprestsdk's HTTP/1.1 client: the only place that knows that library, because
/// much of it must be worked around (ARCHITECTURE.md, "cpprestsdk").
///
/// What callers can rely on: the deadline of the context covers everything, name resolution
/// included; a stop request is felt at once; redirects are errors; no body beyond the cap is
/// delivered; only the configured CA is trusted. What they cannot: of a chunked body the
/// library hands on whole chunks only. A single huge chunk takes memory beyond the cap for as long
/// as the call may wait, and counts as silence while it arrives, however fast; servers are trusted
/// not to send one. A call that gives up abandons the library's work instead of waiting
/// for it, so a write that timed out may still have happened: look before doing it again.

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>

#include "operator/net/http.h"
#include "operator/net/tls_material.h"

namespace breakwater::net {

struct TransportOptions {
  /// "https://10.96.0.1:443" or "http://host:3370", a path prefix is allowed. No IPv6 literals: the
  /// library cannot dial them; give a name.
  std::string base_url{};
  /// Name to verify and to send as SNI and Host when it differs from the address dialled; "" = the
  /// host of base_url.
  std::string tls_server_name{};
  /// Required for https. Read for each new connection, so a renewed certificate is used at once.
  std::shared_ptr<const TlsMaterialHolder> tls{};
  /// 64 MiB: a page of 500 objects at etcd's limit of 1.5 MB would be more, but real pages are far
  /// less, and a container has a memory limit. Not a limit for one chunk, see above.
  std::size_t max_body_bytes = 64U << 20U;
  /// For contexts without a deadline: no call may hang for ever. 60 s: the API server's own limit
  /// for requests that are not watches (--request-timeout).
  std::chrono::milliseconds default_timeout{60000};
  /// The longest silence within Send, before the reply or inside its body; 0 = only the deadline
  /// counts. For servers that begin to answer at once: it tells a dead connection from a long list.
  /// A chunk that is not yet whole is silence, see above.
  std::chrono::milliseconds idle_timeout{0};
};

/// Sets the size of cpprestsdk's thread pool. Call once, after signals are blocked and before any
/// transport is made; later calls do nothing. 8: its threads only move bytes, callers block on
/// their own.
void StartHttpThreads(int threads = 8);

/// kInvalid for a URL that cannot be used, or https without TLS material.
Result<std::unique_ptr<HttpTransport>, Error> MakeCpprestTransport(TransportOptions options);

}  // namespace breakwater::net
