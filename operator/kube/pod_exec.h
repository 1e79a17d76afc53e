#pragma once

/// PodExec: runs a program in a container of a pod through the API server.

#include <chrono>
#include <cstddef>
#include <string>
#include <vector>

#include "operator/base/context.h"
#include "operator/kube/client.h"

namespace breakwater::kube {

struct ExecRequest {
  std::string ns{};
  std::string pod{};
  std::string container{};
  std::vector<std::string> argv{};
  std::size_t max_output_bytes = 4U << 20U;  ///< cap for stdout and stderr together
};

struct ExecResult {
  int exit_code = 0;  ///< a non-zero exit is a value, not an error
  std::string out{};
  std::string err{};
  bool truncated = false;  ///< output beyond the cap was dropped
};

/// Thread safety: may be called from any thread. Never blocks past the deadline of `ctx`.
class PodExec {
 public:
  virtual ~PodExec() = default;
  virtual KubeResult<ExecResult> Exec(const Context& ctx, const ExecRequest& request) = 0;
};

}  // namespace breakwater::kube
