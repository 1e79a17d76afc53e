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

kube::KubeResult<std::unique_ptr<kube::ExecStream>> MeasuredExec::Open(
    const Context& ctx, const kube::ExecRequest& request) {
  const SteadyTime start = clock_.SteadyNow();
  auto stream = inner_.Open(ctx, request);
  const std::chrono::duration<double> took = clock_.SteadyNow() - start;
  runtime::ObserveExec(metrics_, stream ? "stream" : "error", took.count());
  return stream;
}

}  // namespace breakwater::cmd
