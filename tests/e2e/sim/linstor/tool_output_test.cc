#include "tests/e2e/sim/linstor/tool_output.h"

#include <gtest/gtest.h>

namespace breakwater::sim {
namespace {

TEST(ToolOutputTest, ReadsTheVersionCode) {
  EXPECT_EQ(UtilsVersion("DRBDADM_API_VERSION=2\nDRBDADM_VERSION_CODE=0x092200\n"), 0x092200U);
  EXPECT_EQ(UtilsVersion("nonsense"), 0U);
}

TEST(ToolOutputTest, OnlyTheUsersSuspensionCounts) {
  const auto found = UserSuspended(
      "r1 role:Primary suspended:user\n  disk:UpToDate blocked:upper\n"
      "r2 role:Primary suspended:quorum\n  disk:UpToDate\n"
      "r3 role:Primary suspended:user,quorum\n"
      "r4 role:Secondary\n  n2 role:Primary suspended:user\n");
  EXPECT_EQ(found, (std::set<std::string>{"r1", "r3"}));
}

}  // namespace
}  // namespace breakwater::sim
