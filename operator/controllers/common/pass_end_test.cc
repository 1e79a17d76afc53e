#include "operator/controllers/common/pass_end.h"

#include <gtest/gtest.h>

#include "operator/testing/fake_clock.h"

namespace breakwater::controllers {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;

Result<runtime::Requeue, Error> End(std::optional<ErrorClass> apply_error,
                                    bool settled,
                                    Result<void, Error> written = {}) {
  PassResult result{.status_written = std::move(written),
                    .settled = settled,
                    .requeue_interval = minutes(1),
                    .retry_interval = seconds(10)};
  if (apply_error) {
    result.apply_error = Error{*apply_error, "refused"};
  }
  return EndPass(result);
}

// The queue's slow retries would freeze what is shown of LINSTOR for minutes.
TEST(EndPassTest, OnlyWhatTheQueueRetriesSoonerIsAnError) {
  EXPECT_EQ(End(std::nullopt, true)->after, minutes(1));
  EXPECT_EQ(End(std::nullopt, false)->after, seconds(10));
  EXPECT_EQ(End(ErrorClass::kTransient, true)->after, seconds(10));
  EXPECT_EQ(End(ErrorClass::kInvalid, true)->after, minutes(1));
  EXPECT_EQ(End(ErrorClass::kForbidden, false)->after, seconds(10));
  EXPECT_FALSE(End(ErrorClass::kConflict, true));
  EXPECT_FALSE(End(ErrorClass::kThrottled, true));
  EXPECT_FALSE(End(std::nullopt, true, Unexpected{Error{ErrorClass::kTransient, "x"}}));
}

// After an upgrade with an old CRD the status is refused: the satellites must not stop being
// looked at for five minutes each time.
TEST(EndPassTest, ARefusedStatusIsTriedAgainLikeAFailure) {
  for (const ErrorClass refused :
       {ErrorClass::kInvalid, ErrorClass::kForbidden, ErrorClass::kTerminal}) {
    const auto end = End(std::nullopt, true, Unexpected{Error{refused, "x"}});
    ASSERT_FALSE(end);
    EXPECT_EQ(end.error().error_class, ErrorClass::kTransient);
    EXPECT_EQ(end.error().message, "x");
  }
}

// A LINSTOR that hangs until the end of the pass must still be reported.
TEST(LinstorContextTest, LeavesTimeForTheStatus) {
  const breakwater::testing::FakeClock clock;
  const std::stop_source stop;
  const Context ctx(stop.get_token(), clock);
  EXPECT_FALSE(LinstorContext(ctx).deadline());
  EXPECT_EQ(LinstorContext(ctx.WithTimeout(minutes(2))).Remaining(minutes(9)), seconds(105));
}

}  // namespace
}  // namespace breakwater::controllers
