#include "operator/runtime/schema_gaps.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "operator/api/resources.h"

namespace breakwater::runtime {
namespace {

using api::Json;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr const char* kOne =
    "failed to create typed patch object (/n1; piraeus.io/v1, Kind=LinstorSatellite): "
    ".spec.deletionPolicy: field not declared in schema";
constexpr const char* kSeveral =
    "failed to create typed patch object (/n1; piraeus.io/v1, Kind=LinstorSatellite): errors:\n"
    "  .spec.storagePools[name=\"p\"].lvmPool.sharedSpace: field not declared in schema\n"
    "  .status.capacity: field not declared in schema";

// What is not recognised is tried again for ever.
TEST(SchemaGapsTest, ReadsWhatTheApiServerSays) {
  EXPECT_THAT(UndeclaredFields(kOne), ElementsAre("spec.deletionPolicy"));
  EXPECT_THAT(UndeclaredFields(kSeveral),
              ElementsAre("spec.storagePools[].lvmPool.sharedSpace", "status.capacity"));
  EXPECT_THAT(UndeclaredFields("conflict"), IsEmpty());
}

TEST(SchemaGapsTest, LeavesOutWhatIsNotThereAndNothingElse) {
  SchemaGaps gaps;
  const SteadyTime now{std::chrono::hours(1)};
  EXPECT_TRUE(gaps.Learn(api::kLinstorSatellite, kSeveral, now));
  EXPECT_FALSE(gaps.Learn(api::kLinstorSatellite, kSeveral, now)) << "or it is sent for ever";
  const Json object = Json::parse(R"({"spec": {"storagePools": [
      {"name": "p", "lvmPool": {"sharedSpace": "x", "volumeGroup": "vg"}}]}, "status": {"a": 1}})");
  EXPECT_EQ(gaps.Without(api::kLinstorSatellite, object, now), Json::parse(R"({"spec":
      {"storagePools": [{"name": "p", "lvmPool": {"volumeGroup": "vg"}}]}, "status": {"a": 1}})"));
  EXPECT_EQ(gaps.Without(api::kLinstorCluster, object, now), object) << "another kind";
  EXPECT_THAT(gaps.Describe(),
              ElementsAre("LinstorSatellite: spec.storagePools[].lvmPool.sharedSpace, "
                          "status.capacity"));
  EXPECT_EQ(gaps.Without(api::kLinstorSatellite, object, now + std::chrono::minutes(11)), object)
      << "the definitions may have been updated";
  EXPECT_THAT(gaps.Describe(), IsEmpty());
}

}  // namespace
}  // namespace breakwater::runtime
