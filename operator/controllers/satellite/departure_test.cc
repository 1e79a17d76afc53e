// A node that leaves. What would break for a user: the last good copy of a volume goes with it, or
// an evacuation that LINSTOR has forgotten is waited for, for ever.

#include "operator/controllers/satellite/departure.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace breakwater::controllers {
namespace {

using linstor::Node;
using linstor::Resource;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

Resource Copy(const std::string& name, const std::string& node, const std::string& disk) {
  Resource resource{.name = name, .node = node, .has_drbd = true};
  if (disk == "Diskless") {
    resource.flags = {"DISKLESS", "TIE_BREAKER"};
  }
  linstor::Volume volume;
  volume.disk_state = disk;
  resource.volumes = {volume};
  return resource;
}

TEST(OnlyCopiesTest, WhatIsNotUpToDateElsewhereCountsAsTheLast) {
  const std::vector<Resource> all{
      Copy("good", "a", "UpToDate"),     Copy("good", "b", "UpToDate"),
      Copy("syncing", "a", "UpToDate"),  Copy("syncing", "b", "Inconsistent"),
      Copy("stale", "a", "UpToDate"),    Copy("stale", "b", "Outdated"),
      Copy("tied", "a", "UpToDate"),     Copy("tied", "b", "Diskless"),
      Copy("offline", "a", "UpToDate"),  Copy("offline", "b", ""),
      Copy("client", "a", "Diskless"),   Copy("client", "b", "UpToDate"),
      Copy("elsewhere", "b", "UpToDate")};
  EXPECT_THAT(OnlyCopies(all, "a", {}), ElementsAre("offline", "stale", "syncing", "tied"));
}

TEST(OnlyCopiesTest, ACopyOnItsWayOutOrSwitchedOffIsNone) {
  Resource leaving = Copy("r", "b", "UpToDate");
  leaving.flags = {"DELETE"};
  Resource inactive = Copy("r", "c", "UpToDate");
  inactive.flags = {"INACTIVE"};
  EXPECT_THAT(OnlyCopies({Copy("r", "a", "UpToDate"), leaving, inactive}, "a", {}),
              ElementsAre("r"));
}

// Without DRBD nothing is said of a copy's state; there is no other one either.
TEST(OnlyCopiesTest, AVolumeWithoutReplicationIsTheLastCopy) {
  EXPECT_THAT(OnlyCopies({Resource{.name = "local", .node = "a"}}, "a", {}), ElementsAre("local"));
}

// Two nodes that go at once: each has the other's copy, and then nobody has one.
TEST(OnlyCopiesTest, ACopyOnANodeThatGoesTooIsNone) {
  const std::vector<Resource> all{Copy("r", "a", "UpToDate"), Copy("r", "b", "UpToDate"),
                                  Copy("s", "a", "UpToDate"), Copy("s", "b", "UpToDate"),
                                  Copy("s", "c", "UpToDate")};
  EXPECT_THAT(OnlyCopies(all, "a", {"a", "b"}), ElementsAre("r"));
  EXPECT_THAT(OnlyCopies(all, "b", {"a", "b"}), ElementsAre("r"));
}

TEST(OpenedOnTest, UnknownIsNotOpened) {
  Resource opened = Copy("r", "a", "UpToDate");
  opened.in_use = true;
  Resource elsewhere = opened;
  elsewhere.node = "b";
  Resource closed = Copy("s", "a", "UpToDate");
  closed.in_use = false;
  EXPECT_THAT(OpenedOn({opened, elsewhere, closed, Copy("t", "a", "")}, "a"), ElementsAre("r"));
}

TEST(DepartureTest, AskedAgainOnlyWhenNoCopyTooManyCanCome) {
  const std::vector<Node> nodes{{.name = "a", .flags = {"EVACUATE"}}, {.name = "b"}, {.name = "c"}};
  const std::map<std::string, std::int64_t> copies{{"r", 2}};
  const auto left = [&](const std::vector<Resource>& all) {
    return DescribeDeparture(all, "a", copies, nodes);
  };
  const Resource here = Copy("r", "a", "UpToDate");
  EXPECT_TRUE(left({here, Copy("r", "b", "UpToDate")}).Dropped());
  EXPECT_FALSE(left({here, Copy("r", "b", "UpToDate"), Copy("r", "c", "UpToDate")}).Dropped())
      << "LINSTOR has only to take the old one away";
  EXPECT_FALSE(left({here, Copy("r", "b", "UpToDate"), Copy("r", "c", "Inconsistent")}).Dropped())
      << "the new one is being filled";
  Resource opened = here;
  opened.in_use = true;
  EXPECT_FALSE(left({opened, Copy("r", "b", "UpToDate")}).Dropped()) << "it waits for the pod";
  EXPECT_TRUE(left({}).empty());
}

TEST(DepartureTest, CopiesOnOtherLeavingNodesDoNotCount) {
  const std::vector<Node> nodes{{.name = "a", .flags = {"EVACUATE"}},
                                {.name = "b", .flags = {"EVACUATE"}}};
  const Departure left = DescribeDeparture({Copy("r", "a", "UpToDate"), Copy("r", "b", "UpToDate")},
                                           "a", {{"r", 1}}, nodes);
  EXPECT_THAT(left.unplaced, ElementsAre("r"));
}

TEST(DepartureTest, SaysWhatEachWaitsForAndTheNextStep) {
  Resource opened = Copy("db", "a", "UpToDate");
  opened.in_use = true;
  const Departure left = DescribeDeparture({opened, Copy("log", "a", "UpToDate")}, "a", {}, {});
  EXPECT_THAT(left.ToString(), HasSubstr("2 resources left on the node; db: in use"));
  EXPECT_THAT(left.ToString(), HasSubstr("log: too few copies"));
  EXPECT_THAT(left.moving, IsEmpty());
}

}  // namespace
}  // namespace breakwater::controllers
