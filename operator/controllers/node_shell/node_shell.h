#pragma once

/// NodeShell: runs a program in the satellite pod of a node, where no agent does it.
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
#include "operator/controllers/node_shell/satellite_pods.h"
#include "operator/kube/pod_exec.h"
#include "operator/runtime/store.h"

namespace breakwater::controllers {

/// Thread safety: may be called from any thread.
class NodeShell {
 public:
  virtual ~NodeShell() = default;

  /// Runs `argv` (no shell unless argv says so) in a container of the node's satellite pod. A
  /// non-zero exit code is a value. Errors: kNotFound: the node has no running satellite pod;
  /// kInvalid: a name that is no node name, or an answer too large to be read; others from the
  /// exec. Returns at the deadline of `ctx`; the program may then still run, so callers must be
  /// able to run it again.
  virtual Result<kube::ExecResult, Error> Run(const Context& ctx,
                                              const std::string& node,
                                              const std::string& container,
                                              const std::vector<std::string>& argv) = 0;
};

struct PodNodeShellOptions {
  std::chrono::milliseconds timeout{20000};  ///< for one call, in addition to the caller's deadline
  std::size_t max_output_bytes = 16U << 20U;  ///< 1000 resources print about 10 MB
  /// Values of JSON in one answer: "{}," is three bytes on the line and eighty in memory. 1000
  /// resources print about 350,000.
  std::size_t max_values = 500000;
};

/// The real one, over the API server's exec.
class PodNodeShell final : public NodeShell {
 public:
  /// `exec` and the stores must outlive the shell.
  PodNodeShell(kube::PodExec& exec, SatelliteStores stores, PodNodeShellOptions options);

  Result<kube::ExecResult, Error> Run(const Context& ctx,
                                      const std::string& node,
                                      const std::string& container,
                                      const std::vector<std::string>& argv) override;

 private:
  kube::PodExec& exec_;
  const SatelliteStores stores_;
  const PodNodeShellOptions options_;
};

/// By label alone, the youngest one: for what only shows, never for what is believed or told to do
/// something (satellite_pods.h).
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
