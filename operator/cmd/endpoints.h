#pragma once

/// Endpoints: the HTTP servers for probes (/livez, /healthz, /readyz), metrics (/metrics) and the
/// admission webhook.

#include <memory>

#include "operator/base/clock.h"
#include "operator/base/log.h"
#include "operator/base/result.h"
#include "operator/cmd/options.h"
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

  /// Once. `health` and `metrics` must outlive this object. Errors: an address cannot be bound.
  /// With --metrics-cert-path also: its files cannot be used. `clock` must outlive it, too.
  Result<void, Error> Start(const Options& options,
                            const Clock& clock,
                            const runtime::Health& health,
                            const runtime::Metrics& metrics,
                            const Logger& log);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace breakwater::cmd
