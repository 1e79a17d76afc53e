#include "operator/testing/label_selector.h"

#include <gtest/gtest.h>

namespace breakwater::testing {
namespace {

const nlohmann::json kObject = nlohmann::json::parse(
    R"({"metadata": {"name": "n", "labels": {"a": "1", "b": ""}}, "spec": {"nodeName": "x"}})");

// Pruning lists by label: a selector that matches too much deletes what is not ours.
TEST(LabelSelectorTest, Matches) {
  for (const char* yes : {"", "a", "a=1", "a==1", "b=", "!c", "c!=1", "a in (0,1)", "a notin (2)",
                          "c notin (1)", "a=1,b,!c"}) {
    EXPECT_EQ(MatchesLabels(yes, kObject), true) << yes;
  }
  for (const char* no : {"c", "!a", "a=2", "a!=1", "a in (2,3)", "a notin (1)", "a=1,c"}) {
    EXPECT_EQ(MatchesLabels(no, kObject), false) << no;
  }
  EXPECT_FALSE(MatchesLabels("a in 1", kObject).has_value());
}

TEST(LabelSelectorTest, MatchesFieldsByPath) {
  EXPECT_EQ(MatchesFields("metadata.name=n,spec.nodeName=x", kObject), true);
  EXPECT_EQ(MatchesFields("spec.nodeName!=x", kObject), false);
  EXPECT_EQ(MatchesFields("spec.other=x", kObject), false);
}

}  // namespace
}  // namespace breakwater::testing
