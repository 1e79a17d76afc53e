// Which value counts, and whose it is. What would break for a user: a value that a person set is
// taken for ours and deleted.

#include "operator/core/replication/plan/properties.h"

#include <gtest/gtest.h>

namespace breakwater::replication {
namespace {

using Props = std::map<std::string, std::string>;

Props With(const std::string& value, std::string_view marker, const std::string& mark) {
  return {{std::string(kTlsProperty), value}, {std::string(marker), mark}};
}

TEST(PropertiesTest, FollowsLinstorsOrder) {  // L15
  ResourceLevels levels;
  levels.controller = true;
  EXPECT_TRUE(Effective(levels, "a/b"));
  EXPECT_FALSE(Effective(levels, "a/b", false));
  levels.group = false;
  EXPECT_FALSE(Effective(levels, "a/b"));
  levels.node_connections["a/b"] = true;
  EXPECT_TRUE(Effective(levels, "a/b"));
  levels.definition.value = false;
  EXPECT_FALSE(Effective(levels, "a/b"));
  levels.pairs["a/b"] = Level{true, true, false};
  EXPECT_TRUE(Effective(levels, "a/b"));
  EXPECT_FALSE(EffectiveWithoutOurs(levels, "a/b"));
}

// REVIEW-1 M7: the natural way to exempt a volume is to set a value of one's own.
TEST(MarkerTest, OnlyWhatWeWroteIsOurs) {
  EXPECT_EQ(MarkerText(true, false), "yes no");
  EXPECT_EQ(MarkerText(false, false, 2), "no no 2");
  for (const std::string_view marker : {kPinMarker, kPairMarker, kClusterMarker}) {
    EXPECT_TRUE(ReadLevel(With("yes", marker, "yes no"), marker).ours) << marker;
    EXPECT_FALSE(ReadLevel(With("no", marker, "yes no"), marker).ours)
        << marker << ": a person changed it, the marker is still there";
    EXPECT_FALSE(ReadLevel({{std::string(kTlsProperty), "yes"}}, marker).ours)
        << marker << ": what we would have written, without the marker, is a person's";
  }
  const Level touched = ReadLevel(With("no", kPinMarker, "no yes 3"), kPinMarker);
  EXPECT_EQ(touched, (Level{false, true, true, 3}));
}

TEST(MarkerTest, FormerMarkersAreRead) {
  EXPECT_TRUE(ReadLevel(With("no", kPinMarker, "no"), kPinMarker).ours);
  EXPECT_FALSE(ReadLevel(With("yes", kPinMarker, "no"), kPinMarker).ours);
  const Level pair = ReadLevel(With("yes", kPairMarker, "no"), kPairMarker);
  EXPECT_TRUE(pair.ours) << "it remembers what was before, not what was written";
  EXPECT_EQ(pair.previous, false);
}

TEST(MarkerTest, AMarkerAloneIsALeftoverOfOurs) {
  const Level level = ReadLevel({{std::string(kPairMarker), "yes no"}}, kPairMarker);
  EXPECT_TRUE(level.ours);
  EXPECT_FALSE(level.value);
}

TEST(MarkerTest, GarbageIsAPersons) {
  for (const char* text : {"maybe no", " x", "yes;rm -rf /", "no yes 99999999999999999999"}) {
    const Level level = ReadLevel(With("yes", kPinMarker, text), kPinMarker);
    EXPECT_FALSE(level.ours) << text;
    EXPECT_GE(level.touches, 0);
  }
}

// Taking a pin away must never change what LINSTOR tells a connection.
TEST(CleanupTest, AUsersValueOnAPairStays) {
  ResourceLevels levels;
  levels.controller = true;
  levels.definition = {false, true, false};
  levels.pairs["a/b"] = {false, false, std::nullopt};  // this pair is exempted
  const auto ops = CleanupOps(levels, {{"a/b", false}, {"a/c", true}});
  for (const LinstorOp& op : ops) {
    EXPECT_FALSE(std::holds_alternative<RemovePair>(op));
  }
  levels.pairs["a/c"] = {true, true, false};
  const auto next = CleanupOps(levels, {{"a/b", false}, {"a/c", true}});
  EXPECT_EQ(next, (std::vector<LinstorOp>{RemovePin{}}));
}

}  // namespace
}  // namespace breakwater::replication
