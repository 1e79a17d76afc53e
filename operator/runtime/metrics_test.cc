#include "operator/runtime/metrics.h"

#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

namespace breakwater::runtime {
namespace {

bool Has(const Metrics& metrics, const std::string& line) {
  return ("\n" + metrics.Serialize()).find("\n" + line + "\n") != std::string::npos;
}

// Breaks: dashboards show "no data", and alerts on rates miss the first failure.
TEST(MetricsTest, StandardMetricsExistAtZero) {
  Metrics metrics;
  RegisterStandardMetrics(metrics, "1.2.3");
  EXPECT_TRUE(Has(metrics, R"(breakwater_build_info{version="1.2.3"} 1)"));
  EXPECT_TRUE(Has(metrics, "breakwater_leader 0"));
  EXPECT_TRUE(Has(metrics, R"(breakwater_panics_total{where="controller"} 0)"));
  EXPECT_TRUE(Has(metrics, R"(breakwater_exec_seconds_count{result="error"} 0)"));
  EXPECT_TRUE(Has(metrics, R"(breakwater_api_requests_total{code="409",verb="patch"} 0)"));
  CountApiRequest(metrics, "patch", 0);
  EXPECT_TRUE(Has(metrics, R"(breakwater_api_requests_total{code="error",verb="patch"} 1)"));
  EXPECT_TRUE(Has(metrics, "# TYPE breakwater_exec_seconds histogram"));
}

// Breaks: two parts that count the same thing overwrite each other.
TEST(MetricsTest, TheSameNameAndLabelsAreTheSameMetric) {
  Metrics metrics;
  metrics.Counter("a_total", "help", {{"x", "1"}}).Increment();
  metrics.Counter("a_total", "other help", {{"x", "1"}}).Increment(2);
  EXPECT_EQ(metrics.Counter("a_total", "").Value(), 0);
  EXPECT_TRUE(Has(metrics, R"(a_total{x="1"} 3)"));
}

// Breaks: a deleted volume is shown as broken for ever.
TEST(MetricsTest, GaugesCanBeRemoved) {
  Metrics metrics;
  metrics.Gauge("g", "help", {{"volume", "a"}}).Set(1);
  metrics.Gauge("g", "help", {{"volume", "b"}}).Set(2);
  metrics.RemoveGauge("g", {{"volume", "a"}});
  metrics.RemoveGauge("g", {{"volume", "never"}});
  metrics.RemoveGauge("never", {});
  EXPECT_FALSE(Has(metrics, R"(g{volume="a"} 1)"));
  EXPECT_TRUE(Has(metrics, R"(g{volume="b"} 2)"));
}

// Breaks: a scrape shows values of the last scrape, or calls into an object that is gone.
TEST(MetricsTest, RefreshesBeforeEachSerializeWhileRegistered) {
  Metrics metrics;
  int value = 0;
  {
    const Metrics::Registration registration = metrics.OnSerialize(
        [&, gauge = metrics.Gauge("g", "help")]() mutable { gauge.Set(++value); });
    EXPECT_TRUE(Has(metrics, "g 1"));
    EXPECT_TRUE(Has(metrics, "g 2"));
  }
  EXPECT_TRUE(Has(metrics, "g 2"));
}

// Breaks: a data race between the scrape and the workers.
TEST(MetricsTest, CanBeUsedFromManyThreads) {
  Metrics metrics;
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([&] {
        for (int n = 0; n < 100; ++n) {
          metrics.Counter("c_total", "help", {{"n", std::to_string(n % 5)}}).Increment();
          metrics.Histogram("h", "help").Observe(0.5);
          if (n % 20 == 0) {
            (void)metrics.Serialize();
          }
        }
      });
    }
  }
  EXPECT_TRUE(Has(metrics, R"(c_total{n="0"} 80)"));
  EXPECT_TRUE(Has(metrics, "h_count 400"));
}

// Breaks: /metrics cannot be read by Prometheus because one name has two types.
TEST(MetricsDeathTest, OneNameCannotHaveTwoTypes) {
  ::testing::FLAGS_gtest_death_test_style = "threadsafe";
  Metrics metrics;
  metrics.Counter("a", "help");
  EXPECT_DEATH(metrics.Gauge("a", "help"), "two types");
}

}  // namespace
}  // namespace breakwater::runtime
