#pragma once

/// MeasuredExec: counts and times every command in a satellite (breakwater_exec_seconds). A node
/// that answers slowly holds back each step of a migration, and nothing else shows it.

#include <memory>

#include "operator/base/clock.h"
#include "operator/kube/pod_exec.h"
#include "operator/runtime/metrics.h"

namespace breakwater::cmd {

/// Thread safety: that of `inner`. Everything is borrowed and outlives it.
class MeasuredExec final : public kube::PodExec {
 public:
  MeasuredExec(kube::PodExec& inner, runtime::Metrics& metrics, const Clock& clock)
      : inner_(inner), metrics_(metrics), clock_(clock) {}

  kube::KubeResult<kube::ExecResult> Exec(const Context& ctx,
                                          const kube::ExecRequest& request) override;
  /// Counts the opening as "stream", or "error": how long a stream lives says nothing.
  kube::KubeResult<std::unique_ptr<kube::ExecStream>> Open(
      const Context& ctx, const kube::ExecRequest& request) override;

 private:
  kube::PodExec& inner_;
  runtime::Metrics& metrics_;
  const Clock& clock_;
};

}  // namespace breakwater::cmd
