#pragma once

/// MetricsAccess: who may read /metrics over the network: whoever shows a bearer token that the API
/// server knows (TokenReview) and may get the path /metrics there (SubjectAccessReview), as other
/// components of Kubernetes ask for it. Names of volumes, claims and nodes are in the metrics.

#include <chrono>
#include <cstddef>
#include <map>
#include <mutex>
#include <optional>
#include <string>

#include "operator/base/clock.h"
#include "operator/base/context.h"
#include "operator/kube/client.h"
#include "operator/net/http.h"

namespace breakwater::cmd {

/// Thread safety: all methods from any thread.
class MetricsAccess {
 public:
  /// How long an answer of the API server is good for, and how many are kept: a scraper comes every
  /// 15 s or 30 s, and there are few of them.
  static constexpr std::chrono::minutes kRemembered{1};
  static constexpr std::size_t kMostRemembered = 64;

  /// Both must outlive this. `client` is not fenced: a replica that does not lead is read, too.
  MetricsAccess(kube::KubeWriter& client, const Clock& clock) : client_(client), clock_(clock) {}

  /// Nothing: go on. Else the answer: 401 without a good token, 403 for a user without the right,
  /// 503 while the API server cannot be asked. Tokens are kept as hashes only.
  std::optional<net::Response> Refuse(const Context& ctx, const net::Request& request);

 private:
  struct Known {
    int status = 0;  ///< 200, 401 or 403
    SteadyTime until{};
  };

  /// The status for the token's user, 503 when nobody can say.
  int Ask(const Context& ctx, const std::string& token);

  kube::KubeWriter& client_;
  const Clock& clock_;
  std::mutex mutex_;
  std::map<std::string, Known> known_;  // by hash of the token; guarded by mutex_
};

}  // namespace breakwater::cmd
