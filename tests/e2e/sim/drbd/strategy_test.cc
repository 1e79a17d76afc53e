// The two ways of switching that the product uses: neither may ever lose a block.
#include <gmock/gmock.h>

#include "tests/e2e/sim/drbd/test_cluster.h"

namespace breakwater::sim::testing {
namespace {

int NodeId(const std::string& node) {
  return node.back() - '1';
}

void SetTls(Cluster& cluster, const std::string& node, const std::string& peer, bool tls) {
  for (int tries = 0; tries < 50; ++tries) {
    const ExecResult result =
        cluster.Run(node, {"drbdsetup", "net-options", "r0", std::to_string(NodeId(peer)),
                           tls ? "--tls=yes" : "--tls=no"});
    if (result.exit == 0) {
      return;
    }
    cluster.Advance(Millis(100));
  }
  FAIL() << "net-options is never accepted";
}

void SwitchPair(Cluster& cluster, const std::string& a, const std::string& b, bool tls) {
  EXPECT_EQ(cluster.Run(a, {"drbdadm", "disconnect", "r0:" + b}).exit, 0);
  EXPECT_TRUE(cluster.WaitFor(
      [&] { return Conn(cluster, "r0", b, a).state == ConnState::kConnecting; }, Millis(5000)));
  SetTls(cluster, a, b, tls);
  SetTls(cluster, b, a, tls);
  EXPECT_EQ(cluster.Run(a, {"drbdadm", "connect", "r0:" + b}).exit, 0);
  EXPECT_TRUE(cluster.WaitFor([&] { return Healthy(cluster, "r0", "node1"); }, Millis(30000)));
}

// What the status of `node` says about its connection to `peer`.
std::uint64_t OutOfSync(Cluster& cluster, const std::string& node, const std::string& peer) {
  const std::string text =
      cluster.Run(node, {"drbdsetup", "status", "--verbose", "--statistics", "r0"}).out;
  const std::size_t begin = text.find("\n  " + peer + " node-id:");
  const std::size_t at = text.find("out-of-sync:", begin);
  if (begin == std::string::npos || at == std::string::npos) {
    throw std::runtime_error("no connection " + node + " - " + peer + " in " + text);
  }
  return std::stoull(text.substr(at + 12));
}

TEST(F18Test, PairByPairUnderASteadyWriterLosesNothing) {
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    Cluster cluster({.seed = seed});
    BringUp(cluster, {});
    ASSERT_FALSE(cluster.StartWriter("r0", "node1", Millis(20)));
    cluster.Advance(Millis(500));
    for (const bool tls : {true, false, true}) {
      SwitchPair(cluster, "node1", "node2", tls);
      SwitchPair(cluster, "node1", "node3", tls);
      SwitchPair(cluster, "node2", "node3", tls);
      const ResourceReport report = cluster.Report("r0");
      EXPECT_EQ(report.diverged_blocks, 0U);
      EXPECT_EQ(report.lost_writes, 0U);
      EXPECT_EQ(report.encrypted, tls ? 3 : 0);
    }
    const ResourceReport report = cluster.Report("r0");
    EXPECT_EQ(report.errors, 0U);
    EXPECT_LT(report.longest_stall, Millis(250));
    EXPECT_EQ(OutOfSync(cluster, "node2", "node3") + OutOfSync(cluster, "node3", "node2"), 0U)
        << "F4.3: Secondary-Secondary last leaves no counters";
    EXPECT_THAT(cluster.Check(), ::testing::IsEmpty());
  }
}

TEST(F4Test, SecondariesFirstLeavesStaleCountersBetweenThem) {
  // F4.3, F4.8: so that nobody takes out-of-sync between Secondaries for a gate.
  Cluster cluster;
  BringUp(cluster, {});
  ASSERT_FALSE(cluster.StartWriter("r0", "node1", Millis(20)));
  cluster.Advance(Millis(500));
  SwitchPair(cluster, "node2", "node3", true);
  SwitchPair(cluster, "node1", "node2", true);
  SwitchPair(cluster, "node1", "node3", true);
  EXPECT_GT(OutOfSync(cluster, "node2", "node3") + OutOfSync(cluster, "node3", "node2"), 0U);
  EXPECT_EQ(OutOfSync(cluster, "node1", "node2") + OutOfSync(cluster, "node1", "node3"), 0U);
  EXPECT_EQ(cluster.Report("r0").diverged_blocks, 0U);
}

TEST(F13Test, SafeSuspensionOnlyCutsFromThePrimaryAndNeverGetsStale) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    Cluster cluster({.seed = seed, .stale_after_parallel_forced = 1.0});
    BringUp(cluster, {});
    ASSERT_FALSE(cluster.StartWriter("r0", "node1", Millis(20)));
    cluster.Advance(Millis(500));
    cluster.Run("node1", {"drbdadm", "suspend-io", "r0"});
    cluster.Run("node2", {"drbdadm", "disconnect", "r0:node3"});
    cluster.Run("node1", {"drbdadm", "disconnect", "--force", "r0"});
    const std::vector<std::pair<std::string, std::string>> pairs = {
        {"node1", "node2"}, {"node1", "node3"}, {"node2", "node3"}};
    for (const auto& [a, b] : pairs) {
      SetTls(cluster, a, b, true);
      SetTls(cluster, b, a, true);
    }
    for (const auto& [a, b] : pairs) {
      cluster.Run(a, {"drbdadm", "connect", "r0:" + b});
    }
    EXPECT_TRUE(cluster.WaitFor([&] { return Healthy(cluster, "r0", "node1"); }, Millis(20000)));
    cluster.Run("node1", {"drbdadm", "resume-io", "r0"});
    cluster.Advance(Millis(1000));
    const ResourceReport report = cluster.Report("r0");
    EXPECT_EQ(report.stale_peers, 0U);
    EXPECT_EQ(report.diverged_blocks, 0U);
    EXPECT_EQ(report.errors, 0U);
    EXPECT_EQ(report.encrypted, 3);
    EXPECT_LT(report.longest_stall, Millis(4000));
    EXPECT_THAT(cluster.Check(), ::testing::IsEmpty());
  }
}

TEST(DeterminismTest, SameSeedSameRun) {
  const auto run = [] {
    Cluster cluster({.seed = 42});
    BringUp(cluster, {});
    EXPECT_FALSE(cluster.StartWriter("r0", "node1", Millis(20)));
    cluster.Advance(Millis(3000));
    SwitchPair(cluster, "node1", "node2", true);
    return cluster.Run("node1", {"dmesg"}).out +
           cluster.Run("node1", {"drbdsetup", "status", "--json"}).out;
  };
  EXPECT_EQ(run(), run());
}

}  // namespace
}  // namespace breakwater::sim::testing
