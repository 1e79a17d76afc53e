#include "operator/controllers/common/patch_alarm.h"

#include <gtest/gtest.h>

namespace breakwater::controllers {
namespace {

api::Object Configuration(std::int64_t generation) {
  return api::Object({{"apiVersion", "piraeus.io/v1"},
                      {"kind", "LinstorSatelliteConfiguration"},
                      {"metadata", {{"name", "c"}, {"uid", "u"}, {"generation", generation}}}});
}

// REVIEW-2 S4: a Warning for each change of the object, not for each look at it.
TEST(PatchAlarmTest, OnceForEachGeneration) {
  std::vector<kube::Event> events;
  PatchAlarm alarm([&](kube::Event event) { events.push_back(std::move(event)); });
  alarm.Announce(Configuration(1), {});
  EXPECT_TRUE(events.empty());
  alarm.Announce(Configuration(1), {"spec.patches[0]: hostPath"});
  alarm.Announce(Configuration(1), {"spec.patches[0]: hostPath"});
  ASSERT_EQ(events.size(), 1U);
  EXPECT_TRUE(events[0].warning);
  EXPECT_EQ(events[0].reason, "DangerousPatch");
  EXPECT_NE(events[0].note.find("spec.patches[0]: hostPath"), std::string::npos);
  alarm.Announce(Configuration(2), {"spec.patches[0]: hostPath"});
  EXPECT_EQ(events.size(), 2U);
}

}  // namespace
}  // namespace breakwater::controllers
