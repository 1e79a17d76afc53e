// The floor: without it an anonymous request to LINSTOR's REST API makes the operator decrypt a
// volume (REVIEW-2 S1).

#include "operator/core/replication/plan/floor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "operator/core/replication/plan/cluster_plan.h"

namespace breakwater::replication {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(FloorTest, OnlyKubernetesWordLowersIt) {
  FloorRules rules{.cluster = true};
  rules.exemptions = {{.resource = "by-name", .reason = "scratch data"},
                      {.claim = "db/wal"},
                      {.storage_class = "cheap"}};
  rules.classes = {{"plain", false}, {"safe", true}};
  rules.origins = {{"pv-claim", {"db/wal", "safe"}},
                   {"pv-cheap", {"a/b", "cheap"}},
                   {"pv-plain", {"a/c", "plain"}},
                   {"pv-safe", {"a/d", "safe"}}};
  EXPECT_TRUE(FloorOf(rules, "any", true).tls);
  EXPECT_TRUE(FloorOf(rules, "pv-safe", true).tls);
  for (const char* name : {"by-name", "pv-claim", "pv-cheap", "pv-plain"}) {
    const VolumeFloor floor = FloorOf(rules, name, true);
    EXPECT_FALSE(floor.tls) << name;
    EXPECT_NE(floor.exempt, "") << name;
  }
  EXPECT_EQ(FloorOf(rules, "by-name", true).cluster, false) << "it is wanted in plaintext";
  EXPECT_EQ(FloorOf(rules, "pv-plain", true).cluster, true) << "its group says no itself";
  EXPECT_THAT(FloorOf(rules, "by-name", true).exempt, HasSubstr("scratch data"));
}

// Encryption per class, without a word for the whole cluster: the class holds what it gave.
TEST(FloorTest, AClassIsAFloorOfItsOwn) {
  FloorRules rules;
  rules.classes = {{"safe", true}};
  rules.origins = {{"pv-safe", {"a/d", "safe"}}};
  EXPECT_TRUE(FloorOf(rules, "pv-safe", std::nullopt).tls);
  EXPECT_FALSE(FloorOf(rules, "other", std::nullopt).tls);
  rules.enabled = false;
  EXPECT_FALSE(FloorOf(rules, "pv-safe", std::nullopt).tls) << "minimum: None";
}

// Facts CSI K11: the driver gives a group its value with the next volume; who else is in the group
// must be protected before.
TEST(FloorTest, AClassSaysWhichGroupsWillGetTls) {
  FloorRules rules;
  rules.classes = {{"safe", true}, {"plain", false}};
  rules.tls_groups = {"shared"};
  rules.origins = {{"pv-safe", {"a/d", "safe"}}, {"pv-plain", {"a/c", "plain"}}};
  EXPECT_TRUE(GroupComing(rules, "pv-safe", "sc-1"));
  EXPECT_TRUE(GroupComing(rules, "made-by-hand", "shared"));
  EXPECT_FALSE(GroupComing(rules, "pv-plain", "sc-2"));
  EXPECT_FALSE(GroupComing(rules, "made-by-hand", "DfltRscGrp"));
}

TEST(FloorTest, ALowerValueOfOthersDoesNotCount) {
  ResourceLevels levels;
  levels.known = true;
  levels.floor = true;
  levels.controller = true;
  levels.definition = {.value = false};
  levels.pairs["n1/n2"] = {.value = false};
  levels.group = false;
  EXPECT_TRUE(Desired(levels, "n1/n2", true));
  EXPECT_TRUE(Restored(levels, "n1/n2")) << "a repair does not decrypt either";
  EXPECT_FALSE(Effective(levels, "n1/n2")) << "what LINSTOR tells the node is another matter";
  EXPECT_THAT(BelowFloor(levels),
              ElementsAre("resource definition", "connection n1/n2", "resource group"));
  levels.floor = false;
  EXPECT_FALSE(Desired(levels, "n1/n2", true));
  EXPECT_TRUE(BelowFloor(levels).empty());
}

// Our own pin says what runs while the volume waits for its turn: a repair must respect it.
TEST(FloorTest, ARepairRestoresOurOwnPin) {
  ResourceLevels levels;
  levels.known = true;
  levels.floor = true;
  levels.controller = true;
  levels.definition = {.value = false, .ours = true};
  EXPECT_FALSE(Restored(levels, "n1/n2"));
  EXPECT_TRUE(Desired(levels, "n1/n2", true));
  EXPECT_TRUE(BelowFloor(levels).empty());
}

}  // namespace
}  // namespace breakwater::replication
