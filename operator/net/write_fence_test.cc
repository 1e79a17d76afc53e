#include "operator/net/write_fence.h"

#include <memory>
#include <string>
#include <thread>

#include <gtest/gtest.h>

#include "operator/testing/fake_clock.h"
#include "operator/testing/scripted_transport.h"

namespace breakwater::net {
namespace {

using namespace std::chrono_literals;  // NOLINT(google-build-using-namespace): literals only

class DeafSocket final : public WebSocket {
 public:
  const std::string& subprotocol() const override { return subprotocol_; }

  Result<std::optional<std::string>, TransportError> Read(const Context&) override {
    return std::optional<std::string>("read");
  }

  Result<void, TransportError> Write(const Context&, std::string_view) override { return {}; }

  void Close() override {}

 private:
  const std::string subprotocol_;
};

class Connector final : public WebSocketConnector {
 public:
  explicit Connector(int& calls) : calls_(calls) {}

  Result<std::unique_ptr<WebSocket>, UpgradeError> Connect(const Context&,
                                                           const UpgradeRequest&) override {
    ++calls_;
    return std::unique_ptr<WebSocket>(std::make_unique<DeafSocket>());
  }

 private:
  int& calls_;
};

// Breaks: two operators change the same volume at once after one of them was frozen.
TEST(WriteFenceTest, OnlyReadsPassAClosedFence) {
  testing::FakeClock clock;
  WriteFence fence(clock);
  const auto inner = std::make_shared<testing::ScriptedTransport>();
  const auto transport = FenceWrites(inner, fence);
  const Context ctx{std::stop_token(), clock};
  fence.OpenUntil(clock.SteadyNow() + 10s);
  inner->Expect("POST", "/a").Reply(201);
  EXPECT_TRUE(transport->Send(ctx, {.method = "POST", .target = "/a"}));
  clock.Advance(10s);
  for (const char* method : {"POST", "PUT", "PATCH", "DELETE"}) {
    const auto refused = transport->Send(ctx, {.method = method, .target = "/a"});
    ASSERT_FALSE(refused) << method;
    EXPECT_EQ(refused.error().kind, TransportError::Kind::kCanceled);
    EXPECT_TRUE(refused.error().not_sent);
    EXPECT_FALSE(transport->Open(ctx, {.method = method, .target = "/a"}, 1s)) << method;
  }
  inner->Expect("GET", "/a").Reply(200);
  EXPECT_TRUE(transport->Send(ctx, {.method = "GET", .target = "/a"}));
}

// Breaks: the HTTP library sends a write again on its own, because a kept connection had closed,
// after another replica took over.
TEST(WriteFenceTest, WritesHaveTheirOwnConnection) {
  testing::FakeClock clock;
  const WriteFence fence(clock);
  const auto inner = std::make_shared<testing::ScriptedTransport>();
  const auto transport = FenceWrites(inner, fence);
  const Context ctx{std::stop_token(), clock};
  for (const char* method : {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"}) {
    const bool read = method == std::string("GET") || method == std::string("HEAD");
    const auto check = [read](const Request& request) {
      EXPECT_EQ(request.fresh_connection, !read) << request.method;
    };
    inner->Expect(method, "/a").Reply(200).Check(check);
    EXPECT_TRUE(transport->Send(ctx, {.method = method, .target = "/a"}));
    inner->Expect(method, "/a").Reply(200).Check(check);
    EXPECT_TRUE(transport->Open(ctx, {.method = method, .target = "/a"}, 1s));
  }
}

// Breaks: a command (drbdadm) runs on a node for a replica that does not lead.
TEST(WriteFenceTest, NoProgramIsStartedBehindAClosedFence) {
  testing::FakeClock clock;
  WriteFence fence(clock);
  int calls = 0;
  const auto connector = FenceWrites(std::make_unique<Connector>(calls), fence);
  const Context ctx{std::stop_token(), clock};
  EXPECT_TRUE(connector->Connect(ctx, {}));
  fence.Close();
  const auto refused = connector->Connect(ctx, {});
  ASSERT_FALSE(refused);
  EXPECT_NE(std::get<TransportError>(refused.error()).message.find("lease"), std::string::npos);
  EXPECT_EQ(calls, 1);
}

/// Answers nothing until it is cancelled.
class Hanging final : public HttpTransport {
 public:
  Result<Response, TransportError> Send(const Context& ctx, const Request&) override {
    ctx.SleepFor(std::chrono::hours(1));
    return Unexpected{TransportError{.kind = TransportError::Kind::kCanceled}};
  }

  Result<StreamResponse, TransportError> Open(const Context&,
                                              const Request&,
                                              std::chrono::milliseconds) override {
    return Unexpected{TransportError{}};
  }
};

// Breaks: a write that hangs in a dead network reaches LINSTOR when the network is well again, long
// after another replica took over.
TEST(WriteFenceTest, TheEndCancelsWhatIsOnItsWay) {
  testing::FakeClock clock;
  WriteFence fence(clock);
  const auto transport = FenceWrites(std::make_shared<Hanging>(), fence);
  std::jthread ends([&] {
    clock.WaitForSleepers(1);
    fence.End();
  });
  const auto canceled =
      transport->Send(Context(std::stop_token(), clock), {.method = "PUT", .target = "/a"});
  ASSERT_FALSE(canceled);
  EXPECT_FALSE(fence.IsOpen());
}

// Breaks: a replica that lost its lease tells an agent to cut a connection, over a stream that it
// opened while it still led.
TEST(WriteFenceTest, AnOpenStreamIsToldNothingMore) {
  testing::FakeClock clock;
  WriteFence fence(clock);
  int calls = 0;
  const auto connector = FenceWrites(std::make_unique<Connector>(calls), fence);
  const Context ctx{std::stop_token(), clock};
  fence.OpenUntil(clock.SteadyNow() + 10s);
  const auto socket = connector->Connect(ctx, {});
  ASSERT_TRUE(socket);
  EXPECT_TRUE((*socket)->Write(ctx, "x"));
  clock.Advance(10s);
  EXPECT_EQ((*socket)->Write(ctx, "x").error().kind, TransportError::Kind::kCanceled);
  EXPECT_TRUE((*socket)->Read(ctx)) << "what it says may still be read";
}

}  // namespace
}  // namespace breakwater::net
