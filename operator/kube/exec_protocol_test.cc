#include "operator/kube/exec_protocol.h"

#include <gtest/gtest.h>

namespace breakwater::kube {
namespace {

std::string Message(unsigned char channel, const std::string& bytes) {
  return static_cast<char>(channel) + bytes;
}

constexpr const char* kSuccess = R"({"metadata":{},"status":"Success"})";
constexpr const char* kExit3 = R"({"metadata":{},"status":"Failure","message":"command terminated",
    "reason":"NonZeroExitCode","details":{"causes":[{"reason":"ExitCode","message":"3"}]}})";

TEST(ExecProtocolTest, CollectsOutputAndSuccess) {
  ExecDecoder decoder(100);
  for (const std::string& message :
       {Message(1, ""), Message(2, ""), Message(3, ""), Message(1, "a"), Message(2, "e"),
        Message(3, kSuccess), Message(1, "b"), Message(255, "\x01")}) {
    ASSERT_TRUE(decoder.Feed(message));
  }
  const auto result = decoder.Finish();
  ASSERT_TRUE(result);
  EXPECT_EQ(result->exit_code, 0);
  EXPECT_EQ(result->out, "ab");
  EXPECT_EQ(result->err, "e");
  EXPECT_FALSE(result->truncated);
}

// drbdadm says "state change refused" by its exit code: it is an answer, not a failure of the exec.
TEST(ExecProtocolTest, NonZeroExitIsAValue) {
  ExecDecoder decoder(100);
  ASSERT_TRUE(decoder.Feed(Message(3, kExit3)));
  EXPECT_TRUE(decoder.has_status());
  EXPECT_EQ(decoder.Finish().value().exit_code, 3);
}

// A program that could not be started must never look like one that ran.
TEST(ExecProtocolTest, OtherFailuresAreErrors) {
  for (
      const char* status :
      {R"({"status":"Failure","reason":"InternalError","message":"not found","code":500})",
       R"({"status":"Failure","reason":"NonZeroExitCode"})",
       R"({"status":"Failure","reason":"NonZeroExitCode","details":{"causes":[{"reason":"ExitCode","message":"3x"}]}})",
       R"({})"}) {
    ExecDecoder decoder(100);
    ASSERT_TRUE(decoder.Feed(Message(3, status)));
    const auto result = decoder.Finish();
    ASSERT_FALSE(result) << status;
    EXPECT_EQ(result.error().code(), 500);
  }
}

// A connection that broke leaves the outcome open: taking it for success would skip a migration
// step.
TEST(ExecProtocolTest, NoStatusIsAnError) {
  ExecDecoder decoder(100);
  ASSERT_TRUE(decoder.Feed(Message(1, "output")));
  const auto result = decoder.Finish();
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().transport()->kind, net::TransportError::Kind::kReset);
}

// A chatty program must not eat the operator's memory, and its exit code must still be known.
TEST(ExecProtocolTest, CapsOutputOfBothStreamsTogether) {
  ExecDecoder decoder(5);
  ASSERT_TRUE(decoder.Feed(Message(1, "abc")));
  ASSERT_TRUE(decoder.Feed(Message(2, "defg")));
  ASSERT_TRUE(decoder.Feed(Message(1, "h")));
  ASSERT_TRUE(decoder.Feed(Message(3, kSuccess)));
  const auto result = decoder.Finish();
  ASSERT_TRUE(result);
  EXPECT_EQ(result->out, "abc");
  EXPECT_EQ(result->err, "de");
  EXPECT_TRUE(result->truncated);
}

TEST(ExecProtocolTest, RefusesWhatIsNoExecMessage) {
  for (const std::string& message : {std::string(), Message(0, "x"), Message(4, "x"),
                                     Message(9, "x"), Message(3, "rubbish"), Message(3, "[]")}) {
    ExecDecoder decoder(100);
    EXPECT_FALSE(decoder.Feed(message)) << message;
  }
}

// A stream that runs for weeks must not fill the operator's memory, and its last words are known.
TEST(ExecProtocolTest, AStreamKeepsTheEndOfStderrOnly) {
  ExecDecoder decoder = ExecDecoder::ForStream();
  ASSERT_TRUE(decoder.Feed(Message(1, "one")));
  EXPECT_EQ(decoder.TakeOut(), "one");
  EXPECT_EQ(decoder.TakeOut(), "");
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(decoder.Feed(Message(2, std::string(1000, 'x'))));
  }
  ASSERT_TRUE(decoder.Feed(Message(2, "no socket")));
  ASSERT_TRUE(decoder.Feed(Message(1, "two")));
  ASSERT_TRUE(decoder.Feed(Message(3, kExit3)));
  EXPECT_EQ(decoder.TakeOut(), "two");
  const auto result = decoder.Finish();
  ASSERT_TRUE(result);
  EXPECT_EQ(result->exit_code, 3);
  EXPECT_EQ(result->err, std::string(kStderrTailBytes - 9, 'x') + "no socket");
}

TEST(ExecProtocolTest, StdinIsChannelZeroInBoundedMessages) {
  EXPECT_TRUE(StdinMessages("").empty());
  EXPECT_EQ(StdinMessages("ab"), std::vector<std::string>{Message(0, "ab")});
  const auto two = StdinMessages(std::string(kStdinChunkBytes, 'a') + "b");
  ASSERT_EQ(two.size(), 2U);
  EXPECT_EQ(two[0], Message(0, std::string(kStdinChunkBytes, 'a')));
  EXPECT_EQ(two[1], Message(0, "b"));
}

// Arguments are passed as they are: no shell, no splitting, nothing that ends the parameter.
TEST(ExecProtocolTest, EncodesEveryArgument) {
  EXPECT_EQ(
      ExecTarget({.ns = "n", .pod = "p", .container = "c", .argv = {"sh", "a b&c=d", "ü", ""}}),
      "/api/v1/namespaces/n/pods/p/exec?command=sh&command=a%20b%26c%3Dd&command=%C3%BC"
      "&command=&container=c&stdout=true&stderr=true");
  EXPECT_EQ(ExecTarget({.ns = "n", .pod = "p", .argv = {"a"}}, true),
            "/api/v1/namespaces/n/pods/p/exec?command=a&stdout=true&stderr=true&stdin=true");
  EXPECT_EQ(ExecProblem({.ns = "n", .pod = "p", .argv = {"a"}}), "");
  EXPECT_NE(ExecProblem({.ns = "n", .pod = "p"}), "");
  EXPECT_NE(ExecProblem({.ns = "n", .pod = "p/../q", .argv = {"a"}}), "");
}

}  // namespace
}  // namespace breakwater::kube
