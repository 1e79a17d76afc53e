#include "operator/linstor/props.h"

#include <gtest/gtest.h>

namespace breakwater::linstor {
namespace {

const std::string kBook(kPropertyLastApplied);

TEST(DiffPropsTest, SetsWhatIsMissingAndRecordsIt) {
  const PropsChange change = DiffProps({}, {{"b", "2"}, {"a", "1"}});
  EXPECT_EQ(change.override_props, (Props{{"a", "1"}, {"b", "2"}, {kBook, R"(["a","b"])"}}));
  EXPECT_TRUE(change.delete_props.empty());
}

// Otherwise every reconcile would make LINSTOR adjust all volumes.
TEST(DiffPropsTest, SaysNothingWhenAllIsThere) {
  const Props current = WithBookkeeping({{"a", "1"}});
  EXPECT_TRUE(DiffProps(current, {{"a", "1"}}).empty());
}

// What a user set with the linstor client must survive.
TEST(DiffPropsTest, LeavesPropertiesOfUsersAlone) {
  Props current = WithBookkeeping({{"a", "1"}});
  current["user"] = "x";
  EXPECT_TRUE(DiffProps(current, {{"a", "1"}}).empty());
}

TEST(DiffPropsTest, DeletesWhatIsNoLongerWanted) {
  const PropsChange change = DiffProps(WithBookkeeping({{"a", "1"}, {"b", "2"}}), {{"a", "1"}});
  EXPECT_EQ(change.delete_props, std::vector<std::string>{"b"});
  EXPECT_EQ(change.override_props, (Props{{kBook, R"(["a"])"}}));
}

TEST(DiffPropsTest, DeletesTheBookkeepingWithTheLastProperty) {
  const PropsChange change = DiffProps(WithBookkeeping({{"a", "1"}}), {});
  EXPECT_EQ(change.delete_props, (std::vector<std::string>{kBook, "a"}));
  EXPECT_TRUE(change.override_props.empty());
}

// The TLS switch pushed at the wrong moment breaks every connected volume; removing it is as bad.
TEST(DiffPropsTest, NeverTouchesForeignKeys) {
  const std::set<std::string> foreign{"tls"};
  EXPECT_FALSE(DiffProps({}, {{"tls", "yes"}, {"a", "1"}}, foreign).override_props.contains("tls"));
  const PropsChange change = DiffProps(WithBookkeeping({{"tls", "yes"}}), {}, foreign);
  EXPECT_EQ(change.delete_props, std::vector<std::string>{kBook});
}

TEST(DiffPropsTest, SurvivesBrokenBookkeeping) {
  EXPECT_TRUE(LastApplied({{kBook, "not json"}}).empty());
  EXPECT_FALSE(DiffProps({{kBook, "["}, {"a", "1"}}, {{"a", "1"}}).empty());
}

}  // namespace
}  // namespace breakwater::linstor
