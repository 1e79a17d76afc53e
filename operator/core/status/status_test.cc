#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "operator/core/status/conditions.h"
#include "operator/core/status/ownership.h"

namespace breakwater::core {
namespace {

using api::Condition;
using api::Json;

constexpr const char* kNow = "2026-01-02T03:04:05Z";

// Before anything is known a condition must not look like success.
TEST(ConditionSet, StartsAsNotObserved) {
  const auto conditions = ConditionSet().Build({}, 7, kNow);
  ASSERT_EQ(conditions.size(), 3U);
  EXPECT_EQ(conditions[0].type, "Applied");
  EXPECT_EQ(conditions[2].type, "Configured");
  EXPECT_EQ(conditions[0].status, "Unknown");
  EXPECT_EQ(conditions[0].reason, "NotObserved");
  EXPECT_EQ(conditions[0].observed_generation, 7);
  EXPECT_EQ(conditions[0].last_transition_time, kNow);
}

// One failed satellite among many must stay visible, with all messages that users search for.
TEST(ConditionSet, HigherRankWinsAndMessagesAreKept) {
  ConditionSet set({"Configured"});
  set.AddError("Configured", "pool missing");
  set.AddSuccess("Configured", "Pools configured");
  set.AddUnknown("Configured", "Controller unreachable");
  const Condition condition = set.Build({}, 1, kNow).at(0);
  EXPECT_EQ(condition.status, "False");
  EXPECT_EQ(condition.reason, "Error");
  EXPECT_EQ(condition.message, "Error: pool missing\nPools configured\nController unreachable");
}

TEST(ConditionSet, FirstReasonOfARankStays) {
  ConditionSet set({"A"});
  set.AddPending("A", "first", "Waiting");
  set.AddUnknown("A", "second");
  const Condition condition = set.Build({}, 1, kNow).at(0);
  EXPECT_EQ(condition.status, "False");
  EXPECT_EQ(condition.reason, "Waiting");
}

// "Since when" is what an on-call person needs: it may only move when the status does.
TEST(ConditionSet, TransitionTimeMovesOnlyWithTheStatus) {
  const std::vector<Condition> previous{{.type = "A",
                                         .status = "True",
                                         .reason = "AsExpected",
                                         .message = "old",
                                         .last_transition_time = "t0"},
                                        {.type = "B",
                                         .status = "False",
                                         .reason = "Error",
                                         .message = "",
                                         .last_transition_time = "t0"},
                                        {.type = "ReplicationEncrypted",
                                         .status = "True",
                                         .reason = "x",
                                         .message = "",
                                         .last_transition_time = "t0"}};
  ConditionSet set({"A", "B"});
  set.AddSuccess("A", "new");
  set.AddSuccess("B", "fine now");
  const auto conditions = set.Build(previous, 2, kNow);
  ASSERT_EQ(conditions.size(), 3U);  // that of another controller stays
  EXPECT_EQ(conditions[0].last_transition_time, "t0");
  EXPECT_EQ(conditions[0].message, "new");
  EXPECT_EQ(conditions[1].last_transition_time, kNow);
  EXPECT_EQ(conditions[2], previous[2]);
}

// The API server refuses the whole status when one reason is malformed.
TEST(ConditionSet, ReasonsAreAlwaysValid) {
  EXPECT_EQ(SanitizeReason("Bad reason!"), "Badreason");
  EXPECT_EQ(SanitizeReason("9:"), "Unknown");
  EXPECT_EQ(SanitizeReason("A:b,"), "A:b");
}

api::Object Owner(const char* uid) {
  return api::Object(Json{{"apiVersion", "piraeus.io/v1"},
                          {"kind", "LinstorCluster"},
                          {"metadata", {{"name", "c"}, {"uid", uid}}}});
}

// Without the reference nothing is cleaned up; with two controllers both would clean up.
TEST(SetControllerOwner, IsIdempotentAndRefusesASecondController) {
  Json object{{"metadata", {{"name", "x"}}}};
  ASSERT_TRUE(SetControllerOwner(&object, Owner("u1")).has_value());
  ASSERT_TRUE(SetControllerOwner(&object, Owner("u1")).has_value());
  EXPECT_EQ(object["metadata"]["ownerReferences"].size(), 1U);
  EXPECT_EQ(api::Object(object).controller_uid(), "u1");
  const auto second = SetControllerOwner(&object, Owner("u2"));
  ASSERT_FALSE(second.has_value());
  EXPECT_EQ(second.error().error_class, ErrorClass::kConflict);
  EXPECT_FALSE(SetControllerOwner(&object, Owner("")).has_value());
}

}  // namespace
}  // namespace breakwater::core
