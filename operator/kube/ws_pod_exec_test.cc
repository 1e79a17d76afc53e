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
  FakeSocket(std::deque<Message> messages,
             testing::FakeClock& clock,
             std::vector<std::string>& written)
      : messages_(std::move(messages)), clock_(clock), written_(written) {}

  const std::string& subprotocol() const override { return subprotocol_; }

  Message Read(const Context& ctx) override {
    if (messages_.empty()) {  // a peer that forgets to close: only the deadline ends the wait
      EXPECT_TRUE(ctx.deadline().has_value());
      EXPECT_LE(*ctx.deadline() - clock_.SteadyNow(), 5s);
      clock_.Advance(*ctx.deadline() - clock_.SteadyNow());
      return Unexpected{net::TransportError{Kind::kTimeout, "no read in time"}};
    }
    Message message = std::move(messages_.front());
    messages_.pop_front();
    return message;
  }

  Result<void, net::TransportError> Write(const Context&, std::string_view message) override {
    written_.emplace_back(message);
    return {};
  }

  void Close() override {}

 private:
  std::deque<Message> messages_;
  testing::FakeClock& clock_;
  std::vector<std::string>& written_;
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
    return std::unique_ptr<net::WebSocket>(
        std::make_unique<FakeSocket>(messages_, clock_, written_));
  }

  KubeResult<ExecResult> Exec() {
    return MakeWsPodExec(*this, nullptr, clock_,
                         {.on_request = [this](const RequestReport& r) { code_ = r.code; }})
        ->Exec(Context(std::stop_token(), clock_).WithTimeout(60s),
               {.ns = "n", .pod = "p", .container = "c", .argv = {"drbdsetup", "status"}});
  }

  KubeResult<std::unique_ptr<ExecStream>> Open() {
    exec_ = MakeWsPodExec(*this, nullptr, clock_,
                          {.on_request = [this](const RequestReport& r) { code_ = r.code; }});
    return exec_->Open(
        Context(std::stop_token(), clock_).WithTimeout(60s),
        {.ns = "n", .pod = "p", .container = "c", .argv = {"agent"}, .max_output_bytes = 1000});
  }

  Context Within(std::chrono::milliseconds time) {
    return Context(std::stop_token(), clock_).WithTimeout(time);
  }

  static std::optional<std::string> On(char channel, const std::string& bytes) {
    return channel + bytes;
  }

  testing::FakeClock clock_;
  std::deque<Message> messages_;
  std::optional<net::UpgradeError> refusal_;
  net::UpgradeRequest seen_;
  std::vector<std::string> written_;
  std::unique_ptr<PodExec> exec_;
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

TEST_F(WsPodExecTest, AStreamCarriesBothDirections) {
  messages_ = {On(1, ""),     On(3, ""),       On(1, "out"),  On(2, "err"),
               On(1, "more"), On(3, kSuccess), On(1, "late"), std::optional<std::string>()};
  auto stream = Open();
  ASSERT_TRUE(stream) << stream.error().message();
  EXPECT_NE(seen_.target.find("stdin=true"), std::string::npos);
  EXPECT_EQ(seen_.max_message_bytes, 1000U);
  EXPECT_EQ(code_, 101);
  ASSERT_TRUE((*stream)->Write(Within(1s), "in"));
  EXPECT_EQ(written_, std::vector<std::string>{std::string(1, '\0') + "in"});
  EXPECT_EQ((*stream)->Read(Within(1s)).value().value(), "out");
  EXPECT_EQ((*stream)->Read(Within(1s)).value().value(), "more");
  EXPECT_FALSE((*stream)->Ended()) << "still running";
  EXPECT_EQ((*stream)->Read(Within(1s)).value().value(), "late");
  EXPECT_FALSE((*stream)->Read(Within(1s)).value().has_value());
  EXPECT_FALSE((*stream)->Read(Within(1s)).value().has_value());
  EXPECT_EQ((*stream)->Ended().value().exit_code, 0);
  EXPECT_EQ((*stream)->Ended().value().err, "err");
}

// An idle agent: the stream must outlive every wait for it.
TEST_F(WsPodExecTest, ADeadlineLeavesTheStreamAlive) {
  messages_ = {On(1, "a"), Unexpected{net::TransportError{Kind::kTimeout, "no read in time"}},
               On(1, "b")};
  auto stream = Open();
  ASSERT_TRUE(stream);
  EXPECT_EQ((*stream)->Read(Within(1s)).value().value(), "a");
  EXPECT_EQ((*stream)->Read(Within(1s)).error().transport()->kind, Kind::kTimeout);
  EXPECT_EQ((*stream)->Read(Within(1s)).value().value(), "b");
}

// A broken connection must never look like an agent that has ended in order.
TEST_F(WsPodExecTest, AStreamThatBreaksIsAnErrorFromThenOn) {
  const std::vector<Message> breaks = {
      std::optional<std::string>(), Unexpected{net::TransportError{Kind::kReset, "rst"}},
      Unexpected{net::TransportError{Kind::kTooLarge, "big"}}, On(9, "?")};
  for (const Message& end : breaks) {
    messages_ = {On(1, "a"), end};
    auto stream = Open();
    ASSERT_TRUE(stream);
    EXPECT_TRUE((*stream)->Read(Within(1s)));
    EXPECT_FALSE((*stream)->Read(Within(1s)));
    EXPECT_FALSE((*stream)->Read(Within(1s)));
    EXPECT_FALSE((*stream)->Ended());
  }
}

// A server that forgets to close after the program has ended.
TEST_F(WsPodExecTest, AStreamEndsSoonAfterTheStatus) {
  messages_ = {On(3, kSuccess)};
  auto stream = Open();
  ASSERT_TRUE(stream);
  const SteadyTime start = clock_.SteadyNow();
  EXPECT_EQ((*stream)->Read(Within(1s)).error().transport()->kind, Kind::kTimeout);
  EXPECT_FALSE((*stream)->Read(Within(60s)).value().has_value());
  EXPECT_LE(clock_.SteadyNow() - start, 5s);
  EXPECT_EQ((*stream)->Ended().value().exit_code, 0);
}

TEST_F(WsPodExecTest, ARefusedStreamShowsTheStatus) {
  for (const int code : {403, 404, 500}) {
    refusal_ = net::Response{
        code, {}, R"({"kind":"Status","message":"why","code":)" + std::to_string(code) + "}"};
    const auto stream = Open();
    ASSERT_FALSE(stream);
    EXPECT_EQ(stream.error().code(), code);
    EXPECT_NE(stream.error().message().find("why"), std::string::npos);
    EXPECT_EQ(code_, code);
  }
}

TEST_F(WsPodExecTest, UnknownMessagesAreErrors) {
  messages_ = {On(9, "?")};
  EXPECT_FALSE(Exec());
}

}  // namespace
}  // namespace breakwater::kube
