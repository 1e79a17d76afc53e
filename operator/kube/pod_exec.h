#pragma once

/// PodExec: runs a program in a container of a pod through the API server.

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
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

/// A program that runs as long as both sides like: its standard streams. Thread safety: one thread
/// may read while another one writes; Close from any thread. The destructor closes.
class ExecStream {
 public:
  virtual ~ExecStream() = default;

  /// The next bytes of stdout; nothing when the program has ended (see `ended`). After an error the
  /// stream is dead. Waits at most until the deadline of `ctx`; then kTimeout, and the stream lives
  /// on.
  virtual KubeResult<std::optional<std::string>> Read(const Context& ctx) = 0;
  /// Bytes for stdin.
  virtual KubeResult<void> Write(const Context& ctx, std::string_view bytes) = 0;
  /// Exit code and the last 4 KiB of stderr, once Read returned nothing.
  virtual KubeResult<ExecResult> Ended() const = 0;
  /// Wakes a Read that waits.
  virtual void Close() = 0;
};

/// Thread safety: may be called from any thread. Never blocks past the deadline of `ctx`.
class PodExec {
 public:
  virtual ~PodExec() = default;
  virtual KubeResult<ExecResult> Exec(const Context& ctx, const ExecRequest& request) = 0;
  /// Starts a program with stdin; returns once the server has accepted the exec. `ctx` bounds the
  /// opening only. `max_output_bytes` bounds one message.
  virtual KubeResult<std::unique_ptr<ExecStream>> Open(const Context& ctx,
                                                       const ExecRequest& request) = 0;
};

}  // namespace breakwater::kube
