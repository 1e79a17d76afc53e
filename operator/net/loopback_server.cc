#include "operator/net/loopback_server.h"

#include <array>
#include <csignal>
#include <cstdlib>
#include <cstring>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "operator/crypto/openssl_ptr.h"
#include "operator/net/http.h"

namespace breakwater::net {

LoopbackPeer::LoopbackPeer(int fd, int index, ssl_ctx_st* tls)
    : fd_(fd), index_(index), tls_(tls) {}

LoopbackPeer::~LoopbackPeer() {
  SSL_free(ssl_);
  ::close(fd_);
}

bool LoopbackPeer::Handshake() {
  ssl_ = SSL_new(tls_);
  SSL_set_fd(ssl_, fd_);
  const bool accepted = SSL_accept(ssl_) == 1;
  ERR_clear_error();
  return accepted;
}

std::string LoopbackPeer::client_name() const {
  X509* certificate = ssl_ == nullptr ? nullptr : SSL_get1_peer_certificate(ssl_);
  return certificate == nullptr ? "" : crypto::WrapCertificate(certificate).common_name();
}

std::string LoopbackPeer::server_name_indication() const {
  const char* name = SSL_get_servername(ssl_, TLSEXT_NAMETYPE_host_name);
  return name == nullptr ? "" : name;
}

long LoopbackPeer::Receive(char* data, std::size_t size) {
  if (ssl_ != nullptr) {
    const int got = SSL_read(ssl_, data, static_cast<int>(size));
    ERR_clear_error();
    return got;
  }
  return ::recv(fd_, data, size, 0);
}

std::string LoopbackPeer::ReadRequest() {
  std::array<char, 4096> chunk{};
  std::size_t wanted = std::string::npos;
  while (buffer_.size() < wanted) {
    const std::size_t head = buffer_.find("\r\n\r\n");
    if (head != std::string::npos && wanted == std::string::npos) {
      wanted = head + 4;
      const std::size_t at = buffer_.find("Content-Length:");
      if (at < head) {
        wanted += std::strtoull(buffer_.c_str() + at + 15, nullptr, 10);
      }
      continue;
    }
    const long got = Receive(chunk.data(), chunk.size());
    if (got <= 0) {
      return {};
    }
    buffer_.append(chunk.data(), static_cast<std::size_t>(got));
  }
  std::string request = buffer_.substr(0, wanted);
  buffer_.erase(0, wanted);
  return request;
}

std::string LoopbackPeer::ReadBytes(std::size_t size) {
  std::array<char, 4096> chunk{};
  while (buffer_.size() < size) {
    const long got = Receive(chunk.data(), chunk.size());
    if (got <= 0) {
      break;
    }
    buffer_.append(chunk.data(), static_cast<std::size_t>(got));
  }
  std::string bytes = buffer_.substr(0, size);
  buffer_.erase(0, bytes.size());
  return bytes;
}

bool LoopbackPeer::Write(const std::string& bytes) {
  std::size_t sent = 0;
  while (sent < bytes.size()) {
    const char* at = bytes.data() + sent;
    const std::size_t left = bytes.size() - sent;
    const long done = ssl_ != nullptr ? SSL_write(ssl_, at, static_cast<int>(left))
                                      : ::send(fd_, at, left, MSG_NOSIGNAL);
    if (done <= 0) {
      ERR_clear_error();
      return false;
    }
    sent += static_cast<std::size_t>(done);
  }
  return true;
}

bool LoopbackPeer::Reply(int status, const std::string& body, const std::string& headers) {
  return Write("HTTP/1.1 " + std::to_string(status) + " X\r\nContent-Type: application/json\r\n" +
               headers + "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body);
}

void LoopbackPeer::WaitClosed() {
  std::array<char, 4096> chunk{};
  while (Receive(chunk.data(), chunk.size()) > 0) {
  }
}

void LoopbackPeer::Reset() {
  const linger now{1, 0};
  ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &now, sizeof now);
  // The descriptor itself is closed by the destructor; replacing the socket closes this one with
  // RST.
  const int nothing = ::socket(AF_INET, SOCK_STREAM, 0);
  ::dup2(nothing, fd_);
  ::close(nothing);
}

void LoopbackPeer::Shutdown() {
  ::shutdown(fd_, SHUT_RDWR);
}

TestPki::TestPki()
    : ca(crypto::CreateAuthority({.common_name = "test CA",
                                  .not_before = RealClock().SystemNow() - std::chrono::hours(1),
                                  .not_after = RealClock().SystemNow() + std::chrono::hours(24)})
             .value()) {}

crypto::Identity TestPki::Leaf(const std::string& name, bool with_loopback_address) const {
  crypto::CertificateSpec spec{.common_name = name,
                               .dns_names = {name},
                               .not_before = RealClock().SystemNow() - std::chrono::hours(1),
                               .not_after = RealClock().SystemNow() + std::chrono::hours(24)};
  if (with_loopback_address) {
    spec.ip_addresses = {"127.0.0.1", "::1"};
  }
  return crypto::IssueCertificate(ca, spec).value();
}

LoopbackServer::LoopbackServer(Handler handler) : handler_(std::move(handler)) {
  Listen();
}

LoopbackServer::LoopbackServer(Handler handler,
                               const crypto::Identity& identity,
                               const crypto::Certificate* client_ca,
                               bool manual_handshake)
    : handler_(std::move(handler)),
      tls_(SSL_CTX_new(TLS_server_method())),
      manual_handshake_(manual_handshake) {
  SSL_CTX_use_certificate(tls_, identity.certificate.native());
  SSL_CTX_use_PrivateKey(tls_, identity.key.native());
  if (client_ca != nullptr) {
    X509_STORE_add_cert(SSL_CTX_get_cert_store(tls_), client_ca->native());
    SSL_CTX_set_verify(tls_, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  }
  Listen();
}

void LoopbackServer::Listen() {
  // OpenSSL writes without MSG_NOSIGNAL: a client that is gone must not end the test.
  std::signal(SIGPIPE, SIG_IGN);
  listen_fd_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  if (::bind(listen_fd_, generic, size) != 0 || ::listen(listen_fd_, 64) != 0 ||
      ::getsockname(listen_fd_, generic, &size) != 0) {
    std::abort();
  }
  port_ = ntohs(address.sin_port);
  acceptor_ = std::thread([this] { AcceptLoop(); });
}

void LoopbackServer::AcceptLoop() {
  while (true) {
    const int fd = ::accept4(listen_fd_, nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0) {
      return;
    }
    const std::lock_guard lock(mutex_);
    if (stopping_) {
      ::close(fd);
      return;
    }
    peers_.push_back(std::make_unique<LoopbackPeer>(fd, static_cast<int>(peers_.size()), tls_));
    LoopbackPeer* peer = peers_.back().get();
    workers_.emplace_back([this, peer] {
      if (tls_ == nullptr || manual_handshake_ || peer->Handshake()) {
        handler_(*peer);
      }
      peer->Shutdown();
    });
  }
}

LoopbackServer::~LoopbackServer() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    for (const auto& peer : peers_) {
      peer->Shutdown();
    }
  }
  ::shutdown(listen_fd_, SHUT_RDWR);
  acceptor_.join();
  for (std::thread& worker : workers_) {
    worker.join();
  }
  ::close(listen_fd_);
  peers_.clear();
  SSL_CTX_free(tls_);
}

std::string LoopbackServer::url() const {
  return (tls_ == nullptr ? "http://127.0.0.1:" : "https://127.0.0.1:") + std::to_string(port_);
}

int LoopbackServer::connections() const {
  const std::lock_guard lock(mutex_);
  return static_cast<int>(peers_.size());
}

}  // namespace breakwater::net
