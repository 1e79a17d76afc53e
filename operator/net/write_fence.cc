#include "operator/net/write_fence.h"

#include <utility>

#include "operator/base/thread.h"

namespace breakwater::net {
namespace {

TransportError Refused() {
  return {.kind = TransportError::Kind::kCanceled,
          .message = "not sent: this replica does not hold the lease any more",
          .not_sent = true};
}

class FencedTransport final : public HttpTransport {
 public:
  FencedTransport(std::shared_ptr<HttpTransport> inner, const WriteFence& fence)
      : inner_(std::move(inner)), fence_(fence) {}

  Result<Response, TransportError> Send(const Context& ctx, const Request& request) override {
    if (IsRead(request)) {
      return inner_->Send(ctx, request);
    }
    if (!fence_.IsOpen()) {
      return Unexpected{Refused()};
    }
    LinkedStopSource either(ctx.stop());
    const std::stop_callback on_end(fence_.ended(), [&either] { either.RequestStop(); });
    return inner_->Send(ctx.WithStop(either.token()), Once(request));
  }

  Result<StreamResponse, TransportError> Open(const Context& ctx,
                                              const Request& request,
                                              std::chrono::milliseconds idle_timeout) override {
    if (IsRead(request)) {
      return inner_->Open(ctx, request, idle_timeout);
    }
    if (!fence_.IsOpen()) {
      return Unexpected{Refused()};
    }
    return inner_->Open(ctx, Once(request), idle_timeout);
  }

 private:
  static bool IsRead(const Request& request) {
    return request.method == "GET" || request.method == "HEAD";
  }

  /// The HTTP library repeats what it sent on a kept connection that closed, and does not ask us.
  static Request Once(Request request) {
    request.fresh_connection = true;
    return request;
  }

  const std::shared_ptr<HttpTransport> inner_;
  const WriteFence& fence_;
};

/// A program that runs already goes on, but is told nothing more.
class FencedWebSocket final : public WebSocket {
 public:
  FencedWebSocket(std::unique_ptr<WebSocket> inner, const WriteFence& fence)
      : inner_(std::move(inner)), fence_(fence) {}

  const std::string& subprotocol() const override { return inner_->subprotocol(); }

  Result<std::optional<std::string>, TransportError> Read(const Context& ctx) override {
    return inner_->Read(ctx);
  }

  Result<void, TransportError> Write(const Context& ctx, std::string_view message) override {
    if (!fence_.IsOpen()) {
      return Unexpected{Refused()};
    }
    return inner_->Write(ctx.WithDeadline(fence_.deadline()), message);
  }

  void Close() override { inner_->Close(); }

 private:
  const std::unique_ptr<WebSocket> inner_;
  const WriteFence& fence_;
};

class FencedConnector final : public WebSocketConnector {
 public:
  FencedConnector(std::unique_ptr<WebSocketConnector> inner, const WriteFence& fence)
      : inner_(std::move(inner)), fence_(fence) {}

  Result<std::unique_ptr<WebSocket>, UpgradeError> Connect(const Context& ctx,
                                                           const UpgradeRequest& request) override {
    if (!fence_.IsOpen()) {
      return Unexpected{UpgradeError(Refused())};
    }
    LinkedStopSource either(ctx.stop());
    const std::stop_callback on_end(fence_.ended(), [&either] { either.RequestStop(); });
    auto socket =
        inner_->Connect(ctx.WithStop(either.token()).WithDeadline(fence_.deadline()), request);
    if (!socket || *socket == nullptr) {
      return socket;
    }
    return std::unique_ptr<WebSocket>(
        std::make_unique<FencedWebSocket>(std::move(*socket), fence_));
  }

 private:
  const std::unique_ptr<WebSocketConnector> inner_;
  const WriteFence& fence_;
};

}  // namespace

std::unique_ptr<HttpTransport> FenceWrites(std::shared_ptr<HttpTransport> inner,
                                           const WriteFence& fence) {
  return std::make_unique<FencedTransport>(std::move(inner), fence);
}

std::unique_ptr<WebSocketConnector> FenceWrites(std::unique_ptr<WebSocketConnector> inner,
                                                const WriteFence& fence) {
  return std::make_unique<FencedConnector>(std::move(inner), fence);
}

}  // namespace breakwater::net
