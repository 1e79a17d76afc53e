#pragma once

/// The websocket exec protocol of the API server (v4.channel.k8s.io, v5.channel.k8s.io): each
/// message is a channel number and bytes. Pure: messages in, result out. Source:
/// k8s.io/apimachinery, pkg/util/remotecommand/constants.go.

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "operator/kube/client.h"
#include "operator/kube/pod_exec.h"

namespace breakwater::kube {

inline constexpr const char* kExecProtocolV5 = "v5.channel.k8s.io";
inline constexpr const char* kExecProtocolV4 = "v4.channel.k8s.io";

/// What is kept of a stream's stderr: its end says why the program failed.
inline constexpr std::size_t kStderrTailBytes = 4096;
/// Bytes of stdin in one message. client-go sends as much at once.
inline constexpr std::size_t kStdinChunkBytes = 32768;

/// "/api/v1/namespaces/<ns>/pods/<pod>/exec?command=…&container=…&stdout=true&stderr=true", with
/// "&stdin=true" when asked for.
std::string ExecTarget(const ExecRequest& request, bool with_stdin = false);

/// The messages that carry `bytes` to stdin.
std::vector<std::string> StdinMessages(std::string_view bytes);

/// Why the request cannot be sent, "" when it can.
std::string ExecProblem(const ExecRequest& request);

/// Collects one exec. Thread safety: one owner.
class ExecDecoder {
 public:
  explicit ExecDecoder(std::size_t max_output_bytes) : max_output_bytes_(max_output_bytes) {}

  /// For a program that runs on: stdout is taken away with TakeOut and has no cap here, of stderr
  /// the last kStderrTailBytes are kept.
  static ExecDecoder ForStream() {
    ExecDecoder decoder(0);
    decoder.stream_ = true;
    return decoder;
  }

  /// One websocket message. Output beyond the cap is dropped and remembered as truncated: the exit
  /// code still comes. After an error the exec cannot be used any more.
  Result<void, DecodeError> Feed(std::string_view message);

  /// The Status on channel 3 has arrived. Output may still follow it: the streams are copied side
  /// by side.
  bool has_status() const { return status_.has_value(); }

  /// Stdout since the last call.
  std::string TakeOut() { return std::exchange(result_.out, {}); }

  /// The outcome, once the connection has ended: success and a non-zero exit are values, anything
  /// else in the Status is an error. Without a Status the exec broke off (kReset): whether the
  /// program ran to its end is unknown.
  KubeResult<ExecResult> Finish() const;

 private:
  struct Outcome {
    std::optional<int> exit_code;  // nothing: `failure` says why
    Status failure;
  };

  Result<void, DecodeError> ReadStatus(std::string_view text);
  void Append(std::string& stream, std::string_view bytes);

  std::size_t max_output_bytes_;
  bool stream_ = false;
  ExecResult result_;
  std::optional<Outcome> status_;
};

}  // namespace breakwater::kube
