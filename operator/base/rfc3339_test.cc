#include "operator/base/rfc3339.h"

#include <gtest/gtest.h>

namespace breakwater {
namespace {

using namespace std::chrono;  // NOLINT(google-build-using-namespace): calendar literals

const SystemTime kTime = sys_days(2026y / 3 / 1) + 12h + 34min + 56s + 789123us;

// The API server refuses a Lease whose MicroTime has another shape.
TEST(Rfc3339Test, FormatsAsKubernetesDoes) {
  EXPECT_EQ(FormatRfc3339(kTime), "2026-03-01T12:34:56Z");
  EXPECT_EQ(FormatRfc3339Millis(kTime), "2026-03-01T12:34:56.789Z");
  EXPECT_EQ(FormatRfc3339Micros(kTime), "2026-03-01T12:34:56.789123Z");
  EXPECT_EQ(FormatRfc3339Micros(sys_days(1969y / 12 / 31) + 23h), "1969-12-31T23:00:00.000000Z");
}

TEST(Rfc3339Test, ReadsBackWhatItWrites) {
  EXPECT_EQ(ParseRfc3339("2026-03-01T12:34:56.789123Z"), kTime);
}

// Tools other than ours write offsets and other fractions into annotations and statuses.
TEST(Rfc3339Test, AcceptsOffsetsAndFractions) {
  EXPECT_EQ(ParseRfc3339("2026-03-01T14:34:56.789123+02:00"), kTime);
  EXPECT_EQ(ParseRfc3339("2026-03-01t11:04:56.789123-01:30"), kTime);
  EXPECT_EQ(ParseRfc3339("2026-03-01T12:34:56.7891230000001Z"), kTime);
}

// A malformed time must read as "unknown", not as 1970 (an "expired" certificate or lease).
TEST(Rfc3339Test, RefusesEverythingElse) {
  for (const char* text :
       {"", "2026-03-01", "2026-03-01T12:34:56", "2026-02-30T00:00:00Z", "2026-13-01T00:00:00Z",
        "2026-03-01T24:00:00Z", "2026-03-01T12:34:56.Z", "2026-03-01T12:34:56Zx",
        "9999-01-01T00:00:00Z", "-026-03-01T00:00:00Z"}) {
    EXPECT_FALSE(ParseRfc3339(text).has_value()) << text;
  }
}

}  // namespace
}  // namespace breakwater
