#include "operator/net/beast_websocket.h"

#include <utility>  // Boost 1.74's asio/awaitable.hpp forgets it

#include <algorithm>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/beast/core/buffers_to_string.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/ssl/ssl_stream.hpp>
#include <boost/beast/websocket.hpp>
#include <boost/beast/websocket/ssl.hpp>

#include "operator/net/resolve.h"
#include "operator/net/url.h"

namespace breakwater::net {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace websocket = beast::websocket;
using beast::error_code;
using Kind = TransportError::Kind;
using Stream = websocket::stream<beast::ssl_stream<beast::tcp_stream>>;

/// The longest single step of a context without a deadline.
constexpr std::chrono::hours kNoDeadline{24};

class BeastWebSocket final : public WebSocket {
 public:
  explicit BeastWebSocket(asio::ssl::context tls) : tls_(std::move(tls)), stream_(io_, tls_) {}

  ~BeastWebSocket() override { Close(); }

  BeastWebSocket(const BeastWebSocket&) = delete;
  BeastWebSocket& operator=(const BeastWebSocket&) = delete;

  Result<void, UpgradeError> Connect(const Context& ctx,
                                     const Url& url,
                                     const std::string& server_name,
                                     const UpgradeRequest& request,
                                     TlsFailure& failure);

  const std::string& subprotocol() const override { return subprotocol_; }

  Result<std::optional<std::string>, TransportError> Read(const Context& ctx) override {
    beast::flat_buffer buffer(max_message_bytes_);
    const error_code error =
        Run(ctx, [&](auto done) { stream_.async_read(buffer, std::move(done)); });
    // Many servers drop TLS right after their close frame, without close_notify: that is an order
    // too.
    if (error == websocket::error::closed || (error && stream_.reason())) {
      return std::optional<std::string>();
    }
    if (error == websocket::error::buffer_overflow) {
      return Unexpected{TransportError{Kind::kTooLarge, error.message()}};
    }
    if (error) {
      return Unexpected{Explain(ctx, error, Kind::kReset, "read", false)};
    }
    return std::optional<std::string>(beast::buffers_to_string(buffer.data()));
  }

  Result<void, TransportError> Write(const Context& ctx, std::string_view message) override {
    const error_code error = Run(ctx, [&](auto done) {
      stream_.async_write(asio::buffer(message.data(), message.size()), std::move(done));
    });
    if (error) {
      return Unexpected{Explain(ctx, error, Kind::kReset, "write", false)};
    }
    return {};
  }

 private:
  /// Starts an operation and serves it on this thread until it is done. At the deadline or on a
  /// stop request the socket is closed, which makes every operation end at once.
  template <typename Start>
  error_code Run(const Context& ctx, const Start& start) {
    bool done = false;
    error_code result;
    timed_out_ = false;
    start([&](error_code error, auto&&...) {
      result = error;
      done = true;
    });
    const std::stop_callback on_stop(ctx.stop(), [this] { asio::post(io_, [this] { Close(); }); });
    const auto deadline = std::chrono::steady_clock::now() + ctx.Remaining(kNoDeadline);
    io_.restart();
    while (!done) {  // NOLINT(bugprone-infinite-loop): a handler of io_ ends it
      if (!timed_out_ && io_.run_one_until(deadline) == 0 && !done) {
        timed_out_ = true;
        Close();
      } else if (timed_out_) {
        io_.restart();
        io_.run_one();
      }
    }
    return result;
  }

  void Close() {
    error_code ignored;
    beast::get_lowest_layer(stream_).socket().close(ignored);
  }

  TransportError Explain(const Context& ctx,
                         const error_code& error,
                         Kind kind,
                         const char* step,
                         bool not_sent) const {
    if (ctx.canceled()) {
      return {Kind::kCanceled, "canceled", not_sent};
    }
    if (timed_out_) {
      return {Kind::kTimeout, std::string("no ") + step + " in time", not_sent};
    }
    return {kind, std::string(step) + ": " + error.message(), not_sent};
  }

  Result<void, UpgradeError> Upgrade(const Context& ctx,
                                     const Url& url,
                                     const UpgradeRequest& request);

  asio::io_context io_{1};
  asio::ssl::context tls_;
  Stream stream_;
  std::string subprotocol_;
  std::size_t max_message_bytes_ = 0;
  bool timed_out_ = false;
};

Result<void, UpgradeError> BeastWebSocket::Connect(const Context& ctx,
                                                   const Url& url,
                                                   const std::string& server_name,
                                                   const UpgradeRequest& request,
                                                   TlsFailure& failure) {
  const auto addresses = Resolve(ctx, url.host);
  if (!addresses) {
    return Unexpected{UpgradeError(addresses.error())};
  }
  std::vector<asio::ip::tcp::endpoint> endpoints;
  for (const std::string& address : *addresses) {
    endpoints.emplace_back(asio::ip::make_address(address), url.port);
  }
  error_code error = Run(ctx, [&](auto done) {
    beast::get_lowest_layer(stream_).async_connect(endpoints, std::move(done));
  });
  if (error) {
    return Unexpected{UpgradeError(Explain(ctx, error, Kind::kConnect, "connection", true))};
  }
  error_code not_an_address;
  asio::ip::make_address(server_name, not_an_address);
  if (not_an_address) {  // an address is not allowed as server name indication (RFC 6066)
    // SSL_set_tlsext_host_name() is a macro with C casts.
    SSL_ctrl(stream_.next_layer().native_handle(), SSL_CTRL_SET_TLSEXT_HOSTNAME,
             TLSEXT_NAMETYPE_host_name, const_cast<char*>(server_name.c_str()));
  }
  error = Run(ctx, [&](auto done) {
    stream_.next_layer().async_handshake(asio::ssl::stream_base::client, std::move(done));
  });
  if (error) {
    TransportError tls = Explain(ctx, error, Kind::kTls, "TLS handshake", true);
    const std::string reason = failure.Take();
    tls.message += reason.empty() ? "" : " (" + reason + ")";
    return Unexpected{UpgradeError(tls)};
  }
  return Upgrade(ctx, url, request);
}

Result<void, UpgradeError> BeastWebSocket::Upgrade(const Context& ctx,
                                                   const Url& url,
                                                   const UpgradeRequest& request) {
  stream_.binary(true);
  // The limit is the buffer's: Beast's own would first try to close in order with the sender.
  stream_.read_message_max(0);
  max_message_bytes_ = request.max_message_bytes;
  std::string offered;
  for (const std::string& subprotocol : request.subprotocols) {
    offered += (offered.empty() ? "" : ", ") + subprotocol;
  }
  stream_.set_option(websocket::stream_base::decorator([&](websocket::request_type& head) {
    if (!offered.empty()) {
      head.set(beast::http::field::sec_websocket_protocol, offered);
    }
    for (const auto& [name, value] : request.headers) {
      head.set(name, value);
    }
  }));
  websocket::response_type response;
  const error_code error = Run(ctx, [&](auto done) {
    stream_.async_handshake(response, url.Authority(), url.path + request.target, std::move(done));
  });
  if (error == websocket::error::upgrade_declined) {
    Response refused{static_cast<int>(response.result_int()), {}, response.body()};
    for (const auto& field : response) {
      refused.headers.emplace_back(std::string(field.name_string()), std::string(field.value()));
    }
    return Unexpected{UpgradeError(std::move(refused))};
  }
  if (error) {
    return Unexpected{UpgradeError(Explain(ctx, error, Kind::kReset, "upgrade", false))};
  }
  subprotocol_ = std::string(response[beast::http::field::sec_websocket_protocol]);
  const auto& wanted = request.subprotocols;
  if (!wanted.empty() && std::find(wanted.begin(), wanted.end(), subprotocol_) == wanted.end()) {
    return Unexpected{UpgradeError(
        TransportError{Kind::kProtocol, "the server chose subprotocol \"" + subprotocol_ + "\""})};
  }
  return {};
}

class BeastConnector final : public WebSocketConnector {
 public:
  BeastConnector(TransportOptions options, Url url)
      : options_(std::move(options)),
        url_(std::move(url)),
        server_name_(options_.tls_server_name.empty() ? url_.host : options_.tls_server_name) {}

  Result<std::unique_ptr<WebSocket>, UpgradeError> Connect(const Context& ctx,
                                                           const UpgradeRequest& request) override {
    for (const auto& [name, value] : request.headers) {
      if (!ValidHeader(name, value)) {
        return Unexpected{UpgradeError(
            TransportError{Kind::kProtocol, "control character in header " + name, true})};
      }
    }
    try {
      asio::ssl::context tls(asio::ssl::context::tls_client);
      const auto failure = std::make_shared<TlsFailure>();
      const auto configured =
          options_.tls->Get()->ConfigureClient(tls.native_handle(), server_name_, failure);
      if (!configured) {
        return Unexpected{
            UpgradeError(TransportError{Kind::kTls, configured.error().message, true})};
      }
      auto socket = std::make_unique<BeastWebSocket>(std::move(tls));
      BREAKWATER_RETURN_IF_ERROR(socket->Connect(ctx, url_, server_name_, request, *failure));
      return std::unique_ptr<WebSocket>(std::move(socket));
    } catch (const std::exception& error) {
      return Unexpected{UpgradeError(TransportError{Kind::kProtocol, error.what()})};
    }
  }

 private:
  const TransportOptions options_;
  const Url url_;
  const std::string server_name_;
};

}  // namespace

Result<std::unique_ptr<WebSocketConnector>, Error> MakeBeastConnector(TransportOptions options) {
  BREAKWATER_ASSIGN_OR_RETURN(Url url, ParseUrl(options.base_url));
  if (!url.secure || options.tls == nullptr || options.tls->Get() == nullptr) {
    return Unexpected{Error{ErrorClass::kInvalid,
                            "a websocket needs https and TLS material: " + options.base_url}};
  }
  return std::unique_ptr<WebSocketConnector>(
      std::make_unique<BeastConnector>(std::move(options), std::move(url)));
}

}  // namespace breakwater::net
