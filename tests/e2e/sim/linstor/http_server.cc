// The only file of the simulator that includes Boost.Beast.

#include "tests/e2e/sim/linstor/http_server.h"

#include <atomic>
#include <list>
#include <mutex>
#include <stdexcept>
#include <thread>
#include <utility>

#include <poll.h>
#include <sys/socket.h>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/ssl.hpp>

#include <spdlog/spdlog.h>

namespace breakwater::sim {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using Tcp = asio::ip::tcp;

/// A request body of LINSTOR's API is small; this only bounds what a broken test can do.
constexpr std::uint64_t kBodyLimit = 16U << 20U;

std::string Decode(const std::string& text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size()) {
      out += static_cast<char>(std::stoi(text.substr(i + 1, 2), nullptr, 16));
      i += 2;
    } else {
      out += text[i] == '+' ? ' ' : text[i];
    }
  }
  return out;
}

std::unique_ptr<asio::ssl::context> MakeContext(const TlsFiles& tls) {
  auto context = std::make_unique<asio::ssl::context>(asio::ssl::context::tls_server);
  context->use_certificate_chain_file(tls.certificate);
  context->use_private_key_file(tls.key, asio::ssl::context::pem);
  SSL_CTX_set_min_proto_version(context->native_handle(), TLS1_2_VERSION);
  if (!tls.client_ca.empty()) {
    context->load_verify_file(tls.client_ca);
    // Every certificate is let through here and judged after the handshake: LINSTOR's server
    // completes the handshake and then answers nothing.
    context->set_verify_mode(asio::ssl::verify_peer);
    context->set_verify_callback([](bool, asio::ssl::verify_context&) { return true; });
  }
  return context;
}

http::response<http::string_body> ToBeast(const HttpReply& reply,
                                          const HttpRequest& request,
                                          bool keep_alive) {
  http::response<http::string_body> out;
  out.version(11);
  out.result(static_cast<unsigned>(reply.status));
  out.set("Access-Control-Allow-Origin", "*");
  out.set("Access-Control-Allow-Headers", "origin, content-type, accept, authorization");
  out.set("Access-Control-Allow-Credentials", "true");
  out.set("Access-Control-Allow-Methods", "GET, POST, PUT, DELETE, OPTIONS, HEAD");
  if (!reply.content_type.empty()) {
    out.set(http::field::content_type, reply.content_type);
  }
  for (const auto& [name, value] : reply.headers) {
    out.set(name, value);
  }
  out.keep_alive(keep_alive);
  out.body() = request.method == "HEAD" ? "" : reply.body;
  out.prepare_payload();
  return out;
}

}  // namespace

void ParseTarget(const std::string& target, HttpRequest& request) {
  const auto mark = target.find('?');
  request.path = Decode(target.substr(0, mark));
  std::size_t start = mark == std::string::npos ? target.size() : mark + 1;
  while (start < target.size()) {
    const auto end = std::min(target.find('&', start), target.size());
    const auto item = target.substr(start, end - start);
    const auto equals = item.find('=');
    if (!item.empty()) {
      request.query[Decode(item.substr(0, equals))].push_back(
          equals == std::string::npos ? "" : Decode(item.substr(equals + 1)));
    }
    start = end + 1;
  }
}

class HttpServer::Impl {
 public:
  Impl(const std::string& address,
       std::unique_ptr<asio::ssl::context> tls,
       bool mutual,
       Handle handler)
      : handler_(std::move(handler)), tls_(std::move(tls)), mutual_(mutual), acceptor_(io_) {
    const auto colon = address.rfind(':');
    auto host = address.substr(0, colon);
    if (host.size() > 1 && host.front() == '[') {
      host = host.substr(1, host.size() - 2);
    }
    const Tcp::endpoint endpoint(asio::ip::make_address(host),
                                 static_cast<std::uint16_t>(std::stoi(address.substr(colon + 1))));
    acceptor_.open(endpoint.protocol());
    acceptor_.set_option(asio::socket_base::reuse_address(true));
    acceptor_.bind(endpoint);
    acceptor_.listen();
    port_ = acceptor_.local_endpoint().port();
    thread_ = std::thread([this] { Accept(); });
  }

  ~Impl() {
    stopping_ = true;
    ::shutdown(acceptor_.native_handle(), SHUT_RDWR);  // wakes accept()
    thread_.join();
    {
      const std::lock_guard lock(mutex_);
      for (auto& connection : connections_) {
        ::shutdown(connection.fd, SHUT_RDWR);
      }
    }
    for (auto& connection : connections_) {
      connection.thread.join();
    }
  }

  std::uint16_t port() const { return port_; }

 private:
  struct Connection {
    std::thread thread;
    int fd = -1;
    std::atomic<bool> done = false;
  };

  void Accept() {
    while (!stopping_) {
      Tcp::socket socket(io_);
      beast::error_code error;
      acceptor_.accept(socket, error);
      if (error) {
        continue;
      }
      Reap();
      const std::lock_guard lock(mutex_);
      Connection& connection = connections_.emplace_back();
      connection.fd = socket.native_handle();
      connection.thread = std::thread([this, &connection, s = std::move(socket)]() mutable {
        Serve(std::move(s), connection);
      });
    }
  }

  /// Joins connections that have ended, so that a long run does not collect threads.
  void Reap() {
    const std::lock_guard lock(mutex_);
    for (auto it = connections_.begin(); it != connections_.end();) {
      if (it->done) {
        it->thread.join();
        it = connections_.erase(it);
      } else {
        ++it;
      }
    }
  }

  void Serve(Tcp::socket socket, Connection& connection) {
    try {
      socket.set_option(Tcp::no_delay(true));
      if (tls_) {
        beast::ssl_stream<beast::tcp_stream> stream(beast::tcp_stream(std::move(socket)), *tls_);
        stream.handshake(asio::ssl::stream_base::server);
        if (!mutual_ || HasGoodCertificate(stream.native_handle())) {
          Talk(stream, beast::get_lowest_layer(stream).socket());
        }
        Forget(connection);
      } else {
        beast::tcp_stream stream(std::move(socket));
        Talk(stream, stream.socket());
        Forget(connection);
      }
    } catch (const std::exception& error) {
      Forget(connection);
      spdlog::debug("connection ended: {}", error.what());
    }
    connection.done = true;
  }

  /// The descriptor is closed next: nobody may shut down what may be somebody else's by then.
  void Forget(Connection& connection) {
    const std::lock_guard lock(mutex_);
    connection.fd = -1;
  }

  static bool HasGoodCertificate(SSL* ssl) {
    X509* certificate = SSL_get1_peer_certificate(ssl);
    const bool good = certificate != nullptr && SSL_get_verify_result(ssl) == X509_V_OK;
    X509_free(certificate);
    return good;
  }

  template <typename Stream>
  void Talk(Stream& stream, Tcp::socket& socket) {
    beast::flat_buffer buffer;
    while (!stopping_) {
      http::request_parser<http::string_body> parser;
      parser.body_limit(kBodyLimit);
      http::read(stream, buffer, parser);
      const auto& message = parser.get();
      HttpRequest request;
      request.method = std::string(message.method_string());
      request.body = message.body();
      request.user_agent = std::string(message[http::field::user_agent]);
      request.peer = socket.remote_endpoint().address().to_string();
      ParseTarget(std::string(message.target()), request);
      const HttpReply reply = handler_(request);
      const bool keep_alive = message.keep_alive() && !reply.close;
      if (reply.fault == WireFault::kDrop) {
        return;
      }
      if (reply.fault == WireFault::kHang) {
        Hang(socket);
        return;
      }
      auto out = ToBeast(reply, request, keep_alive);
      if (reply.fault == WireFault::kHalf) {
        WriteHalf(stream, out);
        return;
      }
      http::write(stream, out);
      if (!keep_alive) {
        beast::error_code ignored;
        socket.shutdown(Tcp::socket::shutdown_send, ignored);
        return;
      }
    }
  }

  /// Until the client gives up or the server stops.
  void Hang(Tcp::socket& socket) const {
    pollfd waiting{socket.native_handle(), POLLRDHUP, 0};
    while (!stopping_ && ::poll(&waiting, 1, 100) == 0) {
    }
  }

  template <typename Stream>
  static void WriteHalf(Stream& stream, const http::response<http::string_body>& message) {
    std::ostringstream text;
    text << message;
    const auto whole = text.str();
    asio::write(stream, asio::buffer(whole.data(), whole.size() - (message.body().size() + 1) / 2));
  }

  const Handle handler_;
  const std::unique_ptr<asio::ssl::context> tls_;
  const bool mutual_;
  asio::io_context io_;
  Tcp::acceptor acceptor_;
  std::uint16_t port_ = 0;
  std::atomic<bool> stopping_ = false;
  std::mutex mutex_;
  std::list<Connection> connections_;  // guarded by mutex_ while threads are accepted
  std::thread thread_;
};

HttpServer::HttpServer(const std::string& address, Handle handler)
    : impl_(std::make_unique<Impl>(address, nullptr, false, std::move(handler))) {}

HttpServer::HttpServer(const std::string& address, const TlsFiles& tls, Handle handler)
    : impl_(std::make_unique<Impl>(
          address, MakeContext(tls), !tls.client_ca.empty(), std::move(handler))) {}

HttpServer::~HttpServer() = default;

std::uint16_t HttpServer::port() const {
  return impl_->port();
}

}  // namespace breakwater::sim
