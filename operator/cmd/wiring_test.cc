// The operator as a whole, without a cluster. What would break for a user: a rolling update takes
// the new pod for ready before it knows anything, and ends the old one.

#include "operator/cmd/wiring.h"

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "operator/base/context.h"
#include "operator/base/thread.h"
#include "operator/crypto/certificate_authority.h"
#include "operator/net/cpprest_transport.h"

namespace breakwater::cmd {
namespace {

using namespace std::chrono_literals;  // NOLINT(google-build-using-namespace): literals only
/// Port 9 (discard) is closed on every machine that this is built on.
constexpr const char* kNobodyThere = R"(
apiVersion: v1
kind: Config
current-context: c
clusters: [{name: c, cluster: {server: "https://127.0.0.1:9", certificate-authority: ca.crt}}]
contexts: [{name: c, context: {cluster: c, user: u}}]
users: [{name: u, user: {token: t}}]
)";

class RunOperatorTest : public ::testing::Test {
 protected:
  RunOperatorTest() : directory_(::testing::TempDir() + "wiring-" + std::to_string(getpid())) {
    std::filesystem::create_directory(directory_);
    std::ofstream(directory_ + "/config") << kNobodyThere;
    std::ofstream(directory_ + "/ca.crt")
        << crypto::CreateAuthority(
               {.common_name = "ca", .not_after = RealClock().SystemNow() + std::chrono::hours(1)})
               ->certificate.ToPem();
  }

  ~RunOperatorTest() override { std::filesystem::remove_all(directory_); }

  /// The port of the server that logged `flag`; 0 when it did not come up.
  int PortOf(const std::string& flag) {
    const Context ctx = Context(std::stop_token()).WithTimeout(20s);
    do {
      const std::lock_guard lock(mutex_);
      for (const std::string& line : lines_) {
        const auto entry = nlohmann::json::parse(line, nullptr, false);
        if (entry.is_object() && entry.value("for", "") == flag) {
          return entry.value("port", 0);
        }
      }
    } while (ctx.SleepFor(10ms));
    return 0;
  }

  static int Get(int port, const std::string& path) {
    const auto client =
        net::MakeCpprestTransport({.base_url = "http://127.0.0.1:" + std::to_string(port)});
    const auto response = (*client)->Send(Context(std::stop_token()).WithTimeout(10s),
                                          {.method = "GET", .target = path});
    return response ? response->status : 0;
  }

  const std::string directory_;
  std::mutex mutex_;
  std::vector<std::string> lines_;
  const Logger log_{[this](std::string_view line) {
                      const std::lock_guard lock(mutex_);
                      lines_.emplace_back(line);
                    },
                    LogLevel::kInfo};
};

TEST_F(RunOperatorTest, WithoutAnApiServerItLivesIsNotReadyAndStops) {
  net::StartHttpThreads();
  Options options;
  options.ns = "ns";
  options.image_config_map_name = "images";
  options.kubeconfig = directory_ + "/config";
  options.health_probe_bind_address = "127.0.0.1:0";
  options.metrics_bind_address = "0";
  std::optional<Result<void, Error>> ended;
  {
    const Thread running(
        "operator", [&](const std::stop_token& stop) { ended = RunOperator(options, log_, stop); });
    const int port = PortOf("--health-probe-bind-address");
    ASSERT_NE(port, 0) << (ended && !*ended ? ended->error().message : "no server came up");
    EXPECT_EQ(Get(port, "/livez"), 200) << "a restart would not help";
    EXPECT_EQ(Get(port, "/readyz"), 503);
  }
  ASSERT_TRUE(ended.has_value());
  EXPECT_TRUE(*ended || ended->error().error_class == ErrorClass::kCanceled)
      << ended->error().message;
}

}  // namespace
}  // namespace breakwater::cmd
