#include "operator/cmd/measured_exec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "operator/testing/fake_clock.h"

namespace breakwater::cmd {
namespace {

using ::testing::HasSubstr;

/// Takes two seconds, then answers as it was told.
class SlowExec final : public kube::PodExec {
 public:
  explicit SlowExec(testing::FakeClock& clock) : clock_(clock) {}

  kube::KubeResult<kube::ExecResult> Exec(const Context& /*ctx*/,
                                          const kube::ExecRequest& /*request*/) override {
    clock_.Advance(std::chrono::seconds(2));
    return answer;
  }

  kube::KubeResult<std::unique_ptr<kube::ExecStream>> Open(
      const Context& /*ctx*/, const kube::ExecRequest& /*request*/) override {
    clock_.Advance(std::chrono::seconds(2));
    return std::unique_ptr<kube::ExecStream>();
  }

  kube::KubeResult<kube::ExecResult> answer{kube::ExecResult{}};

 private:
  testing::FakeClock& clock_;
};

// Breaks: a node that takes seconds for each command, or fails them, is nowhere to be seen.
TEST(MeasuredExecTest, TimesCommandsByTheirResult) {
  testing::FakeClock clock;
  runtime::Metrics metrics;
  SlowExec inner(clock);
  MeasuredExec exec(inner, metrics, clock);
  const Context ctx(std::stop_token(), clock);
  EXPECT_TRUE(exec.Exec(ctx, {}));
  inner.answer = kube::ExecResult{.exit_code = 10};
  EXPECT_EQ(exec.Exec(ctx, {})->exit_code, 10);
  inner.answer = Unexpected{kube::KubeError(kube::Status{.code = 404})};
  EXPECT_FALSE(exec.Exec(ctx, {}));
  EXPECT_TRUE(exec.Open(ctx, {}));
  const std::string text = metrics.Serialize();
  for (const char* result : {"ok", "nonzero", "error", "stream"}) {
    const std::string labels = "{result=\"" + std::string(result) + "\"} ";
    EXPECT_THAT(text, HasSubstr("breakwater_exec_seconds_count" + labels + "1\n"));
    EXPECT_THAT(text, HasSubstr("breakwater_exec_seconds_sum" + labels + "2\n"));
  }
}

}  // namespace
}  // namespace breakwater::cmd
