#include "operator/kube/ws_pod_exec.h"

#include <utility>

#include "operator/kube/exec_protocol.h"
#include "operator/kube/status.h"

namespace breakwater::kube {
namespace {

/// How long the rest of the output may take after the exit status: it is already on its way, and a
/// server that forgets to close must not turn a success into a timeout.
constexpr std::chrono::seconds kGraceAfterStatus{5};

KubeError ToKubeError(const net::UpgradeError& error) {
  if (const auto* transport = std::get_if<net::TransportError>(&error)) {
    return *transport;
  }
  const auto& response = std::get<net::Response>(error);
  return DecodeStatus(response.status, response.headers, response.body);
}

class WsPodExec final : public PodExec {
 public:
  WsPodExec(net::WebSocketConnector& connector,
            Credentials* credentials,
            const Clock& clock,
            HttpClientOptions options)
      : connector_(connector),
        credentials_(credentials),
        clock_(clock),
        options_(std::move(options)) {}

  KubeResult<ExecResult> Exec(const Context& ctx, const ExecRequest& request) override {
    if (const std::string problem = ExecProblem(request); !problem.empty()) {
      return Unexpected{
          KubeError(Status{.code = 400, .reason = "BadRequest", .message = "exec: " + problem})};
    }
    BREAKWATER_ASSIGN_OR_RETURN(const std::unique_ptr<net::WebSocket> socket,
                                Connect(ctx, request));
    ExecDecoder decoder(request.max_output_bytes);
    Context reading = ctx;
    while (true) {
      const auto message = socket->Read(reading);
      if (!message || !message->has_value()) {
        // However the connection ended, a status that was seen is the outcome; without one it is
        // unknown, and a deadline or a stop request is worth telling apart.
        return decoder.has_status() || message ? decoder.Finish()
                                               : Unexpected{KubeError(message.error())};
      }
      const bool had_status = decoder.has_status();
      BREAKWATER_RETURN_IF_ERROR(decoder.Feed(**message));
      if (decoder.has_status() && !had_status) {
        reading = ctx.WithTimeout(kGraceAfterStatus);
      }
    }
  }

 private:
  KubeResult<std::unique_ptr<net::WebSocket>> Connect(const Context& ctx,
                                                      const ExecRequest& request) {
    bool token_renewed = false;
    KubeResult<std::unique_ptr<net::WebSocket>> socket = ConnectOnce(ctx, request, token_renewed);
    return token_renewed ? ConnectOnce(ctx, request, token_renewed) : std::move(socket);
  }

  KubeResult<std::unique_ptr<net::WebSocket>> ConnectOnce(const Context& ctx,
                                                          const ExecRequest& request,
                                                          bool& token_renewed) {
    net::UpgradeRequest upgrade{.target = ExecTarget(request),
                                .headers = {{"User-Agent", options_.user_agent}},
                                .subprotocols = {kExecProtocolV5, kExecProtocolV4}};
    const Secret<> token = credentials_ == nullptr ? Secret<>() : credentials_->Token();
    if (!token.empty()) {
      upgrade.headers.emplace_back("Authorization", "Bearer " + token.Expose());
    }
    const SteadyTime start = clock_.SteadyNow();
    auto socket = connector_.Connect(ctx, upgrade);
    KubeResult<std::unique_ptr<net::WebSocket>> result =
        socket ? KubeResult<std::unique_ptr<net::WebSocket>>(std::move(*socket))
               : Unexpected{ToKubeError(socket.error())};
    const int code = result ? 101 : result.error().code();
    if (options_.on_request) {
      const std::chrono::duration<double> took = clock_.SteadyNow() - start;
      options_.on_request(
          {.verb = "create", .resource = "pods/exec", .code = code, .seconds = took.count()});
    }
    token_renewed = code == 401 && credentials_ != nullptr && credentials_->Unauthorized(token);
    return result;
  }

  net::WebSocketConnector& connector_;
  Credentials* const credentials_;
  const Clock& clock_;
  const HttpClientOptions options_;
};

}  // namespace

std::unique_ptr<PodExec> MakeWsPodExec(net::WebSocketConnector& connector,
                                       Credentials* credentials,
                                       const Clock& clock,
                                       HttpClientOptions options) {
  return std::make_unique<WsPodExec>(connector, credentials, clock, std::move(options));
}

}  // namespace breakwater::kube
