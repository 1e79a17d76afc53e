#pragma once

/// HttpKubeClient: KubeClient over an HttpTransport.
///
/// Retries live here and nowhere below: reads after a reset, a timeout to connect or a 5xx; any
/// request that cannot have reached the server; writes that may safely run twice (server-side
/// apply, delete with a uid) once after a reset; 429 and 503 with Retry-After after that time. All
/// within the context's deadline and a budget per client, so that an ailing API server is not hit
/// harder.

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "operator/base/backoff.h"
#include "operator/base/log.h"
#include "operator/kube/client.h"
#include "operator/kube/config.h"
#include "operator/kube/credentials.h"
#include "operator/net/write_fence.h"

namespace breakwater::kube {

/// One HTTP exchange, for metrics.
struct RequestReport {
  std::string_view verb{};      ///< as in RBAC: get, list, watch, create, patch, update, delete
  std::string_view resource{};  ///< plural
  int code = 0;                 ///< 0 = no reply
  double seconds = 0;           ///< a watch counts until its head arrived
};

struct HttpClientOptions {
  std::string user_agent = "breakwater/" BREAKWATER_VERSION;
  /// Called after each exchange from the calling thread; must not block.
  std::function<void(const RequestReport&)> on_request{};
  int max_attempts = 4;
  std::chrono::milliseconds first_retry{100};  ///< doubled per attempt, with jitter
  /// For one exchange that is not a list or a watch. Through a dead connection nothing ever comes,
  /// and a reconcile's own deadline (2 min) is too long to find that out. 20 s: the API server
  /// answers single objects in milliseconds, its slowest admission webhooks in 10 s, and priority
  /// and fairness lets a request wait up to 15 s (a quarter of --request-timeout) before its 429.
  std::chrono::seconds request_timeout{20};
  /// A retry takes one token, a success gives back a tenth: gRPC's retry throttling
  /// (github.com/grpc/proposal A6). 0 = no retries.
  int retry_budget = 10;
  /// Client margin over a watch's server-side timeout: kube-rs, watcher.rs.
  std::chrono::seconds watch_margin{5};
  /// Longest silence of a watch. A connection that died without a word (a node of the control plane
  /// lost its power) shows only by that. The API server sends who asks for bookmarks one about
  /// every minute: apiserver/pkg/storage/cacher, defaultBookmarkFrequency.
  std::chrono::seconds watch_silence{100};
};

/// `transport`, `credentials` (may be null: no token) and `clock` must outlive the client.
std::unique_ptr<KubeClient> MakeHttpKubeClient(net::HttpTransport& transport,
                                               Credentials* credentials,
                                               const Clock& clock,
                                               RandomSource random,
                                               HttpClientOptions options = {});

/// Credentials, transports and the clients on top, made from a configuration.
struct KubeConnection {
  std::unique_ptr<Credentials> credentials;
  std::unique_ptr<net::HttpTransport> transport;
  std::unique_ptr<net::HttpTransport> lease_transport;
  std::unique_ptr<net::HttpTransport> review_transport;
  std::unique_ptr<KubeClient> client;
  /// For the leader election alone: connections and a retry budget of its own, so that nothing
  /// delays a renewal, and no fence.
  std::unique_ptr<KubeClient> lease_client;
  /// For reviews (who is this?), which are created and change nothing: no fence, since a replica
  /// that does not lead asks as well, and no connection that a renewal needs.
  std::unique_ptr<KubeClient> review_client;
};

/// `clock` and `fence` (null = none) must outlive the connection. Errors: those of the credentials
/// and of MakeCpprestTransport.
Result<KubeConnection, Error> ConnectKube(const KubeConfig& config,
                                          const Clock& clock,
                                          Logger log,
                                          HttpClientOptions options = {},
                                          const net::WriteFence* fence = nullptr);

}  // namespace breakwater::kube
