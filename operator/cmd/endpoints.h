#pragma once

/// Endpoints: the HTTP servers for probes (/livez, /healthz, /readyz), metrics (/metrics) and the
/// admission webhook.

#include <memory>

#include "operator/base/clock.h"
#include "operator/base/log.h"
#include "operator/base/result.h"
#include "operator/cmd/options.h"
#include "operator/kube/client.h"
#include "operator/runtime/health.h"
#include "operator/runtime/metrics.h"

namespace breakwater::cmd {

/// Served from before the stores are synced to the end of the process, so that a probe tells a slow
/// start from a dead process. The destructor stops the servers.
class Endpoints {
 public:
  Endpoints();
  ~Endpoints();
  Endpoints(const Endpoints&) = delete;
  Endpoints& operator=(const Endpoints&) = delete;

  /// Once. The references must outlive this object; `reviews` says who may read the metrics.
  /// Errors: an address cannot be bound.
  Result<void, Error> Start(const Options& options,
                            const Clock& clock,
                            kube::KubeWriter& reviews,
                            const runtime::Health& health,
                            const runtime::Metrics& metrics,
                            const Logger& log);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace breakwater::cmd
