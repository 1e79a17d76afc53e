#pragma once

/// FakePodExec: exec without a cluster. The programs really run, as processes of the test; what it
/// does is checked by the contract suite against a real API server.

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>

#include "operator/kube/pod_exec.h"

namespace breakwater::testing {

/// Thread safety: all methods may be called from any thread.
class FakePodExec final : public kube::PodExec {
 public:
  /// From now on programs can be run in this container.
  void AddContainer(const std::string& ns, const std::string& pod, const std::string& container);

  /// As a kubelet: the program gets `argv` as it is and no input; when the caller gives up, its
  /// process group is killed. A program that a signal ended has exit code 128 + signal.
  kube::KubeResult<kube::ExecResult> Exec(const Context& ctx,
                                          const kube::ExecRequest& request) override;
  /// The same with input; the program is killed when the stream is closed.
  kube::KubeResult<std::unique_ptr<kube::ExecStream>> Open(
      const Context& ctx, const kube::ExecRequest& request) override;

 private:
  std::optional<kube::KubeError> Problem(const kube::ExecRequest& request);

  std::mutex mutex_;
  std::map<std::string, std::set<std::string>> containers_;  // by "namespace/pod"
};

}  // namespace breakwater::testing
