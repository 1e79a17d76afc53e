// The way to DRBD on a node. What would break for a user: a command runs on another node than the
// plan says, or in a pod that is on its way out, in the middle of a switch.

#include "operator/controllers/node_shell/node_shell.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "operator/api/resources.h"
#include "operator/testing/fake_pod_exec.h"

namespace breakwater::controllers {
namespace {

using namespace std::chrono_literals;  // NOLINT(google-build-using-namespace): literals only
using api::Json;
using ::testing::HasSubstr;

constexpr const char* kContainer = "linstor-satellite";

Json Pod(const std::string& name, const std::string& node) {
  return {
      {"metadata",
       {{"name", name},
        {"namespace", "ns"},
        {"uid", name},
        {"ownerReferences", Json::array({{{"uid", "set-" + node}, {"controller", true}}})}}},
      {"spec", {{"nodeName", node}}},
      {"status", {{"containerStatuses", Json::array({{{"name", kContainer}, {"ready", true}}})}}}};
}

class PodNodeShellTest : public ::testing::Test {
 protected:
  PodNodeShellTest() {
    std::vector<Json> satellites;
    std::vector<Json> sets;
    for (const std::string node : {"node1", "node2"}) {
      satellites.push_back({{"metadata", {{"name", node}, {"uid", "satellite-" + node}}}});
      sets.push_back({{"metadata",
                       {{"name", "set-" + node},
                        {"namespace", "ns"},
                        {"uid", "set-" + node},
                        {"ownerReferences",
                         Json::array({{{"uid", "satellite-" + node}, {"controller", true}}})}}}});
    }
    satellites_.Replace(satellites, "1");
    daemon_sets_.Replace(sets, "1");
  }

  void Have(const std::vector<Json>& pods) { pods_.Replace(pods, "1"); }

  Result<kube::ExecResult, Error> Run(const std::string& node,
                                      const std::vector<std::string>& argv = {"true"},
                                      std::chrono::milliseconds timeout = 10s,
                                      const std::string& container = kContainer) {
    return PodNodeShell(exec_, {satellites_, daemon_sets_, pods_, "ns"},
                        {.timeout = timeout, .max_output_bytes = 100, .max_values = 10})
        .Run(Context(std::stop_token()).WithTimeout(20s), node, container, argv);
  }

  runtime::Store satellites_{api::kLinstorSatellite};
  runtime::Store daemon_sets_{api::kDaemonSet};
  runtime::Store pods_{api::kPod};
  testing::FakePodExec exec_;
};

TEST_F(PodNodeShellTest, RunsOnTheNodeThatWasNamed) {
  Have({Pod("one", "node1"), Pod("two", "node2")});
  exec_.AddContainer("ns", "two", kContainer);
  const auto result = Run("node2", {"sh", "-c", "echo here; exit 7"});
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_EQ(result->out, "here\n");
  EXPECT_EQ(result->exit_code, 7) << "a program that fails is a value, not an error";
  const auto other = Run("node1");
  ASSERT_FALSE(other) << "only two's container can run programs";
  EXPECT_THAT(other.error().message, HasSubstr("exec on node node1"));
}

// A roll-out shows two pods for a moment: the old one's DRBD commands would fail half-way.
TEST_F(PodNodeShellTest, ThePodThatStaysIsTaken) {
  Json leaving = Pod("leaving", "node1");
  leaving["metadata"]["deletionTimestamp"] = "2026-01-03T00:00:01Z";
  Have({leaving, Pod("new", "node1")});
  exec_.AddContainer("ns", "new", kContainer);
  EXPECT_TRUE(Run("node1"));
}

TEST_F(PodNodeShellTest, WithoutAPodOrContainerNothingRuns) {
  Have({Pod("one", "node1")});
  exec_.AddContainer("ns", "one", kContainer);
  EXPECT_EQ(Run("node2").error().error_class, ErrorClass::kNotFound);
  EXPECT_EQ(Run("node1", {"true"}, 10s, "ktls-utils").error().error_class, ErrorClass::kNotFound);
  EXPECT_EQ(Run("node1; reboot").error().error_class, ErrorClass::kInvalid);
  Json foreign = Pod("one", "node1");
  foreign["metadata"]["namespace"] = "other";
  Have({foreign});
  EXPECT_EQ(Run("node1").error().error_class, ErrorClass::kNotFound)
      << "somebody else's pod with our label";
}

// One node that hangs must not hold up the round over all nodes.
TEST_F(PodNodeShellTest, OneCallHasItsOwnTimeLimitAndCap) {
  Have({Pod("one", "node1")});
  exec_.AddContainer("ns", "one", kContainer);
  const auto hanging = Run("node1", {"sleep", "60"}, 100ms);
  ASSERT_FALSE(hanging);
  EXPECT_THAT(hanging.error().message, HasSubstr("node1"));
  EXPECT_TRUE(Run("node1", {"head", "-c", "1000", "/dev/zero"})->truncated);
}

// REVIEW-2 M2: 31 MiB of empty objects from one node became 712 MiB here, and the operator was
// killed in the middle of everybody's migration.
TEST_F(PodNodeShellTest, AnAnswerThatGrowsInMemoryIsRefused) {
  Have({Pod("one", "node1")});
  exec_.AddContainer("ns", "one", kContainer);
  EXPECT_TRUE(Run("node1", {"echo", "[{},{},{},{}]"}));
  const auto result = Run("node1", {"echo", "[{},{},{},{},{},{}]"});
  ASSERT_FALSE(result);
  EXPECT_THAT(result.error().message, HasSubstr("the answer of node node1 is too large"));
  EXPECT_LE(PodNodeShellOptions().max_output_bytes, 16U << 20U);
}

}  // namespace
}  // namespace breakwater::controllers
