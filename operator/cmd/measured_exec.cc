#include "operator/cmd/measured_exec.h"

#include <chrono>

namespace breakwater::cmd {

kube::KubeResult<kube::ExecResult> MeasuredExec::Exec(const Context& ctx,
                                                      const kube::ExecRequest& request) {
  const SteadyTime start = clock_.SteadyNow();
  kube::KubeResult<kube::ExecResult> result = inner_.Exec(ctx, request);
  const std::chrono::duration<double> took = clock_.SteadyNow() - start;
  const char* how = !result ? "error" : result->exit_code == 0 ? "ok" : "nonzero";
  runtime::ObserveExec(metrics_, how, took.count());
  return result;
}

}  // namespace breakwater::cmd
