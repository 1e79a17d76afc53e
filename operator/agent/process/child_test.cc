// Children and the loop. What would break for a user: a tool that hangs stops the agent, an output
// without end takes the node's memory.

#include "operator/agent/process/child.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "operator/agent/testing/test_support.h"

namespace breakwater::agent {
namespace {

using std::chrono::milliseconds;

class ChildTest : public ::testing::Test {
 protected:
  ChildResult Run(const std::vector<std::string>& arguments, const ChildLimits& limits = {}) {
    ChildResult result;
    children_.Run(arguments, limits, [&](ChildResult done) {
      result = std::move(done);
      loop_.Stop();
    });
    RunLoop();
    return result;
  }

  void RunLoop() {
    const Loop::TimerId limit = loop_.After(testing::kPatience, [this] {
      ADD_FAILURE() << "nothing happened";
      loop_.Stop();
    });
    loop_.Run();
    loop_.Cancel(limit);
  }

  Loop loop_{};
  Children children_{&loop_};
};

TEST_F(ChildTest, GivesOutputErrorAndExitCode) {
  const ChildResult result = Run({"sh", "-c", "echo out; echo err >&2; exit 7"});
  EXPECT_EQ(result.exit_code, 7);
  EXPECT_EQ(result.output, "out\n");
  EXPECT_EQ(result.error, "err\n");
  EXPECT_FALSE(result.truncated);
}

// REVIEW-2, agent: no name becomes a command.
TEST_F(ChildTest, ArgumentsAreNotForAShell) {
  EXPECT_EQ(Run({"printf", "%s", "$(id); *"}).output, "$(id); *");
}

TEST_F(ChildTest, AProgramThatIsNotThere) {
  EXPECT_EQ(Run({"breakwater-no-such-program"}).exit_code, 127);
}

TEST_F(ChildTest, ASignalIsNoExitCode) {
  EXPECT_EQ(Run({"sh", "-c", "kill -9 $$"}).exit_code, -1);
}

TEST_F(ChildTest, WhatHangsIsEndedWithItsChildren) {
  const testing::TempDir dir;
  const ChildResult result =
      Run({"sh", "-c", "sleep 1000 & echo $! > " + dir.Path("pid") + "; wait"},
          {milliseconds(500), 1000});
  EXPECT_TRUE(result.timed_out);
  EXPECT_EQ(result.exit_code, -1);
  const pid_t grandchild = std::stoi(testing::ReadText(dir.Path("pid")));
  EXPECT_TRUE(testing::Eventually([&] { return !testing::Alive(grandchild); }));
}

TEST_F(ChildTest, OutputIsCut) {
  const ChildResult result =
      Run({"head", "-c", "10000000", "/dev/zero"}, {milliseconds(20000), 1000});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_TRUE(result.truncated);
  EXPECT_EQ(result.output.size(), 1000U);
  EXPECT_EQ(Run({"sh", "-c", "head -c 100000 /dev/zero >&2"}).error.size(), kMaxErrorBytes);
}

TEST_F(ChildTest, ItHasTheSignalsOfAFreshProcess) {
  // The agent blocks and ignores signals; a child with SIGTERM blocked could not be ended politely.
  const std::string status = Run({"grep", "-E", "SigBlk|SigIgn", "/proc/self/status"}).output;
  EXPECT_NE(status.find("SigBlk:\t0000000000000000"), std::string::npos) << status;
}

TEST_F(ChildTest, AStreamIsReadAsItComesAndCanBeEnded) {
  std::string seen;
  int exit_code = 0;
  int handle = 0;
  handle = children_.Stream(
      {"sh", "-c", "echo one; exec sleep 1000"},
      [&](std::string_view bytes) {
        seen += bytes;
        children_.Kill(handle);
      },
      [&](const ChildResult& result) {
        exit_code = result.exit_code;
        loop_.Stop();
      });
  RunLoop();
  EXPECT_EQ(seen, "one\n");
  EXPECT_EQ(exit_code, -1);
  EXPECT_EQ(children_.running(), 0U);
}

TEST_F(ChildTest, ManyAtOnce) {
  int left = 100;
  for (int i = 0; i < 100; ++i) {
    children_.Run({"true"}, {}, [&](const ChildResult& result) {
      EXPECT_EQ(result.exit_code, 0);
      if (--left == 0) {
        loop_.Stop();
      }
    });
  }
  RunLoop();
  EXPECT_EQ(left, 0);
}

TEST_F(ChildTest, TimersComeInOrderAndCanBeCancelled) {
  std::string order;
  const SteadyTime now = loop_.Now();
  loop_.At(now + milliseconds(20), [&] { loop_.Stop(); });
  loop_.At(now + milliseconds(10), [&] { order += "b"; });
  const Loop::TimerId cancelled = loop_.At(now + milliseconds(5), [&] { order += "x"; });
  loop_.At(now, [&] {
    order += "a";
    loop_.Cancel(cancelled);
  });
  RunLoop();
  EXPECT_EQ(order, "ab");
}

}  // namespace
}  // namespace breakwater::agent
