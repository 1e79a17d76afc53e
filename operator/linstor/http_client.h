#pragma once

/// HttpClient: Client over one or more HTTP transports (one per controller URL).

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "operator/linstor/client.h"
#include "operator/net/http.h"

namespace breakwater::linstor {

/// One URL under which the controller may answer. Only the active controller of a redundant set
/// listens, hence the list.
struct Endpoint {
  std::string url{};        ///< for messages
  std::string base_path{};  ///< path part of the URL without a slash at its end, usually ""
  std::shared_ptr<net::HttpTransport> transport{};
};

struct HttpClientOptions {
  std::string user_agent = "breakwater";
  /// Time for one attempt of a read. Source: Piraeus Operator v2 gives the version call 10 s.
  std::chrono::milliseconds read_timeout{10'000};
  /// Time for a write: LINSTOR kills a hanging adjust after 45 s and visits nodes one after the
  /// other.
  std::chrono::milliseconds write_timeout{120'000};
  /// Rounds over all endpoints for a read that got no answer.
  int read_rounds = 2;
  std::chrono::milliseconds retry_delay{200};
  /// Requests per second to the controller, 0 = no limit. Source: Piraeus Operator v2,
  /// --linstor-api-qps.
  double max_requests_per_second = 100;
};

/// `endpoints` must not be empty. On a transport error the next endpoint is tried: always for
/// reads, for writes only when the request cannot have reached the server. The one that answers
/// stays first.
std::shared_ptr<Client> MakeHttpClient(std::vector<Endpoint> endpoints, HttpClientOptions options);

}  // namespace breakwater::linstor
