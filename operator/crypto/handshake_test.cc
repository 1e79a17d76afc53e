// Who opens which door, by real handshakes: with the certificates that we issue and have issued,
// and with the checks of LINSTOR and of tlshd.

#include <array>
#include <optional>
#include <string>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include "operator/crypto/certificate_authority.h"
#include "operator/crypto/openssl_ptr.h"

namespace breakwater::crypto {
namespace {

using namespace std::chrono_literals;  // NOLINT(google-build-using-namespace): literals only

using SslPtr = std::unique_ptr<SSL, OpensslDeleter<SSL_free>>;

Identity Authority(const std::string& name) {
  const SystemTime now = std::chrono::system_clock::now();
  return CreateAuthority({.common_name = name, .not_before = now - 30min, .not_after = now + 24h})
      .value();
}

Identity Leaf(const Identity& authority, const std::string& name, bool server, bool client) {
  const SystemTime now = std::chrono::system_clock::now();
  return IssueCertificate(authority, {.common_name = name,
                                      .dns_names = {name},
                                      .server_auth = server,
                                      .client_auth = client,
                                      .not_before = now - 30min,
                                      .not_after = now + 12h})
      .value();
}

/// One side of a connection.
struct Side {
  const Identity* identity = nullptr;
  std::vector<const Identity*> trusts{};
  int verify = SSL_VERIFY_PEER;
  /// tlshd asks its library for chain and dates only: EKU plays no part (F7.3).
  bool any_purpose = false;
  std::string peer_name{};  ///< checked when not empty
};

SslPtr Open(const Side& side, bool server, int socket) {
  const SslCtxPtr context(SSL_CTX_new(server ? TLS_server_method() : TLS_client_method()));
  SSL_CTX_use_certificate(context.get(), side.identity->certificate.native());
  SSL_CTX_use_PrivateKey(context.get(), side.identity->key.native());
  for (const Identity* authority : side.trusts) {
    X509_STORE_add_cert(SSL_CTX_get_cert_store(context.get()), authority->certificate.native());
  }
  SSL_CTX_set_verify(context.get(), side.verify, nullptr);
  SslPtr ssl(SSL_new(context.get()));
  if (side.any_purpose) {
    SSL_set_purpose(ssl.get(), X509_PURPOSE_ANY);
  }
  if (!side.peer_name.empty()) {
    SSL_set1_host(ssl.get(), side.peer_name.c_str());
  }
  SSL_set_fd(ssl.get(), socket);
  server ? SSL_set_accept_state(ssl.get()) : SSL_set_connect_state(ssl.get());
  return ssl;
}

/// Whether both sides are content and a byte of each reaches the other.
bool Connects(const Side& server_side, const Side& client_side) {
  std::array<int, 2> sockets{};
  EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, sockets.data()), 0);
  const SslPtr server = Open(server_side, true, sockets[0]);
  const SslPtr client = Open(client_side, false, sockets[1]);
  const auto again = [](SSL* ssl, int result) {
    const int error = SSL_get_error(ssl, result);
    return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE;
  };
  bool alive = true;
  bool done = false;
  while (alive && !done) {
    const int of_client = SSL_do_handshake(client.get());
    const int of_server = SSL_do_handshake(server.get());
    done = of_client == 1 && of_server == 1;
    alive = (of_client == 1 || again(client.get(), of_client)) &&
            (of_server == 1 || again(server.get(), of_server));
  }
  // With TLS 1.3 the client is done before the server has looked at its certificate.
  char byte = 'x';
  const bool served =
      done && SSL_write(server.get(), &byte, 1) == 1 && SSL_read(client.get(), &byte, 1) == 1 &&
      SSL_write(client.get(), &byte, 1) == 1 && SSL_read(server.get(), &byte, 1) == 1;
  ERR_clear_error();
  close(sockets[0]);
  close(sockets[1]);
  return served;
}

class HandshakeTest : public ::testing::Test {
 protected:
  /// LINSTOR's satellite asks for a certificate of its CA that may be a client's, and checks no
  /// name; the controller checks the same of a server (REVIEW-2 S3).
  Side LinstorEnd(const Identity& identity) const {
    return {.identity = &identity,
            .trusts = {&linstor_},
            .verify = SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT};
  }

  /// tlshd as a server takes any certificate of its bundle, as a client it checks the name (F7).
  static Side Tlshd(const Identity& identity,
                    std::vector<const Identity*> trusts,
                    std::string peer_name = {}) {
    return {.identity = &identity,
            .trusts = std::move(trusts),
            .any_purpose = true,
            .peer_name = std::move(peer_name)};
  }

  const Identity linstor_ = Authority("linstor-internal-ca");
  const Identity replication_ = Authority("breakwater-replication-ca");
  const Identity controller_ = Leaf(linstor_, "linstor-controller", true, true);
  const Identity satellite_ = Leaf(linstor_, "node1", true, false);
  const Identity node1_ = Leaf(replication_, "node1", true, true);
  const Identity node2_ = Leaf(replication_, "node2", true, true);
};

// T4, REVIEW-2 S3: who steals the replication key of one node must not become the controller of
// all satellites.
TEST_F(HandshakeTest, ReplicationKeyOpensNoLinstorPort) {
  EXPECT_TRUE(Connects(LinstorEnd(satellite_), LinstorEnd(controller_)));
  EXPECT_FALSE(Connects(LinstorEnd(satellite_), LinstorEnd(node2_)));
  EXPECT_FALSE(Connects(LinstorEnd(node2_), LinstorEnd(controller_)))
      << "nor may it play a satellite";
}

// T4, REVIEW-2 S3: nor who steals the key of a satellite whose certificate is a server's only. With
// both usages, which mode InternalTLS needs, it opens all of them: that is what the condition says.
TEST_F(HandshakeTest, KeyOfASatelliteOpensNoneAsClient) {
  const Identity shared = Leaf(linstor_, "node3", true, true);
  EXPECT_FALSE(Connects(LinstorEnd(satellite_), LinstorEnd(Leaf(linstor_, "node3", true, false))));
  EXPECT_TRUE(Connects(LinstorEnd(satellite_), LinstorEnd(shared)));
}

// A node plays both parts of a DRBD connection, and only the node of that name is accepted.
TEST_F(HandshakeTest, NodesOfOneReplicationAuthorityConnectBothWays) {
  EXPECT_TRUE(Connects(Tlshd(node1_, {&replication_}), Tlshd(node2_, {&replication_}, "node1")));
  EXPECT_TRUE(Connects(Tlshd(node2_, {&replication_}), Tlshd(node1_, {&replication_}, "node2")));
  EXPECT_FALSE(Connects(Tlshd(node2_, {&replication_}), Tlshd(node1_, {&replication_}, "node3")));
}

// The other way round: LINSTOR's keys, the controller's included, are no replication peer.
TEST_F(HandshakeTest, LinstorKeyIsNoReplicationPeer) {
  EXPECT_FALSE(Connects(Tlshd(satellite_, {&replication_}), Tlshd(node2_, {&replication_})));
  EXPECT_FALSE(Connects(Tlshd(node1_, {&replication_}), Tlshd(controller_, {&replication_})));
}

// T3: in the middle of a rotation nodes with certificates of the old and of the new authority meet.
TEST_F(HandshakeTest, OverlappingBundlesConnectOldAndNew) {
  const Identity next = Authority("breakwater-replication-ca");
  const Identity switched = Leaf(next, "node2", true, true);
  const std::vector<const Identity*> both{&replication_, &next};
  EXPECT_TRUE(Connects(Tlshd(node1_, both), Tlshd(switched, both, "node1")));
  EXPECT_TRUE(Connects(Tlshd(switched, both), Tlshd(node1_, both, "node2")));
  EXPECT_FALSE(Connects(Tlshd(node1_, both), Tlshd(switched, {&next}, "node1")))
      << "without the overlap the new one refuses the old one";
}

}  // namespace
}  // namespace breakwater::crypto
