// Who may be switched, and who gives its place back: one volume that waits for ever must not keep
// all others from being encrypted.

#include "operator/controllers/replication/places.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "operator/controllers/replication/switch_gate.h"

namespace breakwater::controllers {
namespace {

using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

const SteadyTime kNow{std::chrono::hours(1)};

TEST(PlacesTest, KeepsAPlaceUntilThePlanOfItsTimeWasLookedAt) {
  Places places;
  places.Give({"r0"}, 7);
  std::map<std::string, VolumeOutcome> outcomes{{"r0", {.plan = 6, .done = true}}};
  EXPECT_THAT(places.Settle(outcomes, {}, kNow), IsEmpty()) << "it was done before it began";
  EXPECT_THAT(places.names(), ElementsAre("r0"));
  outcomes["r0"].plan = 7;
  EXPECT_EQ(places.Settle(outcomes, {}, kNow).size(), 1U);
  EXPECT_THAT(places.names(), IsEmpty());
}

TEST(PlacesTest, WhoFailedGivesItBackButNotInTheMiddle) {
  Places places;
  places.Give({"r0"}, 1);
  std::map<std::string, VolumeOutcome> outcomes{{"r0", {.plan = 1, .busy = true}}};
  EXPECT_THAT(places.Settle(outcomes, {{"r0", "x"}}, kNow), IsEmpty());
  outcomes["r0"].busy = false;
  const auto left = places.Settle(outcomes, {{"r0", "x"}}, kNow);
  ASSERT_EQ(left.size(), 1U);
  EXPECT_FALSE(left[0].gave_up) << "it has its own failure";
}

TEST(PlacesTest, WhoOnlyWaitsGivesUpUnlessSomethingIsCut) {
  Places places;
  places.Give({"r0"}, 1);
  std::map<std::string, VolumeOutcome> outcomes{
      {"r0", {.plan = 1, .cut = true, .why = "waits for node3", .waiting_since = kNow}}};
  EXPECT_THAT(places.Settle(outcomes, {}, kNow + seconds(600)), IsEmpty());
  outcomes["r0"].cut = false;
  EXPECT_THAT(places.Settle(outcomes, {}, kNow + seconds(59)), IsEmpty());
  const auto left = places.Settle(outcomes, {}, kNow + seconds(60));
  ASSERT_EQ(left.size(), 1U);
  EXPECT_TRUE(left[0].gave_up);
  EXPECT_EQ(left[0].why, "waits for node3");
}

// L17, L24: LINSTOR's value for all volumes would resume the one that is suspended.
TEST(SwitchGateTest, NothingIsPushedWhileAVolumeIsSwitchedAndTheOtherWayRound) {
  SwitchGate gate;
  EXPECT_TRUE(gate.Begin("r0"));
  EXPECT_FALSE(gate.BeginPush());
  gate.End("r0");
  EXPECT_TRUE(gate.BeginPush());
  EXPECT_FALSE(gate.Begin("r0"));
  gate.EndPush();
  EXPECT_TRUE(gate.Begin("r0"));
}

}  // namespace
}  // namespace breakwater::controllers
