#include "tests/e2e/sim/linstor/effective.h"

#include <gtest/gtest.h>

namespace breakwater::sim {
namespace {

constexpr const char* kTls = "DrbdOptions/Net/tls";
constexpr const char* kNet = "DrbdOptions/Net/";

struct Levels {
  State state = FreshState();
  Definition definition;

  Levels() {
    definition.name = "r1";
    definition.group = "DfltRscGrp";
  }

  std::string Winner() const {
    const auto options = ConnectionOptions(state, definition, "n1", "n2", kNet);
    const auto it = options.find("tls");
    return it == options.end() ? "" : it->second.front().level;
  }
};

TEST(EffectiveTest, NothingSetMeansNoOption) {
  EXPECT_EQ(Levels().Winner(), "");
}

TEST(EffectiveTest, EachLevelHidesTheOnesBelow) {
  Levels levels;
  levels.state.controller[kTls] = "yes";
  EXPECT_EQ(levels.Winner(), "C");
  levels.state.groups.at("dfltrscgrp").props[kTls] = "no";
  EXPECT_EQ(levels.Winner(), "RG (DfltRscGrp)");
  levels.state.node_conns[PairKey("n2", "n1")] = {"n1", "n2", "", {{kTls, "yes"}}};
  EXPECT_EQ(levels.Winner(), "NC (n1 <-> n2)");
  levels.definition.props[kTls] = "no";
  EXPECT_EQ(levels.Winner(), "RD (r1)");
  levels.definition.connections[PairKey("n1", "n2")] = {"n1", "n2", "", {{kTls, "yes"}}};
  EXPECT_EQ(levels.Winner(), "RC (n1 <-> n2)");
}

TEST(EffectiveTest, OverriddenValuesAreListedFromHighToLow) {
  Levels levels;
  levels.state.controller[kTls] = "yes";
  levels.definition.props[kTls] = "no";
  levels.definition.connections[PairKey("n1", "n2")] = {"n1", "n2", "", {{kTls, "no"}}};
  const auto options = ConnectionOptions(levels.state, levels.definition, "n1", "n2", kNet);
  const std::vector<LevelValue> wanted = {
      {"RC (n1 <-> n2)", "no"}, {"RD (r1)", "no"}, {"C", "yes"}};
  EXPECT_EQ(options.at("tls"), wanted);
}

TEST(EffectiveTest, PairsDoNotSeeEachOther) {
  Levels levels;
  levels.definition.connections[PairKey("n1", "n3")] = {"n1", "n3", "", {{kTls, "yes"}}};
  EXPECT_EQ(levels.Winner(), "");
}

TEST(EffectiveTest, ResourceLevelIgnoresConnections) {
  Levels levels;
  levels.definition.connections[PairKey("n1", "n2")] = {"n1", "n2", "", {{kTls, "yes"}}};
  EXPECT_FALSE(ResourceOptions(levels.state, levels.definition, kNet).contains("tls"));
}

}  // namespace
}  // namespace breakwater::sim
