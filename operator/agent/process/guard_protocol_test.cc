// Lines between worker and supervisor. What would break for a user: a line that is misread lets a
// volume stay frozen, or resumes another one.

#include "operator/agent/process/guard_protocol.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace breakwater::agent {
namespace {

std::string Round(const WorkerLine& line) {
  const std::string text = EncodeWorkerLine(line);
  EXPECT_EQ(text.find('\n'), text.size() - 1);
  const std::optional<WorkerLine> back = DecodeWorkerLine(text.substr(0, text.size() - 1));
  EXPECT_EQ(back, line) << text;
  return text;
}

TEST(GuardProtocolTest, ReadsWhatItWrote) {
  EXPECT_EQ(
      Round(GuardLine{"r1.42_a-b", SteadyTime(std::chrono::nanoseconds(1234567890123)), {1000, 0}}),
      "guard r1.42_a-b 1234567890123 1000,0\n");
  EXPECT_EQ(Round(ReleaseLine{"a"}), "release a\n");
  EXPECT_EQ(Round(KeepLine{}), "keep -\n");
  EXPECT_EQ(Round(KeepLine{{"a", "b"}}), "keep a,b\n");
  EXPECT_EQ(Round(AliveLine{}), "alive\n");
}

TEST(GuardProtocolTest, RefusesEverythingElse) {
  for (const char* line : {"",
                           "guard",
                           "guard a 1",
                           "guard a 1 ",
                           "guard a 1 1 1",
                           "guard a x 1",
                           "guard a -1 1",
                           "guard a 1 -1",
                           "guard a 1 1048576",
                           "guard a 1 1,",
                           "guard a 1 1;reboot",
                           "guard a/b 1 1",
                           "guard .. 1 1",
                           "release",
                           "release ../x",
                           "release a b",
                           "keep",
                           "keep a,,b",
                           "keep a/b",
                           "alive now",
                           "ALIVE",
                           "99999999999999999999",
                           "guard a 99999999999999999999 1"}) {
    EXPECT_FALSE(DecodeWorkerLine(line)) << line;
  }
  std::string many = "guard a 1 0";
  for (std::size_t i = 0; i < kMaxGuardedMinors; ++i) {
    many += ",1";
  }
  EXPECT_FALSE(DecodeWorkerLine(many));
  EXPECT_FALSE(DecodeWorkerLine("keep " + std::string(kMaxGuardLine, 'a')));
}

TEST(GuardProtocolTest, AnIdNamesAFileAndNothingElse) {
  EXPECT_TRUE(IsTransactionId("pvc-1.Lead_7"));
  for (const char* id : {"", ".", "..", "-", "a/b", "a b", "a\n", "\xc3\xa4"}) {
    EXPECT_FALSE(IsTransactionId(id)) << id;
  }
  EXPECT_FALSE(IsTransactionId(std::string(65, 'a')));
}

}  // namespace
}  // namespace breakwater::agent
