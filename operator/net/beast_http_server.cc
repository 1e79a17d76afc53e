// HttpServer over Boost.Beast: cpprestsdk's listener leaks descriptors and buffers without limit.

#include <utility>  // Boost 1.74's asio/awaitable.hpp forgets it

#include <atomic>
#include <optional>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/strand.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/ssl/ssl_stream.hpp>

#include "operator/base/thread.h"
#include "operator/net/connection_table.h"
#include "operator/net/http_server.h"

namespace breakwater::net {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using asio::ip::tcp;
using beast::error_code;
using PlainStream = beast::tcp_stream;
using TlsStream = beast::ssl_stream<beast::tcp_stream>;

/// How long requests in work may take when the server stops; the whole stop must stay under 1 s.
constexpr std::chrono::milliseconds kStopGrace{500};

/// What is read at once.
constexpr std::size_t kReadBytes = 65536;

/// What all sessions share; lives until the io_context is destroyed.
struct Shared {
  HttpServerOptions options;
  RequestHandler handler;
  Logger log;
  ConnectionTable table{static_cast<std::size_t>(options.max_connections)};
  std::atomic<int> connections = 0;  // those that were taken out of the table and still close, too
};

/// One connection. Kept alive by the handler of its pending operation; runs on its own strand.
template <typename Stream>
class Session : public std::enable_shared_from_this<Session<Stream>> {
 public:
  Session(Shared& shared, tcp::socket socket, std::shared_ptr<asio::ssl::context> tls)
      : shared_(shared),
        tls_(std::move(tls)),
        stream_(MakeStream(std::move(socket), tls_.get())),
        buffer_(shared.options.max_header_bytes + kReadBytes) {
    ++shared_.connections;
  }

  ~Session() {
    if (in_work_) {
      shared_.table.End(*entry_);
    }
    if (entry_) {
      shared_.table.Remove(*entry_);
    }
    --shared_.connections;
  }

  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  void Start() {
    entry_ = shared_.table.Add([weak = this->weak_from_this()] {
      if (const auto self = weak.lock()) {
        self->Close();
      }
    });
    if (!entry_) {
      return;  // the others are all in work; the socket closes itself
    }
    Expire(shared_.options.read_timeout);
    if constexpr (std::is_same_v<Stream, TlsStream>) {
      stream_.async_handshake(asio::ssl::stream_base::server,
                              [self = this->shared_from_this()](error_code error) {
                                if (!error) {
                                  self->ReadRequest();
                                }
                              });
    } else {
      ReadRequest();
    }
  }

  /// From any thread. What is pending ends with an error, and the session with it.
  void Close() {
    asio::post(stream_.get_executor(), [self = this->shared_from_this()] {
      beast::get_lowest_layer(self->stream_).close();
    });
  }

 private:
  static Stream MakeStream(tcp::socket socket, asio::ssl::context* tls) {
    if constexpr (std::is_same_v<Stream, TlsStream>) {
      return Stream(std::move(socket), *tls);
    } else {
      (void)tls;
      return Stream(std::move(socket));
    }
  }

  void Expire(std::chrono::milliseconds time) {
    beast::get_lowest_layer(stream_).expires_after(time);
  }

  void ReadRequest() {
    Expire(shared_.options.read_timeout);
    parser_.emplace();
    parser_->header_limit(static_cast<std::uint32_t>(shared_.options.max_header_bytes));
    parser_->body_limit(shared_.options.max_body_bytes);
    http::async_read(
        stream_, buffer_, *parser_,
        [self = this->shared_from_this()](error_code error, std::size_t) { self->OnRead(error); });
  }

  /// Between requests: waits long for the first byte, and the read limit starts with it.
  void AwaitNext() {
    if (buffer_.size() > 0) {
      ReadRequest();
      return;
    }
    Expire(shared_.options.idle_timeout);
    stream_.async_read_some(buffer_.prepare(4096),
                            [self = this->shared_from_this()](error_code error, std::size_t size) {
                              if (!error) {
                                self->buffer_.commit(size);
                                self->ReadRequest();
                              }
                            });
  }

  void OnRead(error_code error) {
    if (!error) {
      return Answer();
    }
    if (error == http::error::header_limit) {
      return Write({431, {}, "request header too large\n"}, true);
    }
    if (error == http::error::body_limit) {
      return Write({413, {}, "request body too large\n"}, true);
    }
    const bool malformed = error.category() == make_error_code(http::error::bad_version).category();
    // Among them a chunk extension or a trailer that fills the buffer.
    if (malformed && error != http::error::end_of_stream && error != http::error::partial_message) {
      return Write({400, {}, "bad request\n"}, true);
    }
    // Slow, gone or broken: nobody is there to read an answer.
  }

  void Answer() {
    if (!shared_.table.Begin(*entry_)) {
      return;  // closed in favour of another
    }
    in_work_ = true;
    auto message = parser_->release();
    Request request{.method = std::string(message.method_string()),
                    .target = std::string(message.target()),
                    .body = std::move(message.body())};
    for (const auto& field : message) {
      request.headers.emplace_back(std::string(field.name_string()), std::string(field.value()));
    }
    Response response{500, {}, "internal error\n"};
    try {
      response = shared_.handler(request);
    } catch (const std::exception& failure) {
      shared_.log.Error("request handler failed",
                        {{"method", request.method}, {"error", failure.what()}});
    }
    Write(std::move(response), !message.keep_alive(), message.method() == http::verb::head);
  }

  void Write(Response response, bool close, bool head_only = false) {
    reply_ = {};
    reply_.version(11);
    reply_.result(static_cast<unsigned>(response.status));
    for (const auto& [name, value] : response.headers) {
      if (ValidHeader(name, value)) {
        reply_.set(name, value);
      }
    }
    reply_.body() = std::move(response.body);
    reply_.keep_alive(!close);
    reply_.prepare_payload();
    Expire(shared_.options.read_timeout);
    const auto written = [self = this->shared_from_this(), close](error_code error, std::size_t) {
      self->OnWritten(error, close);
    };
    if (head_only) {  // with the Content-Length of the body that is not sent
      http::async_write_header(stream_, serializer_.emplace(reply_), written);
    } else {
      http::async_write(stream_, serializer_.emplace(reply_), written);
    }
  }

  void OnWritten(error_code error, bool close) {
    if (std::exchange(in_work_, false)) {
      shared_.table.End(*entry_);
    }
    if (error) {
      return;
    }
    if (!close) {
      return AwaitNext();
    }
    // Ends the sending side first and reads what is still on its way: closing with unread bytes
    // (the rest of a body that was too large) sends a reset, which can overtake the reply.
    beast::get_lowest_layer(stream_).socket().shutdown(tcp::socket::shutdown_send, error);
    Drain();
  }

  void Drain() {
    buffer_.clear();
    beast::get_lowest_layer(stream_).async_read_some(
        buffer_.prepare(kReadBytes),
        [self = this->shared_from_this()](error_code error, std::size_t) {
          if (!error) {
            self->Drain();  // until the peer closes or the time is over
          }
        });
  }

  Shared& shared_;
  const std::shared_ptr<asio::ssl::context> tls_;
  Stream stream_;
  /// Limited: the parser keeps chunk extensions and trailers here until they are whole, and its own
  /// limits count neither.
  beast::flat_buffer buffer_;
  std::optional<http::request_parser<http::string_body>> parser_;
  http::response<http::string_body> reply_;
  std::optional<http::response_serializer<http::string_body>> serializer_;  // of reply_
  std::optional<ConnectionTable::Entry> entry_;
  bool in_work_ = false;
};

class BeastHttpServer final : public HttpServer {
 public:
  BeastHttpServer(HttpServerOptions options, RequestHandler handler, Logger log)
      : shared_{.options = std::move(options),
                .handler = std::move(handler),
                .log = std::move(log)},
        io_(shared_.options.threads),
        acceptor_(asio::make_strand(io_)),
        pause_(acceptor_.get_executor()) {}

  ~BeastHttpServer() override {
    asio::post(acceptor_.get_executor(), [this] {
      error_code ignored;
      acceptor_.close(ignored);
    });
    shared_.table.AwaitIdle(kStopGrace);
    io_.stop();
    threads_.clear();  // joins
  }

  BeastHttpServer(const BeastHttpServer&) = delete;
  BeastHttpServer& operator=(const BeastHttpServer&) = delete;

  Result<void, Error> Start() {
    if (shared_.options.tls != nullptr) {
      BREAKWATER_RETURN_IF_ERROR(RefreshTls());
    }
    error_code error = Bind();
    if (error) {
      return Unexpected{Error{ErrorClass::kTransient,
                              "listen on " + shared_.options.address + " port " +
                                  std::to_string(shared_.options.port) + ": " + error.message()}};
    }
    Accept();
    for (int i = 0; i < shared_.options.threads; ++i) {
      threads_.emplace_back("http-server", [this](const std::stop_token&) { io_.run(); });
    }
    return {};
  }

  std::uint16_t port() const override { return acceptor_.local_endpoint().port(); }

  int connections() const override { return shared_.connections; }

 private:
  error_code Bind() {
    error_code error;
    auto address = asio::ip::make_address(shared_.options.address, error);
    if (error) {
      return error;
    }
    acceptor_.open(address.is_v6() ? tcp::v6() : tcp::v4(), error);
    if (error && address == asio::ip::address_v6::any()) {  // a machine without IPv6
      address = asio::ip::address_v4::any();
      acceptor_.open(tcp::v4(), error);
    }
    if (!error && address.is_v6()) {
      acceptor_.set_option(asio::ip::v6_only(false), error);
    }
    if (!error) {
      acceptor_.set_option(asio::socket_base::reuse_address(true), error);
      acceptor_.bind({address, shared_.options.port}, error);
    }
    if (!error) {
      acceptor_.listen(asio::socket_base::max_listen_connections, error);
    }
    return error;
  }

  /// A new context when the material changed; the old one stays when the new one cannot be used.
  Result<void, Error> RefreshTls() {
    const std::shared_ptr<const TlsMaterial> material = shared_.options.tls->Get();
    if (material == material_ && tls_ != nullptr) {
      return {};
    }
    material_ = material;
    if (material == nullptr) {
      return Unexpected{Error{ErrorClass::kInvalid, "a TLS server needs a certificate"}};
    }
    auto fresh = std::make_shared<asio::ssl::context>(asio::ssl::context::tls_server);
    BREAKWATER_RETURN_IF_ERROR(material->ConfigureServer(fresh->native_handle()));
    tls_ = std::move(fresh);
    return {};
  }

  /// Only one accept is pending at a time, so its handlers never run side by side.
  void Accept() {
    acceptor_.async_accept(asio::make_strand(io_), [this](error_code error, tcp::socket socket) {
      if (!acceptor_.is_open()) {
        return;
      }
      if (!error) {
        Serve(std::move(socket));
        Accept();
        return;
      }
      // Out of file descriptors, mostly: the next accept would fail at once as well.
      shared_.log.Warn("accept failed", {{"error", error.message()}});
      pause_.expires_after(std::chrono::milliseconds(100));
      pause_.async_wait([this](error_code canceled) {
        if (!canceled) {
          Accept();
        }
      });
    });
  }

  void Serve(tcp::socket socket) {
    if (shared_.options.tls == nullptr) {
      std::make_shared<Session<PlainStream>>(shared_, std::move(socket), nullptr)->Start();
      return;
    }
    if (const auto refreshed = RefreshTls(); !refreshed) {
      shared_.log.Error("certificate not usable, keeping the old one",
                        {{"error", refreshed.error().message}});
    }
    std::make_shared<Session<TlsStream>>(shared_, std::move(socket), tls_)->Start();
  }

  Shared shared_;  // before io_, whose destructor ends the sessions
  std::shared_ptr<const TlsMaterial> material_;
  std::shared_ptr<asio::ssl::context> tls_;
  asio::io_context io_;
  tcp::acceptor
      acceptor_;  // on a strand with pause_: the destructor closes it while a thread accepts
  asio::steady_timer pause_;
  std::vector<Thread> threads_;
};

}  // namespace

Result<std::unique_ptr<HttpServer>, Error> StartHttpServer(HttpServerOptions options,
                                                           RequestHandler handler,
                                                           Logger log) {
  try {
    auto server =
        std::make_unique<BeastHttpServer>(std::move(options), std::move(handler), std::move(log));
    BREAKWATER_RETURN_IF_ERROR(server->Start());
    return std::unique_ptr<HttpServer>(std::move(server));
  } catch (const std::exception& error) {
    return Unexpected{Error{ErrorClass::kTransient, std::string("HTTP server: ") + error.what()}};
  }
}

}  // namespace breakwater::net
