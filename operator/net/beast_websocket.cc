#include "operator/net/beast_websocket.h"

#include <utility>  // Boost 1.74's asio/awaitable.hpp forgets it

#include <algorithm>
#include <condition_variable>
#include <mutex>

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

/// Who waits for an operation serves io_ itself, unless another thread already does; that one then
/// finishes both operations and hands the work over when its own is done. Only the thread that
/// serves io_ touches stream_.
class BeastWebSocket final : public WebSocket {
 public:
  explicit BeastWebSocket(asio::ssl::context tls) : tls_(std::move(tls)), stream_(io_, tls_) {}

  ~BeastWebSocket() override {
    Close();
    std::unique_lock lock(mutex_);
    if (reading_) {  // its handler writes into this object
      (void)Await(lock, Context(std::stop_token()), read_);
    }
  }

  BeastWebSocket(const BeastWebSocket&) = delete;
  BeastWebSocket& operator=(const BeastWebSocket&) = delete;

  Result<void, UpgradeError> Connect(const Context& ctx,
                                     const Url& url,
                                     const std::string& server_name,
                                     const UpgradeRequest& request,
                                     TlsFailure& failure);

  const std::string& subprotocol() const override { return subprotocol_; }

  Result<std::optional<std::string>, TransportError> Read(const Context& ctx) override;
  Result<void, TransportError> Write(const Context& ctx, std::string_view message) override;

  void Close() override {
    const std::lock_guard lock(mutex_);
    CloseLocked();
  }

 private:
  /// One operation of Asio and how it ended. Guarded by mutex_.
  struct Operation {
    bool done = false;
    bool in_order = false;  // the peer had said that it closes
    error_code error{};
    std::optional<Kind> gave_up{};
  };

  /// Runs an operation to its end. At the deadline or on a stop request the socket is closed, which
  /// makes every operation end at once.
  template <typename Start>
  Operation Run(const Context& ctx, const Start& start) {
    Operation operation;
    Begin(operation, start);
    const std::stop_callback wake(ctx.stop(), [this] { Wake(); });
    std::unique_lock lock(mutex_);
    if (!Await(lock, ctx, operation)) {
      operation.gave_up = ctx.canceled() ? Kind::kCanceled : Kind::kTimeout;
      CloseLocked();
      (void)Await(lock, Context(std::stop_token()), operation);
    }
    return operation;
  }

  /// `operation` and what `start` refers to must live until it is done.
  template <typename Start>
  void Begin(Operation& operation, const Start& start) {
    asio::post(io_, [this, &operation, start] {
      start([this, &operation](error_code error, auto&&...) {
        const bool in_order = error == websocket::error::closed || (error && stream_.reason());
        const std::lock_guard lock(mutex_);
        operation.error = error;
        operation.in_order = in_order;
        operation.done = true;
      });
    });
  }

  /// False when the deadline or a stop request came first; the operation then goes on.
  bool Await(std::unique_lock<std::mutex>& lock, const Context& ctx, const Operation& operation) {
    const auto deadline = std::chrono::steady_clock::now() + ctx.Remaining(kNoDeadline);
    while (!operation.done) {  // NOLINT(bugprone-infinite-loop): a handler of io_ ends it
      if (ctx.canceled() || std::chrono::steady_clock::now() >= deadline) {
        return false;
      }
      if (serving_) {
        changed_.wait_until(lock, deadline);
        continue;
      }
      serving_ = true;
      lock.unlock();
      io_.restart();
      io_.run_one_until(deadline);
      lock.lock();
      serving_ = false;
      changed_.notify_all();
    }
    return true;
  }

  /// Makes those who wait look at their stop requests.
  void Wake() {
    {
      const std::lock_guard lock(mutex_);
      changed_.notify_all();
    }
    asio::post(io_, [] {});
  }

  void CloseLocked() {
    closed_ = true;
    const auto close = [this] {
      error_code ignored;
      beast::get_lowest_layer(stream_).socket().close(ignored);
    };
    if (serving_) {
      asio::post(io_, close);
    } else {
      close();
    }
  }

  TransportError Explain(const Operation& operation, Kind kind, const char* step, bool not_sent) {
    if (operation.gave_up == Kind::kCanceled) {
      return {Kind::kCanceled, "canceled", not_sent};
    }
    if (operation.gave_up == Kind::kTimeout) {
      return {Kind::kTimeout, std::string("no ") + step + " in time", not_sent};
    }
    const std::lock_guard lock(mutex_);
    if (closed_) {
      return {Kind::kCanceled, "closed", not_sent};
    }
    return {kind, std::string(step) + ": " + operation.error.message(), not_sent};
  }

  Result<void, UpgradeError> Upgrade(const Context& ctx,
                                     const Url& url,
                                     const UpgradeRequest& request);

  asio::io_context io_{1};
  asio::ssl::context tls_;
  Stream stream_;
  std::string subprotocol_;            // constant once connected
  std::size_t max_message_bytes_ = 0;  // constant once connected

  std::mutex mutex_;
  std::condition_variable changed_;
  bool serving_ = false;  // a thread runs io_
  bool closed_ = false;
  /// The message that is being read: it outlives a Read that gave up, and the next one takes it.
  /// Used by the reading thread and, while it has not ended, by its operation.
  bool reading_ = false;
  Operation read_;
  std::optional<beast::flat_buffer> read_buffer_;
};

Result<std::optional<std::string>, TransportError> BeastWebSocket::Read(const Context& ctx) {
  if (!reading_) {
    reading_ = true;
    read_ = Operation();
    read_buffer_.emplace(max_message_bytes_);
    Begin(read_, [this](auto done) { stream_.async_read(*read_buffer_, std::move(done)); });
  }
  Operation operation;
  {
    const std::stop_callback wake(ctx.stop(), [this] { Wake(); });
    std::unique_lock lock(mutex_);
    const bool done = Await(lock, ctx, read_);
    operation = read_;
    if (!done) {
      operation.gave_up = ctx.canceled() ? Kind::kCanceled : Kind::kTimeout;
    }
  }
  if (operation.gave_up) {
    return Unexpected{Explain(operation, Kind::kReset, "read", false)};
  }
  reading_ = false;
  // Many servers drop TLS right after their close frame, without close_notify: that is an order
  // too.
  if (operation.in_order) {
    return std::optional<std::string>();
  }
  if (operation.error == websocket::error::buffer_overflow) {
    return Unexpected{TransportError{Kind::kTooLarge, operation.error.message()}};
  }
  if (operation.error) {
    return Unexpected{Explain(operation, Kind::kReset, "read", false)};
  }
  return std::optional<std::string>(beast::buffers_to_string(read_buffer_->data()));
}

Result<void, TransportError> BeastWebSocket::Write(const Context& ctx, std::string_view message) {
  const Operation operation = Run(ctx, [this, message](auto done) {
    stream_.async_write(asio::buffer(message.data(), message.size()), std::move(done));
  });
  if (operation.error) {
    return Unexpected{Explain(operation, Kind::kReset, "write", false)};
  }
  return {};
}

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
  Operation operation = Run(ctx, [&](auto done) {
    beast::get_lowest_layer(stream_).async_connect(endpoints, std::move(done));
  });
  if (operation.error) {
    return Unexpected{UpgradeError(Explain(operation, Kind::kConnect, "connection", true))};
  }
  error_code not_an_address;
  asio::ip::make_address(server_name, not_an_address);
  if (not_an_address) {  // an address is not allowed as server name indication (RFC 6066)
    // SSL_set_tlsext_host_name() is a macro with C casts.
    SSL_ctrl(stream_.next_layer().native_handle(), SSL_CTRL_SET_TLSEXT_HOSTNAME,
             TLSEXT_NAMETYPE_host_name, const_cast<char*>(server_name.c_str()));
  }
  operation = Run(ctx, [&](auto done) {
    stream_.next_layer().async_handshake(asio::ssl::stream_base::client, std::move(done));
  });
  if (operation.error) {
    TransportError tls = Explain(operation, Kind::kTls, "TLS handshake", true);
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
  stream_.auto_fragment(false);
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
  const Operation operation = Run(ctx, [&](auto done) {
    stream_.async_handshake(response, url.Authority(), url.path + request.target, std::move(done));
  });
  if (operation.error == websocket::error::upgrade_declined) {
    Response refused{static_cast<int>(response.result_int()), {}, response.body()};
    for (const auto& field : response) {
      refused.headers.emplace_back(std::string(field.name_string()), std::string(field.value()));
    }
    return Unexpected{UpgradeError(std::move(refused))};
  }
  if (operation.error) {
    return Unexpected{UpgradeError(Explain(operation, Kind::kReset, "upgrade", false))};
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
