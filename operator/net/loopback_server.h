#pragma once

/// LoopbackServer: a scripted TCP or TLS server on 127.0.0.1 that can misbehave on purpose. Tests
/// only.

#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "operator/crypto/certificate_authority.h"

struct ssl_st;
struct ssl_ctx_st;

namespace breakwater::net {

/// One accepted connection, seen from the server. Used by the handler's thread only.
class LoopbackPeer {
 public:
  LoopbackPeer(int fd, int index, ssl_ctx_st* tls);
  ~LoopbackPeer();

  LoopbackPeer(const LoopbackPeer&) = delete;
  LoopbackPeer& operator=(const LoopbackPeer&) = delete;

  /// 0 for the first connection, then 1, ...
  int index() const { return index_; }

  /// Runs the TLS handshake; false when it failed. Done before the handler unless the server is
  /// manual.
  bool Handshake();
  /// The certificate that the client showed, as its common name; "" without one.
  std::string client_name() const;
  std::string server_name_indication() const;

  /// A whole request (head and a body by Content-Length); "" when the client closed.
  std::string ReadRequest();
  /// Exactly `size` bytes, fewer when the client closed.
  std::string ReadBytes(std::size_t size);
  /// False when the client is gone.
  bool Write(const std::string& bytes);
  /// "HTTP/1.1 <status>" with Content-Length and Content-Type application/json.
  bool Reply(int status, const std::string& body, const std::string& headers = "");
  /// Blocks until the client closes or the server object goes away; reads and drops what comes.
  void WaitClosed();
  /// RST instead of an orderly end.
  void Reset();
  /// Wakes every blocking call; safe from other threads.
  void Shutdown();

 private:
  long Receive(char* data, std::size_t size);

  const int fd_;
  const int index_;
  ssl_ctx_st* const tls_;
  ssl_st* ssl_ = nullptr;
  std::string buffer_;
};

/// Test PKI: one CA and leaves for 127.0.0.1 and names, valid for a day around now.
struct TestPki {
  TestPki();

  crypto::Identity Leaf(const std::string& name, bool with_loopback_address = true) const;

  crypto::Identity ca;
};

class LoopbackServer {
 public:
  using Handler = std::function<void(LoopbackPeer&)>;

  /// Plain TCP.
  explicit LoopbackServer(Handler handler);
  /// TLS with `identity`; `client_ca` not null: a client certificate is required.
  /// `manual_handshake`: the handler calls Handshake() itself, or never does.
  LoopbackServer(Handler handler,
                 const crypto::Identity& identity,
                 const crypto::Certificate* client_ca = nullptr,
                 bool manual_handshake = false);
  /// Closes everything and joins all threads.
  ~LoopbackServer();

  int port() const { return port_; }

  std::string url() const;
  int connections() const;

 private:
  void Listen();
  void AcceptLoop();

  const Handler handler_;
  ssl_ctx_st* tls_ = nullptr;
  bool manual_handshake_ = false;
  int listen_fd_ = -1;
  int port_ = 0;
  mutable std::mutex mutex_;
  std::list<std::unique_ptr<LoopbackPeer>> peers_;
  std::vector<std::thread> workers_;
  bool stopping_ = false;
  std::thread acceptor_;
};

}  // namespace breakwater::net
