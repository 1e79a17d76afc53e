#pragma once

/// NodeShell: runs a program in the satellite pod of a node. The one way in which the operator
/// reaches DRBD; small, so that an agent in the sidecar can take the place of exec one day.
/// Adapters: PodNodeShell (real), and a simulated one in the tests of replication.

#include <chrono>
#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "operator/api/object.h"
#include "operator/base/context.h"
#include "operator/base/error.h"
#include "operator/base/result.h"
#include "operator/kube/pod_exec.h"
#include "operator/runtime/store.h"

namespace breakwater::controllers {

/// Thread safety: may be called from any thread.
class NodeShell {
 public:
  virtual ~NodeShell() = default;

  /// Runs `argv` (no shell unless argv says so) in a container of the node's satellite pod. A
  /// non-zero exit code is a value. Errors: kNotFound: the node has no running satellite pod;
  /// kInvalid: a name that is no node name; others from the exec. Returns at the deadline of `ctx`;
  /// the program may then still run, so callers must be able to run it again.
  virtual Result<kube::ExecResult, Error> Run(const Context& ctx,
                                              const std::string& node,
                                              const std::string& container,
                                              const std::vector<std::string>& argv) = 0;
};

struct PodNodeShellOptions {
  std::string ns{};                          ///< namespace of the satellite pods
  std::chrono::milliseconds timeout{20000};  ///< for one call, in addition to the caller's deadline
  std::size_t max_output_bytes = 32U << 20U;  ///< 1000 resources print about 10 MB
};

/// The real one, over the API server's exec.
class PodNodeShell final : public NodeShell {
 public:
  /// `exec` and `pods` must outlive the shell. `pods` holds at least the satellite pods.
  PodNodeShell(kube::PodExec& exec, const runtime::Store& pods, PodNodeShellOptions options);

  Result<kube::ExecResult, Error> Run(const Context& ctx,
                                      const std::string& node,
                                      const std::string& container,
                                      const std::vector<std::string>& argv) override;

 private:
  kube::PodExec& exec_;
  const runtime::Store& pods_;
  const PodNodeShellOptions options_;
};

/// The satellite pod of each node that is not being deleted; the youngest one when a rollout shows
/// two.
std::map<std::string, api::ObjectPtr> SatellitePods(const runtime::Store& pods,
                                                    const std::string& ns);

/// The one of `node` among SatellitePods, or null. Looks at all of them: not for each node of a
/// cluster.
api::ObjectPtr FindSatellitePod(const runtime::Store& pods,
                                const std::string& ns,
                                const std::string& node);

enum class ContainerState { kAbsent, kNotReady, kReady };
ContainerState StateOfContainer(const api::Object& pod, const std::string& container);

}  // namespace breakwater::controllers
