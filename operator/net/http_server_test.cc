#include "operator/net/http_server.h"

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <latch>
#include <thread>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "operator/net/cpprest_transport.h"
#include "operator/net/loopback_server.h"

namespace breakwater::net {
namespace {

using namespace std::chrono_literals;  // NOLINT(google-build-using-namespace): literals only

Context Within(std::chrono::milliseconds time) {
  return Context(std::stop_token()).WithTimeout(time);
}

Response Echo(const Request& request) {
  if (request.target == "/throw") {
    throw std::runtime_error("handler");
  }
  return {200,
          {{"Content-Type", "text/plain"}},
          request.method + " " + request.target + " " + request.body};
}

std::unique_ptr<HttpServer> Start(HttpServerOptions options = {}, RequestHandler handler = Echo) {
  return StartHttpServer(std::move(options), std::move(handler), Logger::Null()).value();
}

/// A raw client: this file is about clients that misbehave.
class RawClient {
 public:
  explicit RawClient(const HttpServer& server, int family = AF_INET)
      : fd_(::socket(family, SOCK_STREAM, 0)) {
    sockaddr_in v4{};
    v4.sin_family = AF_INET;
    v4.sin_port = htons(server.port());
    v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    sockaddr_in6 v6{};
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(server.port());
    v6.sin6_addr = in6addr_loopback;
    const int code = family == AF_INET
                         ? ::connect(fd_, reinterpret_cast<sockaddr*>(&v4), sizeof v4)
                         : ::connect(fd_, reinterpret_cast<sockaddr*>(&v6), sizeof v6);
    EXPECT_EQ(code, 0) << std::strerror(errno);
  }

  ~RawClient() { ::close(fd_); }

  RawClient(const RawClient&) = delete;
  RawClient& operator=(const RawClient&) = delete;

  void Send(const std::string& bytes) {
    (void)::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
  }

  /// Everything until the server closes.
  std::string ReadAll() {
    std::string all;
    char chunk[4096];
    for (ssize_t got = 0; (got = ::recv(fd_, chunk, sizeof chunk, 0)) > 0;) {
      all.append(chunk, static_cast<std::size_t>(got));
    }
    return all;
  }

 private:
  int fd_;
};

std::unique_ptr<HttpTransport> Client(const std::string& url,
                                      std::shared_ptr<TlsMaterialHolder> tls = nullptr) {
  StartHttpThreads();
  return MakeCpprestTransport({.base_url = url, .tls = std::move(tls)}).value();
}

std::string Url(const HttpServer& server, const char* scheme = "http") {
  return std::string(scheme) + "://127.0.0.1:" + std::to_string(server.port());
}

void AwaitConnections(const HttpServer& server, int count) {
  const Context limit = Within(5s);
  while (server.connections() < count) {
    ASSERT_TRUE(limit.SleepFor(5ms)) << server.connections();
  }
}

TEST(HttpServerTest, AnswersRequestsOnOneConnection) {
  const auto server = Start();
  const auto client = Client(Url(*server));
  for (int i = 0; i < 3; ++i) {
    const auto response =
        client->Send(Within(5s), {.method = "POST", .target = "/a?b", .body = "c"});
    ASSERT_TRUE(response) << response.error().message;
    EXPECT_EQ(response->body, "POST /a?b c");
  }
  EXPECT_LE(server->connections(), 3);
}

// Probes and scrapers may come over IPv6 in dual-stack clusters.
TEST(HttpServerTest, ServesBothAddressFamilies) {
  const auto server = Start();
  const bool has_v6 = std::filesystem::exists("/proc/net/if_inet6");
  for (const int family :
       has_v6 ? std::vector<int>{AF_INET, AF_INET6} : std::vector<int>{AF_INET}) {
    RawClient client(*server, family);
    client.Send("GET / HTTP/1.1\r\nConnection: close\r\n\r\n");
    EXPECT_EQ(client.ReadAll().substr(0, 12), "HTTP/1.1 200");
  }
}

// One bad request must not take the probes of the process down.
TEST(HttpServerTest, SurvivesAThrowingHandler) {
  const auto server = Start();
  const auto client = Client(Url(*server));
  EXPECT_EQ(client->Send(Within(5s), {.target = "/throw"})->status, 500);
  EXPECT_EQ(client->Send(Within(5s), {})->status, 200);
}

TEST(HttpServerTest, LimitsHeadersAndBodies) {
  const auto server = Start({.max_header_bytes = 1000, .max_body_bytes = 1000});
  RawClient header(*server);
  header.Send("GET / HTTP/1.1\r\nX: " + std::string(5000, 'x') + "\r\n\r\n");
  EXPECT_EQ(header.ReadAll().substr(0, 12), "HTTP/1.1 431");
  RawClient body(*server);
  body.Send("POST / HTTP/1.1\r\nContent-Length: 5000\r\n\r\n" + std::string(5000, 'x'));
  EXPECT_EQ(body.ReadAll().substr(0, 12), "HTTP/1.1 413");
  RawClient rubbish(*server);
  rubbish.Send("\x16\x03\x01 rubbish\r\n\r\n");
  EXPECT_EQ(rubbish.ReadAll().substr(0, 12), "HTTP/1.1 400");
}

// Anybody who reaches the port could fill the memory of the process until it is killed: no limit of
// the parser counts these.
TEST(HttpServerTest, LimitsChunkExtensionsAndTrailers) {
  const auto server = Start();
  const std::string head = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
  for (const char* start : {"1;x=", "0\r\nX: "}) {
    RawClient endless(*server);
    endless.Send(head + start + std::string(1U << 20U, 'x'));  // and no end of the line
    EXPECT_EQ(endless.ReadAll().substr(0, 12), "HTTP/1.1 400") << start;
  }
  RawClient modest(*server);  // the limit is not one for bodies
  modest.Send(
      "POST / HTTP/1.1\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n100000;x=" +
      std::string(1000, 'x') + "\r\n" + std::string(1U << 20U, 'y') + "\r\n0\r\nX: y\r\n\r\n");
  EXPECT_TRUE(modest.ReadAll().starts_with("HTTP/1.1 200"));
}

// A client that never finishes its request must not hold one of the few connections.
TEST(HttpServerTest, ClosesSlowClients) {
  const auto server = Start({.read_timeout = 200ms});
  RawClient silent(*server);
  RawClient half(*server);
  half.Send("GET / HTTP/1.1\r\nX");
  EXPECT_EQ(silent.ReadAll(), "");
  EXPECT_EQ(half.ReadAll(), "");
}

// The listener of the HTTP library leaked a descriptor for each of these: load balancers probe like
// this.
TEST(HttpServerTest, ForgetsClientsThatConnectAndGo) {
  const TestPki pki;
  const crypto::Identity leaf = pki.Leaf("server");
  const auto tls = std::make_shared<TlsMaterialHolder>(
      TlsMaterial::Create(
          {.certificate_chain = leaf.certificate.ToPem(), .private_key = leaf.key.ToPem()})
          .value());
  const auto server = Start({.tls = tls});
  for (int i = 0; i < 20; ++i) {
    const RawClient probe(*server);
  }
  const Context limit = Within(5s);
  while (server->connections() > 0) {
    ASSERT_TRUE(limit.SleepFor(5ms)) << "still open: " << server->connections();
  }
}

// Clients that connect and say nothing must not shut out the kubelet and the API server: the pod
// would be restarted, and what users apply would not be checked.
TEST(HttpServerTest, CapsConnections) {
  const auto server = Start({.max_connections = 2});
  RawClient first(*server);
  first.Send("GET / HTTP/1.1\r\n");
  AwaitConnections(*server, 1);
  RawClient second(*server);
  AwaitConnections(*server, 2);  // both are in before the third comes
  RawClient third(*server);
  third.Send("GET / HTTP/1.1\r\nConnection: close\r\n\r\n");
  EXPECT_TRUE(third.ReadAll().starts_with("HTTP/1.1 200"));
  EXPECT_EQ(first.ReadAll(), "");
  second.Send("GET / HTTP/1.1\r\nConnection: close\r\n\r\n");
  EXPECT_TRUE(second.ReadAll().starts_with("HTTP/1.1 200"));
}

// The same during the handshake, where most of the silent ones are.
TEST(HttpServerTest, CapsTlsConnections) {
  const TestPki pki;
  const crypto::Identity leaf = pki.Leaf("server");
  const auto server = Start({.tls = std::make_shared<TlsMaterialHolder>(
                                 TlsMaterial::Create({.certificate_chain = leaf.certificate.ToPem(),
                                                      .private_key = leaf.key.ToPem()})
                                     .value()),
                             .max_connections = 1});
  RawClient silent(*server);
  AwaitConnections(*server, 1);
  const auto trust = std::make_shared<TlsMaterialHolder>(
      TlsMaterial::Create({.ca = pki.ca.certificate.ToPem()}).value());
  const auto response = Client(Url(*server, "https"), trust)->Send(Within(5s), {});
  EXPECT_TRUE(response) << response.error().message;
  EXPECT_EQ(silent.ReadAll(), "");
}

// Who is being answered gets the answer.
TEST(HttpServerTest, RefusesTheNewestWhenAllAreInWork) {
  std::latch reached(1);
  std::latch release(1);
  const auto server = Start({.max_connections = 1}, [&](const Request&) {
    reached.count_down();
    release.wait();
    return Response{200, {}, "late"};
  });
  RawClient busy(*server);
  busy.Send("GET / HTTP/1.1\r\nConnection: close\r\n\r\n");
  reached.wait();
  EXPECT_EQ(RawClient(*server).ReadAll(), "");
  release.count_down();
  EXPECT_TRUE(busy.ReadAll().ends_with("late"));
}

// Probes may use HEAD. The client takes a body that must not be there for the next reply.
TEST(HttpServerTest, HeadHasNoBody) {
  const auto server = Start();
  RawClient client(*server);
  client.Send("HEAD /a HTTP/1.1\r\n\r\nGET /b HTTP/1.1\r\nConnection: close\r\n\r\n");
  const std::string all = client.ReadAll();
  const std::size_t end = all.find("\r\n\r\n");
  ASSERT_NE(end, std::string::npos) << all;
  EXPECT_NE(all.substr(0, end).find("Content-Length: 8"), std::string::npos) << all;  // "HEAD /a "
  EXPECT_TRUE(all.substr(end + 4).starts_with("HTTP/1.1 200")) << all;
  EXPECT_TRUE(all.ends_with("\r\n\r\nGET /b "));
}

// A certificate is renewed while the server serves: a restart would refuse requests meanwhile.
TEST(HttpServerTest, UsesARenewedCertificateAtOnce) {
  const TestPki old_pki;
  const TestPki new_pki;
  const auto material = [](const crypto::Identity& leaf) {
    return TlsMaterial::Create(
               {.certificate_chain = leaf.certificate.ToPem(), .private_key = leaf.key.ToPem()})
        .value();
  };
  const auto trust = [](const TestPki& pki) {
    return std::make_shared<TlsMaterialHolder>(
        TlsMaterial::Create({.ca = pki.ca.certificate.ToPem()}).value());
  };
  const auto holder = std::make_shared<TlsMaterialHolder>(material(old_pki.Leaf("server")));
  const auto server = Start({.tls = holder});
  EXPECT_TRUE(Client(Url(*server, "https"), trust(old_pki))->Send(Within(5s), {}));
  holder->Set(material(new_pki.Leaf("server")));
  const auto response = Client(Url(*server, "https"), trust(new_pki))->Send(Within(5s), {});
  EXPECT_TRUE(response) << response.error().message;
  EXPECT_FALSE(Client(Url(*server, "https"), trust(old_pki))->Send(Within(5s), {}));
}

// SIGTERM: the request in work gets its answer, idle and frozen clients do not hold the stop.
TEST(HttpServerTest, StopsInOrderAndQuickly) {
  std::latch reached(1);
  std::latch release(1);
  auto server = Start({}, [&](const Request&) {
    reached.count_down();
    release.wait();
    return Response{200, {}, "late"};
  });
  RawClient frozen(*server);
  const auto client = Client(Url(*server));
  std::string body;
  std::thread caller([&] {
    const auto response = client->Send(Within(5s), {});
    body = response ? response->body : response.error().message;
  });
  reached.wait();
  std::thread releaser([&] { release.count_down(); });
  const SteadyTime start = RealClock().SteadyNow();
  server.reset();
  EXPECT_LT(RealClock().SteadyNow() - start, 1s);
  caller.join();
  releaser.join();
  EXPECT_EQ(body, "late");
}

TEST(HttpServerTest, ReportsWhyItCannotStart) {
  const auto first = Start({.address = "127.0.0.1"});
  const auto second =
      StartHttpServer({.address = "127.0.0.1", .port = first->port()}, Echo, Logger::Null());
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().error_class, ErrorClass::kTransient);
  const auto without =
      StartHttpServer({.tls = std::make_shared<TlsMaterialHolder>(TlsMaterial::Create({}).value())},
                      Echo, Logger::Null());
  ASSERT_FALSE(without);
  EXPECT_EQ(without.error().error_class, ErrorClass::kInvalid);
}

}  // namespace
}  // namespace breakwater::net
