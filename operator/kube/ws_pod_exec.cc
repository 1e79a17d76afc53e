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

class WsExecStream final : public ExecStream {
 public:
  explicit WsExecStream(std::unique_ptr<net::WebSocket> socket) : socket_(std::move(socket)) {}

  KubeResult<std::optional<std::string>> Read(const Context& ctx) override {
    while (!ended_) {
      const Context reading = end_ ? ctx.WithDeadline(*end_) : ctx;
      const auto message = socket_->Read(reading);
      const bool grace_is_over = end_ && ctx.clock().SteadyNow() >= *end_;
      if (!message && GaveUp(message.error()) && !grace_is_over) {
        return Unexpected{KubeError(message.error())};
      }
      if (!message || !message->has_value()) {
        ended_ = true;
        break_ = message || decoder_.has_status() ? std::nullopt
                                                  : std::optional<KubeError>(message.error());
        continue;
      }
      if (const auto fed = decoder_.Feed(**message); !fed) {
        ended_ = true;
        break_ = KubeError(fed.error());
        continue;
      }
      if (decoder_.has_status() && !end_) {
        end_ = ctx.clock().SteadyNow() + kGraceAfterStatus;
      }
      if (std::string out = decoder_.TakeOut(); !out.empty()) {
        return std::optional<std::string>(std::move(out));
      }
    }
    if (break_) {
      return Unexpected{*break_};
    }
    if (!decoder_.has_status()) {
      return Unexpected{decoder_.Finish().error()};
    }
    return std::optional<std::string>();
  }

  KubeResult<void> Write(const Context& ctx, std::string_view bytes) override {
    for (const std::string& message : StdinMessages(bytes)) {
      if (const auto written = socket_->Write(ctx, message); !written) {
        return Unexpected{KubeError(written.error())};
      }
    }
    return {};
  }

  KubeResult<ExecResult> Ended() const override { return decoder_.Finish(); }

  void Close() override { socket_->Close(); }

 private:
  /// The wait ended, not the connection.
  static bool GaveUp(const net::TransportError& error) {
    return error.kind == net::TransportError::Kind::kTimeout ||
           error.kind == net::TransportError::Kind::kCanceled;
  }

  const std::unique_ptr<net::WebSocket> socket_;
  // All of the reading thread.
  ExecDecoder decoder_ = ExecDecoder::ForStream();
  bool ended_ = false;
  std::optional<KubeError> break_{};
  std::optional<SteadyTime> end_{};  ///< when the rest of the output has to be there
};

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
    BREAKWATER_ASSIGN_OR_RETURN(const std::unique_ptr<net::WebSocket> socket,
                                Connect(ctx, request, {.target = ExecTarget(request)}));
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

  KubeResult<std::unique_ptr<ExecStream>> Open(const Context& ctx,
                                               const ExecRequest& request) override {
    BREAKWATER_ASSIGN_OR_RETURN(std::unique_ptr<net::WebSocket> socket,
                                Connect(ctx, request,
                                        {.target = ExecTarget(request, /*with_stdin=*/true),
                                         .max_message_bytes = request.max_output_bytes}));
    return std::unique_ptr<ExecStream>(std::make_unique<WsExecStream>(std::move(socket)));
  }

 private:
  KubeResult<std::unique_ptr<net::WebSocket>> Connect(const Context& ctx,
                                                      const ExecRequest& request,
                                                      net::UpgradeRequest upgrade) {
    if (const std::string problem = ExecProblem(request); !problem.empty()) {
      return Unexpected{
          KubeError(Status{.code = 400, .reason = "BadRequest", .message = "exec: " + problem})};
    }
    upgrade.subprotocols = {kExecProtocolV5, kExecProtocolV4};
    bool token_renewed = false;
    KubeResult<std::unique_ptr<net::WebSocket>> socket = ConnectOnce(ctx, upgrade, token_renewed);
    return token_renewed ? ConnectOnce(ctx, upgrade, token_renewed) : std::move(socket);
  }

  KubeResult<std::unique_ptr<net::WebSocket>> ConnectOnce(const Context& ctx,
                                                          net::UpgradeRequest upgrade,
                                                          bool& token_renewed) {
    upgrade.headers = {{"User-Agent", options_.user_agent}};
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
