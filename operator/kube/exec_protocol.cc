#include "operator/kube/exec_protocol.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include <nlohmann/json.hpp>

#include "operator/api/object.h"
#include "operator/kube/request.h"
#include "operator/kube/status.h"

namespace breakwater::kube {
namespace {

constexpr char kStdin = 0;
constexpr unsigned char kStdout = 1;
constexpr unsigned char kStderr = 2;
constexpr unsigned char kError = 3;
constexpr unsigned char kClose = 255;  // v5: the channel named in the next byte is at its end

/// The exit code in the causes of a Status with reason NonZeroExitCode.
std::optional<int> ExitCode(const Json& status) {
  const Json* causes = api::FindPath(status, {"details", "causes"});
  if (causes == nullptr || !causes->is_array()) {
    return std::nullopt;
  }
  for (const Json& cause : *causes) {
    const std::string text = api::StringAt(cause, "message");
    int code = 0;
    const char* end = text.data() + text.size();
    const auto read = std::from_chars(text.data(), end, code);
    if (api::StringAt(cause, "reason") == "ExitCode" && read.ec == std::errc() && read.ptr == end) {
      return code;
    }
  }
  return std::nullopt;
}

}  // namespace

std::string ExecTarget(const ExecRequest& request, bool with_stdin) {
  const ResourceInfo pods{.kind = "Pod", .plural = "pods"};
  std::string target = ResourcePath(pods, request.ns, request.pod, "exec") + "?";
  for (const std::string& argument : request.argv) {
    target += "command=" + PercentEncode(argument) + "&";
  }
  if (!request.container.empty()) {
    target += "container=" + PercentEncode(request.container) + "&";
  }
  return target + "stdout=true&stderr=true" + (with_stdin ? "&stdin=true" : "");
}

std::vector<std::string> StdinMessages(std::string_view bytes) {
  std::vector<std::string> messages;
  while (!bytes.empty()) {
    const std::string_view chunk = bytes.substr(0, kStdinChunkBytes);
    messages.push_back(std::string(1, kStdin).append(chunk));
    bytes.remove_prefix(chunk.size());
  }
  return messages;
}

std::string ExecProblem(const ExecRequest& request) {
  if (request.argv.empty() || request.argv.front().empty()) {
    return "the command is empty";
  }
  return KeyProblem({.kind = "Pod", .plural = "pods"}, {request.ns, request.pod});
}

void ExecDecoder::Append(std::string& stream, std::string_view bytes) {
  if (stream_) {
    stream += bytes;
    if (&stream == &result_.err && stream.size() > kStderrTailBytes) {
      stream.erase(0, stream.size() - kStderrTailBytes);
      result_.truncated = true;
    }
    return;
  }
  const std::size_t used = result_.out.size() + result_.err.size();
  const std::size_t room = max_output_bytes_ > used ? max_output_bytes_ - used : 0;
  result_.truncated = result_.truncated || bytes.size() > room;
  stream += bytes.substr(0, room);
}

Result<void, DecodeError> ExecDecoder::ReadStatus(std::string_view text) {
  const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) {
    return Unexpected{DecodeError{"the status of the exec is not a JSON object"}};
  }
  Outcome outcome;
  if (api::StringAt(json, "status") == "Success") {
    outcome.exit_code = 0;
  } else if (api::StringAt(json, "reason") == "NonZeroExitCode") {
    outcome.exit_code = ExitCode(json);
  }
  outcome.failure = StatusFromJson(json);
  if (outcome.failure.code == 0) {
    outcome.failure.code = 500;
  }
  status_ = std::move(outcome);
  return {};
}

Result<void, DecodeError> ExecDecoder::Feed(std::string_view message) {
  if (message.empty()) {
    return Unexpected{DecodeError{"an exec message without a channel"}};
  }
  const auto channel = static_cast<unsigned char>(message.front());
  const std::string_view bytes = message.substr(1);
  switch (channel) {
    case kStdout:
      Append(result_.out, bytes);
      return {};
    case kStderr:
      Append(result_.err, bytes);
      return {};
    case kError:
      // Servers open each channel with an empty message.
      return bytes.empty() ? Result<void, DecodeError>() : ReadStatus(bytes);
    case kClose:
      return {};
    default:
      return Unexpected{DecodeError{"an exec message on channel " + std::to_string(channel)}};
  }
}

KubeResult<ExecResult> ExecDecoder::Finish() const {
  if (!status_) {
    return Unexpected{KubeError(
        net::TransportError{net::TransportError::Kind::kReset, "the exec ended without a status"})};
  }
  if (!status_->exit_code) {
    return Unexpected{KubeError(status_->failure)};
  }
  ExecResult result = result_;
  result.exit_code = *status_->exit_code;
  return result;
}

}  // namespace breakwater::kube
