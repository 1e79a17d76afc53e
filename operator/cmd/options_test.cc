#include "operator/cmd/options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace breakwater::cmd {
namespace {

using ::testing::HasSubstr;

const std::map<std::string, std::string> kEnvironment{
    {"NAMESPACE", "ns"}, {"IMAGE_CONFIG_MAP_NAME", "images"}, {"RELATED_IMAGE_X", "x:1"}};

Options Good(std::vector<std::string> arguments,
             const std::map<std::string, std::string>& environment = kEnvironment) {
  auto parsed = ParseOptions(std::move(arguments), environment);
  if (const auto* exit = std::get_if<EarlyExit>(&parsed)) {
    ADD_FAILURE() << exit->message;
    return {};
  }
  return std::get<Options>(parsed);
}

std::string Bad(std::vector<std::string> arguments,
                const std::map<std::string, std::string>& environment = kEnvironment) {
  const auto parsed = ParseOptions(std::move(arguments), environment);
  const auto* exit = std::get_if<EarlyExit>(&parsed);
  if (exit == nullptr) {
    return "accepted";
  }
  EXPECT_EQ(exit->code, 2);
  return exit->message;
}

TEST(OptionsTest, HasTheDefaultsOfThePiraeusOperator) {
  const Options options = Good({});
  EXPECT_EQ(options.ns, "ns");
  EXPECT_EQ(options.metrics_bind_address, "127.0.0.1:8080");  // REVIEW-2, Low: closed
  EXPECT_EQ(options.health_probe_bind_address, ":8081");
  EXPECT_FALSE(options.leader_elect);
  EXPECT_EQ(options.requeue_interval, std::chrono::minutes(1));
  EXPECT_EQ(options.service_resolution, controllers::ServiceResolution::kDns);
  EXPECT_EQ(options.related_images.at("RELATED_IMAGE_X"), "x:1");
}

// The Deployment of a running Piraeus Operator must start this binary unchanged.
TEST(OptionsTest, TakesTheFlagsOfThePiraeusOperator) {
  const Options options = Good({"--leader-elect", "-metrics-bind-address=0", "--linstor-api-qps=50",
                                "--linstor-node-cache-duration", "30s", "--requeue-interval=2m",
                                "--cluster-api-kubeconfig", "<none>", "--zap-log-level=debug",
                                "--zap-devel=false", "--zap-encoder=json", "--pull-secret=p"});
  EXPECT_TRUE(options.leader_elect);
  EXPECT_EQ(options.metrics_bind_address, "0");
  EXPECT_EQ(options.requeue_interval, std::chrono::minutes(2));
  EXPECT_EQ(options.linstor_node_cache_duration, std::chrono::seconds(30));
  EXPECT_EQ(Good({"--linstor-node-cache-duration=0s"}).linstor_node_cache_duration.count(), 0);
  EXPECT_EQ(options.log_level, LogLevel::kDebug);
  EXPECT_EQ(options.pull_secret, "p");
  EXPECT_FALSE(Good({"--leader-elect=false"}).leader_elect);
}

TEST(OptionsTest, FlagsWinOverTheEnvironment) {
  EXPECT_EQ(Good({"--namespace", "other"}).ns, "other");
}

// Outside the cluster its DNS names mean nothing.
TEST(OptionsTest, ResolvesServicesByEndpointsOutsideTheCluster) {
  auto environment = kEnvironment;
  environment["KUBECONFIG"] = "/x";
  EXPECT_EQ(Good({}, environment).service_resolution, controllers::ServiceResolution::kEndpoints);
  EXPECT_EQ(Good({"--service-resolution=dns"}, environment).service_resolution,
            controllers::ServiceResolution::kDns);
}

TEST(OptionsTest, SaysWhichFlagIsWrong) {
  EXPECT_THAT(Bad({}, {}), HasSubstr("--namespace"));
  EXPECT_THAT(Bad({}, {{"NAMESPACE", "ns"}}), HasSubstr("--image-config-map-name"));
  EXPECT_THAT(Bad({"--requeue-interval=soon"}), HasSubstr("--requeue-interval: 'soon'"));
  EXPECT_THAT(Bad({"--no-such-flag"}), HasSubstr("no-such-flag"));
  EXPECT_THAT(Bad({"--log-level=loud"}), HasSubstr("--log-level"));
  EXPECT_THAT(Bad({"--metrics-bind-address=8080"}), HasSubstr("--metrics-bind-address"));
  EXPECT_THAT(Bad({"--service-resolution=magic"}), HasSubstr("service-resolution"));
}

TEST(OptionsTest, ReadsBindAddresses) {
  EXPECT_EQ(ParseBindAddress(":8080")->port, 8080);
  EXPECT_EQ(ParseBindAddress("[::1]:9")->host, "::1");
  EXPECT_EQ(ParseBindAddress("127.0.0.1:0")->host, "127.0.0.1");
  EXPECT_FALSE(ParseBindAddress("localhost"));
  EXPECT_FALSE(ParseBindAddress(":x"));
}

}  // namespace
}  // namespace breakwater::cmd
