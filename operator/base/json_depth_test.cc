#include "operator/base/json_depth.h"

#include <string>

#include <gtest/gtest.h>

namespace breakwater {
namespace {

// What is too deep must be seen, or one request ends the process; what only looks deep (a script in
// a patch, a long list) must not be refused.
TEST(JsonDepthTest, CountsNestingOnly) {
  EXPECT_FALSE(NestsDeeperThan("", 0));
  EXPECT_FALSE(NestsDeeperThan("1", 0));
  EXPECT_FALSE(NestsDeeperThan(R"([{"a":[]}])", 3));
  EXPECT_TRUE(NestsDeeperThan(R"([{"a":[]}])", 2));
  EXPECT_FALSE(NestsDeeperThan("[[],[],{},[[]]]", 3));
  EXPECT_FALSE(NestsDeeperThan(R"(["[[[[","{\"[[[\\",[]])", 2));
  EXPECT_TRUE(NestsDeeperThan(R"(["\\",[[]]])", 2));
  EXPECT_TRUE(NestsDeeperThan(std::string(1U << 20U, '['), kMaxJsonDepth));
}

}  // namespace
}  // namespace breakwater
