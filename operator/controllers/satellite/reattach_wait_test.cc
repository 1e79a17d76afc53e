// The wait before an evacuation. What would break for a user: the new copy of a volume is made on a
// node where its pod is not, and every read goes over the network; or a node is never emptied.

#include "operator/controllers/satellite/reattach_wait.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace breakwater::controllers {
namespace {

using linstor::Resource;
using std::chrono::minutes;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;

Resource Opened(const std::string& name, const std::string& node) {
  return {.name = name, .node = node, .in_use = true};
}

TEST(NotYetElsewhereTest, WhatIsOpenedElsewhereOnlyIsNotWaitedFor) {
  const std::vector<Resource> all{
      {.name = "idle", .node = "a"},
      Opened("here", "a"),
      {.name = "moved", .node = "a"},
      Opened("moved", "b"),
      Opened("both", "a"),  // a live migration
      Opened("both", "b"),
      {.name = "client", .node = "a", .flags = {"DISKLESS"}},
      {.name = "other", .node = "b"},
      {.name = "by-hand", .node = "a"},
  };
  const std::set<std::string> claimed{"idle", "here", "moved", "both", "client", "other"};
  EXPECT_THAT(NotYetElsewhere(all, "a", claimed),
              ElementsAre(Pair("both", true), Pair("here", true), Pair("idle", false)));
}

TEST(ReattachWaitTest, EachIsWaitedForAsLongAsTheStrategySays) {
  const api::EvacuationStrategy strategy{.attached_volume_reattach_timeout = minutes(5),
                                         .unattached_volume_attach_timeout = minutes(2)};
  ReattachWait wait;
  const SteadyTime start{};
  EXPECT_THAT(wait.Look({{"idle", false}, {"used", true}}, strategy, start),
              ElementsAre("idle", "used"));
  EXPECT_THAT(wait.Look({{"idle", false}, {"used", false}}, strategy, start + minutes(3)),
              ElementsAre("used"))
      << "its pod has ended and starts elsewhere soon";
  EXPECT_THAT(
      wait.Look({{"idle", false}, {"new", true}, {"used", true}}, strategy, start + minutes(5)),
      ElementsAre("new"));
  EXPECT_THAT(wait.Look({}, strategy, start + minutes(6)), IsEmpty());
}

TEST(ReattachWaitTest, ZeroDoesNotWait) {
  ReattachWait wait;
  EXPECT_THAT(wait.Look({{"idle", false}, {"used", true}},
                        {.attached_volume_reattach_timeout = minutes(0),
                         .unattached_volume_attach_timeout = minutes(0)},
                        SteadyTime{}),
              IsEmpty());
}

}  // namespace
}  // namespace breakwater::controllers
