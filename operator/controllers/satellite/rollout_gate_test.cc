#include "operator/controllers/satellite/rollout_gate.h"

#include <memory>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace breakwater::controllers {
namespace {

using ::testing::HasSubstr;

api::ObjectPtr DaemonSet(int generation, bool settled = true) {
  return std::make_shared<const api::Object>(
      api::Json{{"metadata", {{"name", "ds"}, {"generation", generation}}},
                {"status",
                 {{"observedGeneration", generation},
                  {"desiredNumberScheduled", 1},
                  {"updatedNumberScheduled", settled ? 1 : 0},
                  {"numberReady", settled ? 1 : 0}}}});
}

/// Nodes a, b and c, whose satellites run well.
std::vector<SatelliteState> AllWell() {
  return {{.node = "a", .daemon_set = DaemonSet(2)},
          {.node = "b", .daemon_set = DaemonSet(2)},
          {.node = "c", .daemon_set = DaemonSet(2)}};
}

// Breaks: two replicas of a volume lose their satellites at the same moment.
TEST(RolloutGateTest, OneAfterTheOther) {
  RolloutGate gate(1);
  std::vector<SatelliteState> all = AllWell();
  EXPECT_EQ(gate.Begin("a", all), "");
  EXPECT_THAT(gate.Begin("b", all), HasSubstr("a"));
  gate.End("a", 3);
  EXPECT_NE(gate.Begin("b", all), "") << "what was written is not in the store yet";
  all[0].daemon_set = DaemonSet(3, false);
  EXPECT_NE(gate.Begin("b", all), "");
  all[0].daemon_set = DaemonSet(3);
  EXPECT_EQ(gate.Begin("b", all), "");
}

// Breaks: the rollout stands still until the next minute, or everybody writes a new reason at every
// step.
TEST(RolloutGateTest, OnlyTheFirstInLineIsToldForWhomItWaits) {
  RolloutGate gate(1);
  const std::vector<SatelliteState> all = AllWell();
  EXPECT_EQ(gate.Next(), "");
  EXPECT_EQ(gate.Begin("a", all), "");
  const std::string last = gate.Begin("c", all);
  EXPECT_THAT(last, HasSubstr("a")) << "alone in line";
  EXPECT_THAT(gate.Begin("b", all), HasSubstr("a"));
  EXPECT_EQ(gate.Next(), "b");
  EXPECT_THAT(gate.Begin("c", all), HasSubstr("its turn"));
  gate.Leave("b");
  EXPECT_EQ(gate.Next(), "c");
  gate.Forget("c");
  EXPECT_EQ(gate.Next(), "");
}

// Breaks: a change that was refused blocks all the others for ever.
TEST(RolloutGateTest, AChangeThatWasNotMadeBlocksNobody) {
  RolloutGate gate(1);
  const std::vector<SatelliteState> all = AllWell();
  EXPECT_EQ(gate.Begin("a", all), "");
  gate.End("a", 0);
  EXPECT_EQ(gate.Begin("b", all), "");
  gate.Forget("b");
  EXPECT_EQ(gate.Begin("c", all), "");
}

// Breaks: a bad image takes down one satellite after the other.
TEST(RolloutGateTest, TroubleStopsTheRollout) {
  std::vector<SatelliteState> all = AllWell();
  all[0].daemon_set = DaemonSet(3, false);
  EXPECT_NE(RolloutGate(1).Blocked("b", all), "");
  all = AllWell();
  all[0].linstor_online = false;
  EXPECT_NE(RolloutGate(1).Blocked("b", all), "");
}

// Breaks: one dead machine, or a new one that has not come up yet, stops every change.
TEST(RolloutGateTest, DeadNodesAndNewSatellitesStopNobody) {
  std::vector<SatelliteState> all = AllWell();
  all[0].daemon_set = DaemonSet(3, false);
  all[0].node_up = false;
  EXPECT_EQ(RolloutGate(1).Blocked("b", all), "");
  all[0] = {.node = "a", .daemon_set = DaemonSet(1, false)};
  EXPECT_EQ(RolloutGate(1).Blocked("b", all), "");
  all[0] = {.node = "a"};
  EXPECT_EQ(RolloutGate(1).Blocked("b", all), "");
}

// Breaks: the change that killed a node goes on to kill the next one.
TEST(RolloutGateTest, ANodeThatWentDownByItsChangeStopsTheRollout) {
  RolloutGate gate(1);
  std::vector<SatelliteState> all = AllWell();
  EXPECT_EQ(gate.Begin("a", all), "");
  gate.End("a", 3);
  all[0] = {.node = "a", .daemon_set = DaemonSet(3, false), .node_up = false};
  EXPECT_NE(gate.Begin("b", all), "");
}

}  // namespace
}  // namespace breakwater::controllers
