#include "operator/net/beast_websocket.h"

#include <latch>
#include <thread>

#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/sha.h>

#include "operator/net/loopback_server.h"

namespace breakwater::net {
namespace {

using namespace std::chrono_literals;  // NOLINT(google-build-using-namespace): literals only
using Kind = TransportError::Kind;

Context Within(std::chrono::milliseconds time) {
  return Context(std::stop_token()).WithTimeout(time);
}

/// The server's side of an upgrade, by hand: these servers misbehave.
bool Accept(LoopbackPeer& peer, const std::string& subprotocol) {
  const std::string request = peer.ReadRequest();
  const std::string name = "Sec-WebSocket-Key: ";
  const std::size_t at = request.find(name);
  if (at == std::string::npos) {
    return false;
  }
  const std::size_t start = at + name.size();
  const std::string key = request.substr(start, request.find('\r', start) - start) +
                          "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
  unsigned char digest[SHA_DIGEST_LENGTH];
  SHA1(reinterpret_cast<const unsigned char*>(key.data()), key.size(), digest);
  unsigned char text[64];
  EVP_EncodeBlock(text, digest, sizeof digest);
  return peer.Write(
      "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
      "Sec-WebSocket-Accept: " +
      std::string(reinterpret_cast<char*>(text)) + "\r\nSec-WebSocket-Protocol: " + subprotocol +
      "\r\n\r\n");
}

std::string Frame(unsigned char opcode, const std::string& payload) {
  std::string frame(1, static_cast<char>(0x80U | opcode));
  if (payload.size() < 126) {
    frame += static_cast<char>(payload.size());
  } else {
    frame += static_cast<char>(126);
    frame += static_cast<char>(payload.size() >> 8U);
    frame += static_cast<char>(payload.size() & 0xffU);
  }
  return frame + payload;
}

/// One frame of a client, unmasked; "" when it is gone. Longer ones than 64 KiB are not expected.
std::string ReadFrame(LoopbackPeer& peer) {
  const std::string head = peer.ReadBytes(2);
  if (head.size() < 2) {
    return {};
  }
  std::size_t size = static_cast<unsigned char>(head[1]) & 0x7fU;
  if (size == 126) {
    const std::string more = peer.ReadBytes(2);
    size = static_cast<std::size_t>(static_cast<unsigned char>(more[0])) << 8U |
           static_cast<unsigned char>(more[1]);
  }
  const std::string mask = peer.ReadBytes(4);
  std::string payload = peer.ReadBytes(size);
  for (std::size_t i = 0; i < payload.size(); ++i) {
    payload[i] = static_cast<char>(payload[i] ^ mask[i % 4]);
  }
  return payload;
}

class BeastWebSocketTest : public ::testing::Test {
 protected:
  std::unique_ptr<WebSocketConnector> Connector(const LoopbackServer& server,
                                                const crypto::Certificate& ca) {
    const auto material = TlsMaterial::Create({.ca = ca.ToPem()}).value();
    return MakeBeastConnector(
               {.base_url = server.url(), .tls = std::make_shared<TlsMaterialHolder>(material)})
        .value();
  }

  std::unique_ptr<WebSocketConnector> Connector(const LoopbackServer& server) {
    return Connector(server, pki_.ca.certificate);
  }

  static TransportError ErrorOf(const Result<std::unique_ptr<WebSocket>, UpgradeError>& result) {
    return std::get<TransportError>(result.error());
  }

  const TestPki pki_;
  const UpgradeRequest request_{.target = "/exec?command=a", .subprotocols = {"v5", "v4"}};
};

TEST_F(BeastWebSocketTest, ExchangesMessages) {
  LoopbackServer server(
      [](LoopbackPeer& peer) {
        Accept(peer, "v4");
        peer.ReadBytes(2 + 4 + 3);  // head, mask, "abc"
        peer.Write(Frame(2, "hello") + Frame(9, "ping") + Frame(2, std::string(1000, 'x')) +
                   Frame(8, "\x03\xe8"));
        peer.WaitClosed();
      },
      pki_.Leaf("server"));
  auto socket = Connector(server)->Connect(Within(5s), request_);
  ASSERT_TRUE(socket) << ErrorOf(socket).message;
  EXPECT_EQ((*socket)->subprotocol(), "v4");
  EXPECT_TRUE((*socket)->Write(Within(5s), "abc"));
  EXPECT_EQ((*socket)->Read(Within(5s)).value().value(), "hello");
  EXPECT_EQ((*socket)->Read(Within(5s)).value().value(), std::string(1000, 'x'));
  EXPECT_FALSE((*socket)->Read(Within(5s)).value().has_value());
}

// "pods exec is forbidden" must reach the admin, not "invalid HTTP status".
TEST_F(BeastWebSocketTest, ShowsWhyAnUpgradeWasRefused) {
  LoopbackServer server(
      [](LoopbackPeer& peer) {
        peer.ReadRequest();
        peer.Reply(403, R"({"kind":"Status","reason":"Forbidden"})", "Retry-After: 3\r\n");
        peer.WaitClosed();
      },
      pki_.Leaf("server"));
  const auto socket = Connector(server)->Connect(Within(5s), request_);
  ASSERT_FALSE(socket);
  const auto& response = std::get<Response>(socket.error());
  EXPECT_EQ(response.status, 403);
  EXPECT_EQ(response.body, R"({"kind":"Status","reason":"Forbidden"})");
  EXPECT_EQ(FindHeader(response.headers, "retry-after"), "3");
}

// A peer that speaks another protocol would have its bytes read as exit codes.
TEST_F(BeastWebSocketTest, RefusesAForeignSubprotocol) {
  LoopbackServer server(
      [](LoopbackPeer& peer) {
        Accept(peer, "v1");
        peer.WaitClosed();
      },
      pki_.Leaf("server"));
  const auto socket = Connector(server)->Connect(Within(5s), request_);
  ASSERT_FALSE(socket);
  EXPECT_EQ(ErrorOf(socket).kind, Kind::kProtocol);
}

TEST_F(BeastWebSocketTest, TrustsTheConfiguredCaOnly) {
  LoopbackServer server([](LoopbackPeer& peer) { peer.WaitClosed(); }, pki_.Leaf("server"));
  const auto socket = Connector(server, TestPki().ca.certificate)->Connect(Within(5s), request_);
  ASSERT_FALSE(socket);
  EXPECT_EQ(ErrorOf(socket).kind, Kind::kTls);
  EXPECT_TRUE(ErrorOf(socket).not_sent);
  EXPECT_NE(ErrorOf(socket).message.find("issuer"), std::string::npos) << ErrorOf(socket).message;
}

/// How long each of `steps` takes against a peer that froze there, ended by the deadline or by a
/// stop.
enum class End { kDeadline, kStop };

class FrozenPeerTest : public BeastWebSocketTest, public ::testing::WithParamInterface<End> {
 protected:
  /// Runs `call` with a context that ends about 200 ms from now and expects it to end in time.
  void ExpectPrompt(const std::function<TransportError(const Context&)>& call) {
    std::stop_source stop;
    const SteadyTime start = RealClock().SteadyNow();
    TransportError error;
    if (GetParam() == End::kDeadline) {
      error = call(Context(std::stop_token()).WithTimeout(200ms));
      EXPECT_EQ(error.kind, Kind::kTimeout) << error.message;
    } else {
      std::thread stopper([&] {
        std::this_thread::sleep_for(50ms);  // lets the call reach its wait; any moment is correct
        stop.request_stop();
      });
      error = call(Context(stop.get_token()));
      stopper.join();
      EXPECT_EQ(error.kind, Kind::kCanceled) << error.message;
    }
    EXPECT_LT(RealClock().SteadyNow() - start, 1s);
  }
};

// A node that froze must not hold a migration step, nor the operator's stop, for longer than asked
// for.
TEST_P(FrozenPeerTest, EndsInTheTlsHandshake) {
  LoopbackServer server([](LoopbackPeer& peer) { peer.WaitClosed(); }, pki_.Leaf("server"), nullptr,
                        /*manual_handshake=*/true);
  ExpectPrompt(
      [&](const Context& ctx) { return ErrorOf(Connector(server)->Connect(ctx, request_)); });
}

TEST_P(FrozenPeerTest, EndsInTheUpgrade) {
  LoopbackServer server([](LoopbackPeer& peer) { peer.WaitClosed(); }, pki_.Leaf("server"));
  ExpectPrompt(
      [&](const Context& ctx) { return ErrorOf(Connector(server)->Connect(ctx, request_)); });
}

TEST_P(FrozenPeerTest, EndsInRead) {
  std::latch done(1);
  LoopbackServer server(
      [&](LoopbackPeer& peer) {
        Accept(peer, "v5");
        done.wait();  // does not even notice that the client is gone
      },
      pki_.Leaf("server"));
  ExpectPrompt([&](const Context& ctx) {
    auto socket = Connector(server)->Connect(Within(5s), request_);
    EXPECT_TRUE(socket);
    return (*socket)->Read(ctx).error();  // and the destructor must not wait either
  });
  done.count_down();
}

INSTANTIATE_TEST_SUITE_P(Ends, FrozenPeerTest, ::testing::Values(End::kDeadline, End::kStop));

TEST_F(BeastWebSocketTest, CutAndOversizedMessagesAreErrors) {
  LoopbackServer server(
      [](LoopbackPeer& peer) {
        Accept(peer, "v5");
        if (peer.index() == 0) {
          peer.Write(Frame(2, "hello").substr(0, 4));
        } else {
          peer.Write(Frame(2, std::string(2000, 'x')));
          peer.WaitClosed();
        }
      },
      pki_.Leaf("server"));
  UpgradeRequest small = request_;
  small.max_message_bytes = 1000;
  const auto connector = Connector(server);
  auto cut = connector->Connect(Within(5s), small);
  ASSERT_TRUE(cut);
  EXPECT_EQ((*cut)->Read(Within(5s)).error().kind, Kind::kReset);
  auto large = connector->Connect(Within(5s), small);
  ASSERT_TRUE(large);
  EXPECT_EQ((*large)->Read(Within(5s)).error().kind, Kind::kTooLarge);
}

// An agent that has nothing to say for a while must not cost its stream, and what arrived of a
// message before the deadline belongs to it.
TEST_F(BeastWebSocketTest, AReadThatGivesUpLeavesTheConnectionAlive) {
  std::latch gave_up(1);
  LoopbackServer server(
      [&](LoopbackPeer& peer) {
        Accept(peer, "v5");
        const std::string frame = Frame(2, "hello");
        peer.Write(frame.substr(0, 4));
        gave_up.wait();
        peer.Write(frame.substr(4));
        EXPECT_EQ(ReadFrame(peer), "abc");
        peer.WaitClosed();
      },
      pki_.Leaf("server"));
  auto socket = Connector(server)->Connect(Within(5s), request_);
  ASSERT_TRUE(socket);
  EXPECT_EQ((*socket)->Read(Within(100ms)).error().kind, Kind::kTimeout);
  std::stop_source stop;
  stop.request_stop();
  EXPECT_EQ((*socket)->Read(Context(stop.get_token())).error().kind, Kind::kCanceled);
  gave_up.count_down();
  EXPECT_EQ((*socket)->Read(Within(5s)).value().value(), "hello");
  EXPECT_TRUE((*socket)->Write(Within(5s), "abc"));
}

// Requests and reports cross: neither may wait for the other, or be mixed with it.
TEST_F(BeastWebSocketTest, ReadsAndWritesAtTheSameTime) {
  constexpr int kMessages = 5000;
  LoopbackServer server(
      [](LoopbackPeer& peer) {
        Accept(peer, "v5");
        for (int i = 0; i < kMessages; ++i) {
          peer.Write(Frame(2, ReadFrame(peer)));
        }
        peer.WaitClosed();
      },
      pki_.Leaf("server"));
  auto socket = Connector(server)->Connect(Within(5s), request_);
  ASSERT_TRUE(socket);
  std::jthread writer([&] {
    for (int i = 0; i < kMessages; ++i) {
      ASSERT_TRUE((*socket)->Write(Within(10s), std::to_string(i)));
    }
  });
  for (int i = 0; i < kMessages;) {
    const auto message = (*socket)->Read(Within(1ms));  // gives up in the middle of everything
    if (message) {
      ASSERT_EQ(message->value(), std::to_string(i));
      ++i;
    } else {
      ASSERT_EQ(message.error().kind, Kind::kTimeout);
    }
  }
}

// API servers take each frame for a message of its own: a request in two of them would be garbage.
TEST_F(BeastWebSocketTest, AMessageIsOneFrame) {
  const std::string large(30000, 'x');
  LoopbackServer server(
      [&](LoopbackPeer& peer) {
        Accept(peer, "v5");
        EXPECT_EQ(ReadFrame(peer), large);
        peer.Write(Frame(2, "ok"));
        peer.WaitClosed();
      },
      pki_.Leaf("server"));
  auto socket = Connector(server)->Connect(Within(5s), request_);
  ASSERT_TRUE(socket);
  EXPECT_TRUE((*socket)->Write(Within(5s), large));
  EXPECT_EQ((*socket)->Read(Within(5s)).value().value(), "ok");
}

// The operator stops, or a pod was replaced: the thread that waits for the old agent must go.
TEST_F(BeastWebSocketTest, CloseWakesAWaitingRead) {
  LoopbackServer server(
      [](LoopbackPeer& peer) {
        Accept(peer, "v5");
        peer.WaitClosed();
      },
      pki_.Leaf("server"));
  auto socket = Connector(server)->Connect(Within(5s), request_);
  ASSERT_TRUE(socket);
  std::jthread closer([&] {
    std::this_thread::sleep_for(50ms);  // lets the read reach its wait; any moment is correct
    (*socket)->Close();
  });
  EXPECT_EQ((*socket)->Read(Within(10s)).error().kind, Kind::kCanceled);
  EXPECT_EQ((*socket)->Read(Within(10s)).error().kind, Kind::kCanceled);
  EXPECT_EQ((*socket)->Write(Within(10s), "x").error().kind, Kind::kCanceled);
}

// An agent that does not read must cost one request its time limit, not a worker for ever.
TEST_F(BeastWebSocketTest, AWriteToAPeerThatDoesNotReadEnds) {
  std::latch done(1);
  LoopbackServer server(
      [&](LoopbackPeer& peer) {
        Accept(peer, "v5");
        done.wait();
      },
      pki_.Leaf("server"));
  auto socket = Connector(server)->Connect(Within(5s), request_);
  ASSERT_TRUE(socket);
  std::jthread reader([&] { EXPECT_FALSE((*socket)->Read(Within(20s))); });
  Result<void, TransportError> written;
  for (int i = 0; i < 1000 && written; ++i) {
    written = (*socket)->Write(Within(200ms), std::string(60000, 'x'));
  }
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().kind, Kind::kTimeout);
  done.count_down();
}

TEST_F(BeastWebSocketTest, RefusesPlainHttp) {
  EXPECT_FALSE(MakeBeastConnector({.base_url = "http://127.0.0.1"}));
}

}  // namespace
}  // namespace breakwater::net
