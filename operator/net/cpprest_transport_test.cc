#include "operator/net/cpprest_transport.h"

#include <atomic>
#include <cstdlib>
#include <fstream>
#include <latch>
#include <stop_token>
#include <thread>

#include <gtest/gtest.h>

#include "operator/net/loopback_server.h"

namespace breakwater::net {
namespace {

using namespace std::chrono_literals;  // NOLINT(google-build-using-namespace): literals only
using Kind = TransportError::Kind;

Context Within(std::chrono::milliseconds time) {
  return Context(std::stop_token()).WithTimeout(time);
}

std::unique_ptr<HttpTransport> Plain(const LoopbackServer& server) {
  StartHttpThreads();
  return MakeCpprestTransport({.base_url = server.url()}).value();
}

TlsPem PemOf(const crypto::Certificate& ca) {
  return {.ca = ca.ToPem()};
}

TlsPem PemOf(const crypto::Certificate& ca, const crypto::Identity& client) {
  return {.ca = ca.ToPem(),
          .certificate_chain = client.certificate.ToPem(),
          .private_key = client.key.ToPem()};
}

std::shared_ptr<TlsMaterialHolder> Holder(const TlsPem& pem) {
  return std::make_shared<TlsMaterialHolder>(TlsMaterial::Create(pem).value());
}

std::unique_ptr<HttpTransport> Secure(const LoopbackServer& server,
                                      const TlsPem& pem,
                                      std::string server_name = "") {
  StartHttpThreads();
  return MakeCpprestTransport({.base_url = server.url(),
                               .tls_server_name = std::move(server_name),
                               .tls = Holder(pem)})
      .value();
}

std::chrono::nanoseconds Timed(const std::function<void()>& call) {
  const SteadyTime start = RealClock().SteadyNow();
  call();
  return RealClock().SteadyNow() - start;
}

// The plain case, with a body that the library would take for Latin-1 and encode twice.
TEST(CpprestTransportTest, DeliversBodiesByteForByte) {
  LoopbackServer server([](LoopbackPeer& peer) {
    const std::string request = peer.ReadRequest();
    EXPECT_EQ(request.substr(0, request.find('\r')), "POST /a%2Fb?c=d%20e HTTP/1.1");
    EXPECT_NE(request.find("Content-Type:application/json\r\n"), std::string::npos) << request;
    EXPECT_NE(request.find("\r\n\r\n{\"k\":\"ü\"}"), std::string::npos);
    peer.Write(
        "HTTP/1.1 201 Created\r\nContent-Type: text/plain\r\nX-A: b\r\nContent-Length: "
        "5\r\n\r\nüß\n");
    peer.WaitClosed();
  });
  const auto response =
      Plain(server)->Send(Within(5s), {.method = "POST",
                                       .target = "/a%2Fb?c=d%20e",
                                       .headers = {{"Content-Type", "application/json"}},
                                       .body = "{\"k\":\"ü\"}"});
  ASSERT_TRUE(response) << response.error().message;
  EXPECT_EQ(response->status, 201);
  EXPECT_EQ(response->body, "üß\n");
  EXPECT_EQ(FindHeader(response->headers, "x-a"), "b");
}

// A new connection per request costs a TLS handshake each and floods the API server.
TEST(CpprestTransportTest, KeepsConnectionsAlive) {
  LoopbackServer server([](LoopbackPeer& peer) {
    while (!peer.ReadRequest().empty()) {
      peer.Reply(200, "{}");
    }
  });
  const auto transport = Plain(server);
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(transport->Send(Within(5s), {}));
  }
  // The library puts a connection back a moment after it has delivered the body, so the next call
  // may still open another one; but not again and again.
  EXPECT_LE(server.connections(), 3);
}

// A server that accepts and says nothing must not hold a reconciler beyond its deadline.
TEST(CpprestTransportTest, DeadlineEndsASilentServer) {
  LoopbackServer server([](LoopbackPeer& peer) { peer.WaitClosed(); });
  const auto transport = Plain(server);
  const auto took = Timed([&] {
    const auto response = transport->Send(Within(200ms), {});
    ASSERT_FALSE(response);
    EXPECT_EQ(response.error().kind, Kind::kTimeout);
    EXPECT_FALSE(response.error().not_sent);
  });
  EXPECT_GE(took, 190ms);
  EXPECT_LT(took, 1s);
}

// A firewall that lost its table forgets all connections at once: after the first timeout the next
// calls must not try the other dead ones, one timeout each.
TEST(CpprestTransportTest, ATimeoutAbandonsTheKeptConnections) {
  std::atomic<bool> dead{false};
  std::latch both(2);
  LoopbackServer server([&](LoopbackPeer& peer) {
    const bool old = peer.index() < 2;
    for (int request = 0; !peer.ReadRequest().empty(); ++request) {
      if (old && request == 0) {
        both.arrive_and_wait();  // two requests at once: two kept connections
      }
      if (old && dead) {
        peer.WaitClosed();
        return;
      }
      peer.Reply(200, "{}");
    }
  });
  const auto transport = Plain(server);
  {
    std::jthread other([&] { EXPECT_TRUE(transport->Send(Within(5s), {})); });
    EXPECT_TRUE(transport->Send(Within(5s), {}));
  }
  dead = true;
  // The library puts a connection back a moment after it has delivered the body: until then a call
  // opens a new one.
  int answered = 0;
  while (answered < 20 && transport->Send(Within(200ms), {})) {
    ++answered;
  }
  ASSERT_LT(answered, 20) << "no call met a dead connection";
  EXPECT_TRUE(transport->Send(Within(5s), {}));
}

// A list may take a minute, but through a dead connection nothing ever comes.
TEST(CpprestTransportTest, SilenceEndsACallBeforeItsDeadline) {
  LoopbackServer server([](LoopbackPeer& peer) {
    peer.ReadRequest();
    peer.Write("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n01234");
    peer.WaitClosed();
  });
  StartHttpThreads();
  const auto transport =
      MakeCpprestTransport({.base_url = server.url(), .idle_timeout = 200ms}).value();
  const auto took = Timed([&] {
    const auto response = transport->Send(Within(60s), {});
    ASSERT_FALSE(response);
    EXPECT_EQ(response.error().kind, Kind::kTimeout);
  });
  EXPECT_LT(took, 30s);
}

// The library's timeout starts again with each byte: a server that drips would never time out.
TEST(CpprestTransportTest, DeadlineEndsASlowDrip) {
  LoopbackServer server([](LoopbackPeer& peer) {
    peer.ReadRequest();
    peer.Write("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n");
    while (peer.Write("x")) {
      std::this_thread::sleep_for(10ms);  // the drip itself, not a wait for a condition
    }
  });
  const auto transport = Plain(server);
  const auto took = Timed([&] {
    const auto response = transport->Send(Within(300ms), {});
    ASSERT_FALSE(response);
    EXPECT_EQ(response.error().kind, Kind::kTimeout);
  });
  EXPECT_LT(took, 1s);
}

// On SIGTERM the operator has 30 s for everything: no call may use them up.
TEST(CpprestTransportTest, StopRequestEndsACallAtOnce) {
  std::latch reached(1);
  LoopbackServer server([&](LoopbackPeer& peer) {
    peer.ReadRequest();
    reached.count_down();
    peer.WaitClosed();
  });
  const auto transport = Plain(server);
  std::stop_source stop;
  std::thread stopper([&] {
    reached.wait();
    stop.request_stop();
  });
  const auto took = Timed([&] {
    const auto response = transport->Send(Context(stop.get_token()), {});
    ASSERT_FALSE(response);
    EXPECT_EQ(response.error().kind, Kind::kCanceled);
  });
  stopper.join();
  EXPECT_LT(took, 1s);
}

// "Refused" is certain not to have reached anyone, so that even a write may be repeated.
TEST(CpprestTransportTest, ConnectionRefusedIsKnownAsNotSent) {
  int port = 0;
  {
    LoopbackServer server([](LoopbackPeer&) {});
    port = server.port();
  }
  StartHttpThreads();
  const auto transport =
      MakeCpprestTransport({.base_url = "http://127.0.0.1:" + std::to_string(port)}).value();
  const auto response = transport->Send(Within(5s), {.method = "POST", .body = "x"});
  ASSERT_FALSE(response);
  EXPECT_EQ(response.error().kind, Kind::kConnect);
  EXPECT_TRUE(response.error().not_sent);
}

// A cut reply taken as whole would be half a list: objects would look deleted.
TEST(CpprestTransportTest, HalfAReplyIsAnError) {
  for (const char* reply : {"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",
                            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
                            "HTTP/1.1 200 OK\r\nContent-Le", ""}) {
    LoopbackServer server([&](LoopbackPeer& peer) {
      peer.ReadRequest();
      peer.Write(reply);
    });
    const auto response = Plain(server)->Send(Within(5s), {.fresh_connection = true});
    ASSERT_FALSE(response) << reply;
    EXPECT_EQ(response.error().kind, Kind::kReset) << reply;
    EXPECT_FALSE(response.error().not_sent) << reply;
  }
}

TEST(CpprestTransportTest, ResetIsAnError) {
  LoopbackServer server([](LoopbackPeer& peer) {
    peer.ReadRequest();
    peer.Write("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
    peer.Reset();
  });
  const auto response = Plain(server)->Send(Within(5s), {});
  ASSERT_FALSE(response);
  EXPECT_EQ(response.error().kind, Kind::kReset);
}

// Something that is no HTTP server at the other end (a wrong port) must end in an error, not a
// hang.
TEST(CpprestTransportTest, RubbishIsAnError) {
  LoopbackServer server([](LoopbackPeer& peer) {
    peer.ReadRequest();
    peer.Write("SSH-2.0-OpenSSH_9.2p1\r\n\r\n");
    peer.WaitClosed();
  });
  const auto response = Plain(server)->Send(Within(2s), {});
  ASSERT_FALSE(response);
  EXPECT_EQ(response.error().kind, Kind::kProtocol) << response.error().message;
}

// The library would follow with our bearer token to wherever the reply points.
TEST(CpprestTransportTest, RedirectsAreRefused) {
  LoopbackServer thief([](LoopbackPeer& peer) { peer.ReadRequest(); });
  LoopbackServer server([&](LoopbackPeer& peer) {
    while (!peer.ReadRequest().empty()) {
      peer.Reply(302, "", "Location: " + thief.url() + "/\r\n");
    }
  });
  const auto response =
      Plain(server)->Send(Within(5s), {.headers = {{"Authorization", "Bearer x"}}});
  ASSERT_FALSE(response);
  EXPECT_EQ(response.error().kind, Kind::kProtocol);
  EXPECT_EQ(thief.connections(), 0);
}

// An endless reply must not take the container over its memory limit.
TEST(CpprestTransportTest, BodiesAreCapped) {
  const auto endless = [](const std::string& head) {
    return [head](LoopbackPeer& peer) {
      peer.ReadRequest();
      peer.Write(head);
      while (peer.Write("10000\r\n" + std::string(0x10000, 'x') + "\r\n")) {
      }
    };
  };
  StartHttpThreads();
  for (const char* head : {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
                           "HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n"}) {
    LoopbackServer server(endless(head));
    const auto transport =
        MakeCpprestTransport({.base_url = server.url(), .max_body_bytes = 1U << 20U}).value();
    const auto response = transport->Send(Within(20s), {});
    ASSERT_FALSE(response);
    EXPECT_EQ(response.error().kind, Kind::kTooLarge);
  }
}

// A name from an object that ends up in a header must not start a second request.
TEST(CpprestTransportTest, LineBreaksInHeadersAreRefused) {
  LoopbackServer server([](LoopbackPeer& peer) { peer.ReadRequest(); });
  const auto transport = Plain(server);
  for (const auto& [name, value] :
       Headers{{"X", "a\r\nY: b"}, {"X\n", "a"}, {"X", std::string("a\0b", 3)}, {"", "a"}}) {
    const auto response = transport->Send(Within(5s), {.headers = {{name, value}}});
    ASSERT_FALSE(response);
    EXPECT_EQ(response.error().kind, Kind::kProtocol);
    EXPECT_TRUE(response.error().not_sent);
  }
  EXPECT_EQ(server.connections(), 0);
}

// The library repeats a POST by itself when a kept connection closes before the reply: a snapshot
// or a volume would be made twice.
TEST(CpprestTransportTest, FreshConnectionIsNeverReplayed) {
  std::atomic<int> posts = 0;
  LoopbackServer server([&](LoopbackPeer& peer) {
    while (true) {
      const std::string request = peer.ReadRequest();
      if (request.empty()) {
        return;
      }
      if (request.substr(0, 4) == "POST") {
        ++posts;
        return;  // close without a reply
      }
      peer.Reply(200, "{}");
    }
  });
  const auto transport = Plain(server);
  ASSERT_TRUE(transport->Send(Within(5s), {}));  // leaves a connection in the pool
  const auto response =
      transport->Send(Within(5s), {.method = "POST", .body = "x", .fresh_connection = true});
  ASSERT_FALSE(response);
  EXPECT_EQ(response.error().kind, Kind::kReset);
  EXPECT_EQ(posts, 1);
}

// A watch event that waits for the next 64 KiB is an operator that reacts minutes late.
TEST(CpprestTransportTest, StreamPiecesArriveAtOnce) {
  std::latch first_seen(1);
  LoopbackServer server([&](LoopbackPeer& peer) {
    peer.ReadRequest();
    peer.Write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n");
    first_seen.wait();
    peer.Write("3\r\ntwo\r\n0\r\n\r\n");
    peer.WaitClosed();
  });
  const auto transport = Plain(server);
  auto stream = transport->Open(Within(5s), {}, 5s);
  ASSERT_TRUE(stream) << stream.error().message;
  EXPECT_EQ(stream->body->Read(Within(5s)).value_or("error"), "one");
  first_seen.count_down();
  EXPECT_EQ(stream->body->Read(Within(5s)).value_or("error"), "two");
  EXPECT_EQ(stream->body->Read(Within(5s)).value_or("error"), "");
}

// A watch whose peer died without a FIN must be noticed.
TEST(CpprestTransportTest, StreamIdleTimeout) {
  LoopbackServer server([&](LoopbackPeer& peer) {
    peer.ReadRequest();
    peer.Write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n");
    peer.WaitClosed();
  });
  const auto transport = Plain(server);
  auto stream = transport->Open(Context(std::stop_token()), {}, 200ms);
  ASSERT_TRUE(stream);
  EXPECT_EQ(stream->body->Read(Context(std::stop_token())).value_or("error"), "one");
  const auto idle = stream->body->Read(Context(std::stop_token()));
  ASSERT_FALSE(idle);
  EXPECT_EQ(idle.error().kind, Kind::kTimeout);
}

// An abandoned watch that goes on receiving fills the memory of the operator.
TEST(CpprestTransportTest, DroppingAStreamClosesItsConnection) {
  std::latch closed(1);
  LoopbackServer server([&](LoopbackPeer& peer) {
    peer.ReadRequest();
    peer.Write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n");
    peer.WaitClosed();
    closed.count_down();
  });
  const auto transport = Plain(server);
  {
    const auto stream = transport->Open(Within(5s), {}, 5s);
    ASSERT_TRUE(stream);
  }
  closed.wait();  // hangs, and so fails by the test's time limit, when the transfer goes on
}

TEST(CpprestTransportTlsTest, TrustsTheConfiguredCaOnly) {
  const TestPki pki;
  const TestPki other;
  // The library also trusts the system's bundle, which this variable names: it must not matter.
  const std::string bundle = ::testing::TempDir() + "/system-bundle.pem";
  std::ofstream(bundle) << pki.ca.certificate.ToPem();
  setenv("SSL_CERT_FILE", bundle.c_str(), 1);
  LoopbackServer server(
      [](LoopbackPeer& peer) {
        while (!peer.ReadRequest().empty()) {
          peer.Reply(200, "{}");
        }
      },
      pki.Leaf("server"));
  const auto good = Secure(server, PemOf(pki.ca.certificate))->Send(Within(5s), {});
  EXPECT_TRUE(good) << good.error().message;
  const auto bad = Secure(server, PemOf(other.ca.certificate))->Send(Within(5s), {});
  unsetenv("SSL_CERT_FILE");
  ASSERT_FALSE(bad);
  EXPECT_EQ(bad.error().kind, Kind::kTls);
  EXPECT_TRUE(bad.error().not_sent);
  EXPECT_NE(bad.error().message.find("local issuer"), std::string::npos) << bad.error().message;
}

// A certificate of our CA for another machine is an impostor.
TEST(CpprestTransportTlsTest, ChecksTheName) {
  const TestPki pki;
  std::atomic<bool> right_sni = false;
  LoopbackServer server(
      [&](LoopbackPeer& peer) {
        right_sni = peer.server_name_indication() == "kubernetes.default.svc";
        while (!peer.ReadRequest().empty()) {
          peer.Reply(200, "{}");
        }
      },
      pki.Leaf("kubernetes.default.svc", false));
  const auto wrong = Secure(server, PemOf(pki.ca.certificate))->Send(Within(5s), {});
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().kind, Kind::kTls);
  EXPECT_NE(wrong.error().message.find("mismatch"), std::string::npos) << wrong.error().message;
  const auto right =
      Secure(server, PemOf(pki.ca.certificate), "kubernetes.default.svc")->Send(Within(5s), {});
  EXPECT_TRUE(right) << right.error().message;
  EXPECT_TRUE(right_sni);
}

TEST(CpprestTransportTlsTest, InsecureAcceptsAnyoneButOnlyWhenAsked) {
  const TestPki pki;
  LoopbackServer server(
      [](LoopbackPeer& peer) {
        peer.ReadRequest();
        peer.Reply(200, "{}");
        peer.WaitClosed();
      },
      pki.Leaf("whoever", false));
  EXPECT_TRUE(Secure(server, {.insecure_skip_verify = true})->Send(Within(5s), {}));
  EXPECT_FALSE(Secure(server, {})->Send(Within(5s), {}));
}

// A renewed client certificate must be used without a restart, also on connections kept alive.
TEST(CpprestTransportTlsTest, UsesARenewedClientCertificateAtOnce) {
  const TestPki pki;
  LoopbackServer server(
      [](LoopbackPeer& peer) {
        const std::string name = peer.client_name();
        while (!peer.ReadRequest().empty()) {
          peer.Reply(200, name);
        }
      },
      pki.Leaf("server"), &pki.ca.certificate);
  const auto holder = Holder(PemOf(pki.ca.certificate, pki.Leaf("first")));
  StartHttpThreads();
  const auto transport = MakeCpprestTransport({.base_url = server.url(), .tls = holder}).value();
  EXPECT_EQ(transport->Send(Within(5s), {})->body, "first");
  holder->Set(TlsMaterial::Create(PemOf(pki.ca.certificate, pki.Leaf("second"))).value());
  EXPECT_EQ(transport->Send(Within(5s), {})->body, "second");
}

// A peer that freezes in the middle of the handshake must not hang the operator or its stop.
TEST(CpprestTransportTlsTest, FrozenHandshakeEndsAtTheDeadline) {
  const TestPki pki;
  LoopbackServer server([](LoopbackPeer& peer) { peer.WaitClosed(); }, pki.Leaf("server"), nullptr,
                        true);
  const auto transport = Secure(server, PemOf(pki.ca.certificate));
  const auto took = Timed([&] {
    const auto response = transport->Send(Within(200ms), {});
    ASSERT_FALSE(response);
    EXPECT_EQ(response.error().kind, Kind::kTimeout);
  });
  EXPECT_LT(took, 1s);
}

TEST(CpprestTransportTlsTest, RefusesBadOptions) {
  EXPECT_FALSE(MakeCpprestTransport({.base_url = "https://127.0.0.1"}));
  EXPECT_FALSE(MakeCpprestTransport({.base_url = "ftp://127.0.0.1"}));
  EXPECT_FALSE(MakeCpprestTransport({.base_url = "not a url"}));
  EXPECT_FALSE(MakeCpprestTransport({.base_url = "http://[::1]:80"}));  // could never connect
}

}  // namespace
}  // namespace breakwater::net
