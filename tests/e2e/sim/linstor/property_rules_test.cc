#include "tests/e2e/sim/linstor/property_rules.h"
#include "operator/testing/source_dir.h"

#include <cstdlib>
#include <fstream>
#include <iostream>
#include <set>

#include <gtest/gtest.h>

namespace breakwater::sim {
namespace {

constexpr const char* kTls = "DrbdOptions/Net/tls";

TEST(PropertyRulesTest, TlsIsKnownWhereTheFactsSay) {
  const PropertyRules rules;
  for (const char* object : {"CTRL", "RSC_DFN", "RSC_CONN", "NODE_CONN"}) {
    EXPECT_TRUE(rules.Knows(object, kTls)) << object;
  }
  for (const char* object : {"NODE", "RSC", "VLM_DFN", "STOR_POOL"}) {
    EXPECT_FALSE(rules.Knows(object, kTls)) << object;
  }
}

TEST(PropertyRulesTest, YesAndNoInAnyCaseAreStoredInLowerCase) {
  const PropertyRules rules;
  EXPECT_EQ(rules.Check("CTRL", kTls, "YES").value, "yes");
  EXPECT_TRUE(rules.Check("CTRL", kTls, "No").valid_value);
  for (const char* bad : {"maybe", "true", ""}) {
    EXPECT_FALSE(rules.Check("CTRL", kTls, bad).valid_value) << bad;
  }
}

TEST(PropertyRulesTest, RangesAndSymbolsAreChecked) {
  const PropertyRules rules;
  EXPECT_TRUE(rules.Check("CTRL", "DrbdOptions/Net/ping-int", "12").valid_value);
  EXPECT_FALSE(rules.Check("CTRL", "DrbdOptions/Net/ping-int", "0").valid_value);
  EXPECT_TRUE(rules.Check("RSC_DFN", "DrbdOptions/Resource/quorum", "majority").valid_value);
  EXPECT_FALSE(rules.Check("RSC_DFN", "DrbdOptions/Resource/quorum", "most").valid_value);
  EXPECT_TRUE(
      rules.Check("RSC_DFN", "DrbdOptions/Resource/on-no-quorum", "suspend-io").valid_value);
}

TEST(PropertyRulesTest, OneBadKeyFailsAll) {
  const PropertyRules rules;
  Props props;
  const auto change =
      ParsePropsChange({{"override_props", {{"Aux/good", "1"}, {"nonsense", "1"}}}});
  EXPECT_TRUE(HasError(ChangeControllerProps(rules, change, props).entries));
  EXPECT_TRUE(props.empty());
}

TEST(PropertyRulesTest, EqualValueChangesNothing) {
  const PropertyRules rules;
  Props props{{kTls, "yes"}};
  const auto outcome =
      ChangeControllerProps(rules, ParsePropsChange({{"override_props", {{kTls, "YES"}}}}), props);
  EXPECT_FALSE(HasError(outcome.entries));
  EXPECT_FALSE(outcome.changed);
}

TEST(PropertyRulesTest, OverrideAndDeleteOfOneKeyDeletes) {
  const PropertyRules rules;
  Props props;
  const auto outcome = ChangeControllerProps(
      rules, ParsePropsChange({{"override_props", {{kTls, "yes"}}}, {"delete_props", {kTls}}}),
      props);
  EXPECT_EQ(outcome.entries.size(), 2U);
  EXPECT_FALSE(props.contains(kTls));
}

/// LINSTOR's own catalogue is not part of this project; it is looked for next to it.
std::string CataloguePath() {
  const char* named = std::getenv("BREAKWATER_LINSTOR_PROPERTIES");
  return named != nullptr
             ? named
             : breakwater::testing::SourceDir() + "/../shared/facts/linstor-properties.json";
}

TEST(PropertyRulesTest, AgreesWithLinstorsCatalogue) {
  std::ifstream in(CataloguePath());
  if (!in) {
    GTEST_SKIP() << "SKIPPED: no catalogue at " << CataloguePath()
                 << " (set BREAKWATER_LINSTOR_PROPERTIES)";
  }
  const auto catalogue = nlohmann::json::parse(in);
  // Types of the options that both know; the catalogue names keys by constants of LINSTOR's source.
  const auto& properties = catalogue.at("properties");
  const PropertyRules rules;
  ASSERT_FALSE(catalogue.at("objects").at("controller").empty());
  ASSERT_FALSE(properties.empty());
  EXPECT_GE(rules.Keys("CTRL").size(), catalogue.at("objects").at("controller").size());
}

}  // namespace
}  // namespace breakwater::sim
