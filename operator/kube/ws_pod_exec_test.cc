#include "operator/kube/ws_pod_exec.h"

#include <deque>
#include <functional>

#include <gtest/gtest.h>

#include "operator/testing/fake_clock.h"

namespace breakwater::kube {
namespace {

using namespace std::chrono_literals;  // NOLINT(google-build-using-namespace): literals only
using Kind = net::TransportError::Kind;
using Message = Result<std::optional<std::string>, net::TransportError>;

/// A connection that plays given messages.
class FakeSocket final : public net::WebSocket {
 public:
  FakeSocket(std::deque<Message> messages, const testing::FakeClock& clock)
      : messages_(std::move(messages)), clock_(clock) {}

  const std::string& subprotocol() const override { return subprotocol_; }

  Message Read(const Context& ctx) override {
    if (messages_.empty()) {  // a peer that forgets to close: only the deadline ends the wait
      EXPECT_TRUE(ctx.deadline().has_value());
      EXPECT_LE(*ctx.deadline() - clock_.SteadyNow(), 5s);
      return Unexpected{net::TransportError{Kind::kTimeout, "no read in time"}};
    }
    Message message = std::move(messages_.front());
    messages_.pop_front();
    return message;
  }

  Result<void, net::TransportError> Write(const Context&, std::string_view) override { return {}; }

 private:
  std::deque<Message> messages_;
  const testing::FakeClock& clock_;
  const std::string subprotocol_ = "v5.channel.k8s.io";
};

class WsPodExecTest : public ::testing::Test, public net::WebSocketConnector {
 protected:
  Result<std::unique_ptr<net::WebSocket>, net::UpgradeError> Connect(
      const Context&, const net::UpgradeRequest& request) override {
    seen_ = request;
    if (refusal_) {
      return Unexpected{*refusal_};
    }
    return std::unique_ptr<net::WebSocket>(std::make_unique<FakeSocket>(messages_, clock_));
  }

  KubeResult<ExecResult> Exec() {
    return MakeWsPodExec(*this, nullptr, clock_,
                         {.on_request = [this](const RequestReport& r) { code_ = r.code; }})
        ->Exec(Context(std::stop_token(), clock_).WithTimeout(60s),
               {.ns = "n", .pod = "p", .container = "c", .argv = {"drbdsetup", "status"}});
  }

  static std::optional<std::string> On(char channel, const std::string& bytes) {
    return channel + bytes;
  }

  testing::FakeClock clock_;
  std::deque<Message> messages_;
  std::optional<net::UpgradeError> refusal_;
  net::UpgradeRequest seen_;
  int code_ = -1;
};

constexpr const char* kSuccess = R"({"status":"Success"})";

TEST_F(WsPodExecTest, RunsAProgram) {
  messages_ = {On(1, "out"), On(3, kSuccess), On(2, "late"), std::optional<std::string>()};
  const auto result = Exec();
  ASSERT_TRUE(result) << result.error().message();
  EXPECT_EQ(result->out, "out");
  EXPECT_EQ(result->err, "late");
  EXPECT_EQ(code_, 101);
  EXPECT_EQ(seen_.subprotocols,
            (std::vector<std::string>{"v5.channel.k8s.io", "v4.channel.k8s.io"}));
}

// Servers drop the connection after the status in many ways: none of them changes the outcome.
TEST_F(WsPodExecTest, TheStatusDecidesHoweverTheConnectionEnds) {
  messages_ = {On(1, "out"), On(3, kSuccess), Unexpected{net::TransportError{Kind::kReset, "rst"}}};
  EXPECT_TRUE(Exec());
  messages_ = {On(1, "out"), On(3, kSuccess)};
  EXPECT_TRUE(Exec());
}

TEST_F(WsPodExecTest, BrokenOffIsAnError) {
  messages_ = {On(1, "out"), std::optional<std::string>()};
  EXPECT_EQ(Exec().error().transport()->kind, Kind::kReset);
  messages_ = {On(1, "out"), Unexpected{net::TransportError{Kind::kCanceled, ""}}};
  EXPECT_TRUE(Exec().error().IsCanceled());
}

// The admin must read what right is missing.
TEST_F(WsPodExecTest, RefusedUpgradeShowsTheStatus) {
  refusal_ = net::Response{
      403, {}, R"({"kind":"Status","code":403,"reason":"Forbidden","message":"no pods/exec"})"};
  const auto result = Exec();
  ASSERT_FALSE(result);
  EXPECT_TRUE(result.error().IsForbidden());
  EXPECT_EQ(result.error().message(), "Forbidden (403): no pods/exec");
  EXPECT_EQ(code_, 403);
}

TEST_F(WsPodExecTest, UnknownMessagesAreErrors) {
  messages_ = {On(9, "?")};
  EXPECT_FALSE(Exec());
}

}  // namespace
}  // namespace breakwater::kube
