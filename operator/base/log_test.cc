#include "operator/base/log.h"

#include <string>
#include <type_traits>
#include <vector>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "operator/base/secret.h"
#include "operator/testing/fake_clock.h"

namespace breakwater {
namespace {

class LogTest : public ::testing::Test {
 protected:
  Logger Make(LogLevel level) {
    return Logger([this](std::string_view line) { lines_.emplace_back(line); }, level, clock_);
  }

  nlohmann::json Last() const { return nlohmann::json::parse(lines_.back()); }

  testing::FakeClock clock_;
  std::vector<std::string> lines_;
};

// Log collectors index these names: a renamed field breaks the users' queries.
TEST_F(LogTest, WritesOneJsonObjectPerLine) {
  const Logger log = Make(LogLevel::kInfo);
  log.Named("reflector", {{"kind", "Pod"}}).Info("applied", {{"count", 3}, {"ok", true}});
  ASSERT_EQ(lines_.size(), 1U);
  EXPECT_EQ(lines_[0].find('\n'), std::string::npos);
  EXPECT_EQ(Last()["level"], "info");
  EXPECT_EQ(Last()["logger"], "reflector");
  EXPECT_EQ(Last()["msg"], "applied");
  EXPECT_EQ(Last()["kind"], "Pod");
  EXPECT_EQ(Last()["count"], 3);
  EXPECT_EQ(Last()["ok"], true);
  EXPECT_TRUE(Last()["ts"].is_string());
}

// A name with a quote or a broken byte must neither forge fields nor throw inside a controller.
TEST_F(LogTest, EscapesHostileText) {
  const Logger log = Make(LogLevel::kInfo);
  log.Info("m", {{"name", "a\",\"level\":\"x\n\xff"}});
  EXPECT_EQ(Last()["level"], "info");
  EXPECT_EQ(Last()["name"], "a\",\"level\":\"x\n\xEF\xBF\xBD");
}

// Braces in a message must not be read as a format string.
TEST_F(LogTest, DoesNotInterpretBraces) {
  Make(LogLevel::kInfo).Info("{} {0}");
  EXPECT_EQ(Last()["msg"], "{} {0}");
}

// On-call turns debug on in a running operator.
TEST_F(LogTest, LevelChangesAtRunTimeForAllCopies) {
  const Logger log = Make(LogLevel::kInfo);
  const Logger child = log.Named("child");
  child.Debug("hidden");
  EXPECT_TRUE(lines_.empty());
  log.SetLevel(LogLevel::kDebug);
  child.Debug("shown");
  EXPECT_EQ(lines_.size(), 1U);
  log.SetLevel(LogLevel::kOff);
  child.Error("hidden");
  EXPECT_EQ(lines_.size(), 1U);
}

TEST_F(LogTest, ParsesLevels) {
  EXPECT_EQ(ParseLogLevel("warn"), LogLevel::kWarn);
  EXPECT_FALSE(ParseLogLevel("loud").has_value());
}

// A token in a log is a leak: it must not even compile.
static_assert(!std::is_constructible_v<LogValue, Secret<>>);

}  // namespace
}  // namespace breakwater
