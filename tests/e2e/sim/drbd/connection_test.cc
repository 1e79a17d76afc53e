#include <gmock/gmock.h>

#include "tests/e2e/sim/drbd/test_cluster.h"

namespace breakwater::sim::testing {
namespace {

using ::testing::HasSubstr;

Options Policy(Cluster& cluster, const std::string& node) {
  return cluster.kernel().Find(node, "r0")->options;
}

TEST(F1Test, TlsIsRefusedWhileConnectedAndAcceptedWhileCut) {
  // A tool that pushes `tls` to live volumes would otherwise look fine here and fail for users.
  Cluster cluster;
  ResourceSpec spec;
  BringUp(cluster, spec);
  spec.tls = true;
  PutRes(cluster, spec);
  const ExecResult refused = cluster.Run("node1", {"drbdadm", "adjust", "r0"});
  EXPECT_EQ(refused.exit, 1);
  EXPECT_THAT(refused.err, HasSubstr("r0: Failure: (162) Invalid configuration request\n"
                                     "additional info from kernel:\n"
                                     "transport net_conf_change failed: -22\n"));
  EXPECT_TRUE(Healthy(cluster, "r0", "node1"));
  const ExecResult inner =
      cluster.Run("node1", {"drbdsetup", "net-options", "r0", "1", "--tls=yes"});
  EXPECT_EQ(inner.exit, 10);
  EXPECT_THAT(cluster.Run("node1", {"dmesg"}).out,
              HasSubstr("drbd r0 tcp:node2: cannot switch tls (no -> yes) while connected"));

  EXPECT_EQ(cluster.Run("node1", {"drbdadm", "disconnect", "r0:node2"}).exit, 0);
  cluster.Advance(Millis(500));
  EXPECT_EQ(Conn(cluster, "r0", "node1", "node2").state, ConnState::kStandAlone);
  EXPECT_EQ(Conn(cluster, "r0", "node2", "node1").state, ConnState::kConnecting);
  for (const auto& [node, peer] : {std::pair("node1", "1"), std::pair("node2", "0")}) {
    EXPECT_EQ(cluster.Run(node, {"drbdsetup", "net-options", "r0", peer, "--tls=yes"}).exit, 0);
  }
  cluster.Run("node1", {"drbdadm", "connect", "r0:node2"});
  EXPECT_TRUE(cluster.WaitFor([&] { return Healthy(cluster, "r0", "node1"); }, Millis(5000)));
  EXPECT_TRUE(Conn(cluster, "r0", "node1", "node2").encrypted);
  EXPECT_FALSE(Conn(cluster, "r0", "node1", "node3").encrypted);
}

TEST(F2Test, AdjustDoesNotResumeIo) {
  // The documented procedure forgets resume-io: volumes would stay frozen for ever.
  Cluster cluster;
  ResourceSpec spec;
  BringUp(cluster, spec);
  ASSERT_FALSE(cluster.StartWriter("r0", "node1", Millis(20)));
  cluster.Advance(Millis(1000));
  Parallel(cluster, spec.nodes, {"drbdadm", "suspend-io", "all"});
  Parallel(cluster, spec.nodes, {"drbdadm", "disconnect", "--force", "all"});
  spec.tls = true;
  PutRes(cluster, spec);
  Parallel(cluster, spec.nodes, {"drbdadm", "adjust", "all"});
  cluster.Advance(Millis(20000));
  EXPECT_EQ(cluster.Report("r0").encrypted, 3);
  EXPECT_TRUE(cluster.Report("r0").suspended_user);
  EXPECT_GT(cluster.Report("r0").longest_stall, Millis(15000));
  Parallel(cluster, spec.nodes, {"drbdadm", "resume-io", "all"});
  const std::uint64_t before = cluster.Report("r0").writes;
  cluster.Advance(Millis(1000));
  EXPECT_GT(cluster.Report("r0").writes, before + 40);
  EXPECT_EQ(cluster.Report("r0").errors, 0U);
  EXPECT_FALSE(cluster.Check().empty()) << "a suspension of 20 s is a violation";
}

TEST(F2Test, ResumeBeforeThePeersAreBackWaitsForQuorumAndResyncs) {
  Cluster cluster({.stale_after_parallel_forced = 0});
  ResourceSpec spec;
  BringUp(cluster, spec);
  ASSERT_FALSE(cluster.StartWriter("r0", "node1", Millis(20)));
  cluster.Advance(Millis(1000));
  cluster.Run("node1", {"drbdadm", "suspend-io", "r0"});
  cluster.Run("node1", {"drbdadm", "disconnect", "--force", "r0"});
  cluster.Run("node1", {"drbdadm", "resume-io", "r0"});
  const std::uint64_t frozen = cluster.Report("r0").writes;
  cluster.Advance(Millis(3000));
  EXPECT_EQ(cluster.Report("r0").writes, frozen) << "quorum keeps the writer frozen";
  cluster.Run("node1", {"drbdadm", "connect", "r0:node2"});
  cluster.Advance(Millis(2000));
  EXPECT_GT(cluster.Report("r0").writes, frozen);
  cluster.Run("node1", {"drbdadm", "connect", "r0:node3"});
  EXPECT_TRUE(cluster.WaitFor([&] { return Healthy(cluster, "r0", "node1"); }, Millis(10000)));
  const ResourceReport report = cluster.Report("r0");
  EXPECT_GT(report.resync_kib, 0U);
  EXPECT_EQ(report.errors, 0U);
  EXPECT_EQ(report.diverged_blocks, 0U);
  EXPECT_EQ(report.lost_writes, 0U);
}

TEST(F2Test, SuspendSentAfterQuorumWasLostCompletesLate) {
  // Nobody would resume such a volume: a run has to look for it at its end.
  Cluster cluster;
  BringUp(cluster, {});
  ASSERT_FALSE(cluster.StartWriter("r0", "node1", Millis(20)));
  cluster.Run("node1", {"drbdadm", "disconnect", "--force", "r0"});
  const ExecResult late = cluster.Run("node1", {"drbdadm", "suspend-io", "r0"});
  EXPECT_EQ(late.exit, 20);
  EXPECT_THAT(late.err, HasSubstr("did not terminate within 5 seconds"));
  EXPECT_FALSE(cluster.Report("r0").suspended_user);
  cluster.Run("node1", {"drbdadm", "adjust", "r0"});
  cluster.Advance(Millis(2000));
  EXPECT_TRUE(cluster.Report("r0").suspended_user);
}

TEST(F3Test, IoErrorGivesEioAlthoughSuspended) {
  Cluster cluster;
  ResourceSpec spec;
  spec.on_no_quorum = "io-error";
  BringUp(cluster, spec);
  ASSERT_FALSE(cluster.StartWriter("r0", "node1", Millis(20)));
  cluster.Advance(Millis(500));
  cluster.Run("node1", {"drbdadm", "suspend-io", "r0"});
  cluster.Run("node1", {"drbdadm", "disconnect", "--force", "r0"});
  cluster.Advance(Millis(500));
  EXPECT_GT(cluster.Report("r0").errors, 0U);
  EXPECT_EQ(Policy(cluster, "node1").at("on-no-quorum"), "io-error");
}

TEST(F4Test, GracefulPairCutNeitherStallsNorFails) {
  Cluster cluster({.stale_after_graceful = 1.0});
  BringUp(cluster, {});
  ASSERT_FALSE(cluster.StartWriter("r0", "node1", Millis(20)));
  cluster.Advance(Millis(1000));
  cluster.Run("node1", {"drbdadm", "disconnect", "r0:node2"});
  cluster.Advance(Millis(1000));
  EXPECT_EQ(Peer(cluster, "r0", "node1", "node2").disk, DiskState::kOutdated);
  cluster.Run("node1", {"drbdadm", "connect", "r0:node2"});
  bool inconsistent = false;
  EXPECT_TRUE(cluster.WaitFor(
      [&] {
        inconsistent =
            inconsistent || Peer(cluster, "r0", "node1", "node2").disk == DiskState::kInconsistent;
        return inconsistent && Healthy(cluster, "r0", "node1");
      },
      Millis(10000)));
  const ResourceReport report = cluster.Report("r0");
  EXPECT_LT(report.longest_stall, Millis(250));
  EXPECT_EQ(report.errors, 0U);
  EXPECT_EQ(report.diverged_blocks, 0U);
  EXPECT_GT(report.resync_kib, 100U);
}

TEST(F4Test, DisconnectIsDeclinedWhileAnotherPeerResyncs) {
  Cluster cluster({.resync_base = Millis(5000)});
  BringUp(cluster, {});
  ASSERT_FALSE(cluster.StartWriter("r0", "node1", Millis(20)));
  cluster.Advance(Millis(1000));
  cluster.Run("node1", {"drbdadm", "disconnect", "r0:node3"});
  cluster.Advance(Millis(1000));
  cluster.Run("node1", {"drbdadm", "connect", "r0:node3"});
  cluster.Advance(Millis(1000));
  ASSERT_EQ(Peer(cluster, "r0", "node1", "node3").repl, ReplState::kSyncSource);
  const ExecResult refused = cluster.Run("node1", {"drbdadm", "disconnect", "r0:node2"});
  EXPECT_EQ(refused.exit, 11);
  EXPECT_THAT(refused.err, HasSubstr("State change failed: (-10) State change was refused by peer "
                                     "node"));
  EXPECT_THAT(refused.err, HasSubstr("Declined by peer node3"));
  EXPECT_EQ(Conn(cluster, "r0", "node1", "node2").state, ConnState::kConnected);
}

TEST(F4Test, GracefulCutOfEverythingKeepsQuorum) {
  Cluster cluster;
  ResourceSpec spec;
  spec.on_no_quorum = "io-error";
  BringUp(cluster, spec);
  ASSERT_FALSE(cluster.StartWriter("r0", "node1", Millis(20)));
  cluster.Run("node1", {"drbdadm", "disconnect", "r0"});
  cluster.Advance(Millis(2000));
  EXPECT_EQ(cluster.Report("r0").errors, 0U);
  EXPECT_LT(cluster.Report("r0").longest_stall, Millis(250));
  cluster.Run("node1", {"drbdadm", "adjust", "r0"});
  EXPECT_TRUE(cluster.WaitFor([&] { return Healthy(cluster, "r0", "node1"); }, Millis(20000)));
  EXPECT_EQ(cluster.Report("r0").diverged_blocks, 0U);
}

TEST(F4Test, DisklessTiebreakerKeepsQuorumForBothKindsOfPrimary) {
  for (const std::string primary : {"node1", "node3"}) {
    Cluster cluster;
    ResourceSpec spec;
    spec.diskless = {"node3"};
    BringUp(cluster, spec);
    ASSERT_FALSE(cluster.StartWriter("r0", primary, Millis(20)));
    cluster.Advance(Millis(500));
    cluster.Run(primary, {"drbdadm", "disconnect", "r0:node2"});
    cluster.Advance(Millis(1000));
    cluster.Run(primary, {"drbdadm", "connect", "r0:node2"});
    EXPECT_TRUE(cluster.WaitFor([&] { return Healthy(cluster, "r0", primary); }, Millis(20000)))
        << primary;
    const ResourceReport report = cluster.Report("r0");
    EXPECT_LT(report.longest_stall, Millis(250)) << primary;
    EXPECT_EQ(report.errors, 0U) << primary;
    EXPECT_EQ(report.diverged_blocks, 0U) << primary;
    EXPECT_EQ(report.lost_writes, 0U) << primary;
  }
}

TEST(F4Test, StuckWfBitMapEndsByACutOnTheOutdatedSide) {
  Cluster cluster;
  BringUp(cluster, {});
  ASSERT_FALSE(cluster.StartWriter("r0", "node1", Millis(20)));
  ASSERT_TRUE(cluster.InjectStuck("r0", "node2", "node3"));
  cluster.Run("node2", {"drbdadm", "disconnect", "r0:node3"});
  cluster.Run("node2", {"drbdadm", "connect", "r0:node3"});
  cluster.Advance(Millis(70000));
  const bool on_three = Conn(cluster, "r0", "node3", "node2").stuck;
  const std::string stuck = on_three ? "node3" : "node2";
  const std::string other = on_three ? "node2" : "node3";
  EXPECT_EQ(Peer(cluster, "r0", stuck, other).repl, ReplState::kWfBitMapT);
  EXPECT_TRUE(Healthy(cluster, "r0", "node1")) << "the Primary does not see it";
  EXPECT_THAT(cluster.Run(stuck, {"drbdsetup", "status"}).out,
              HasSubstr("replication:WFBitMapT peer-disk:UpToDate"));
  cluster.Run(stuck, {"drbdadm", "disconnect", "r0:" + other});
  cluster.Run(stuck, {"drbdadm", "connect", "r0:" + other});
  cluster.Advance(Millis(2000));
  EXPECT_EQ(Peer(cluster, "r0", stuck, other).repl, ReplState::kEstablished);
  EXPECT_EQ(cluster.kernel().Find(stuck, "r0")->devices.at(0).disk, DiskState::kUpToDate);
}

TEST(F4Test, StuckWfBitMapIsNotShownWithoutAConnection) {
  // The state belongs to the connection, whoever ends it; the disk stays Outdated until it is
  // mended.
  Cluster cluster;
  BringUp(cluster, {});
  ASSERT_FALSE(cluster.StartWriter("r0", "node1", Millis(20)));
  ASSERT_TRUE(cluster.InjectStuck("r0", "node2", "node3"));
  cluster.Run("node2", {"drbdadm", "disconnect", "r0:node3"});
  cluster.Run("node2", {"drbdadm", "connect", "r0:node3"});
  cluster.Advance(Millis(2000));
  const std::string stuck = Conn(cluster, "r0", "node3", "node2").stuck ? "node3" : "node2";
  const std::string other = stuck == "node3" ? "node2" : "node3";
  ASSERT_TRUE(Conn(cluster, "r0", stuck, other).stuck);
  cluster.Run(other, {"drbdadm", "disconnect", "r0:" + stuck});
  EXPECT_FALSE(Conn(cluster, "r0", stuck, other).stuck);
  EXPECT_EQ(cluster.kernel().Find(stuck, "r0")->devices.at(0).disk, DiskState::kOutdated);
}

TEST(F21Test, OtherEndStaysConnectingAfterAGracefulCut) {
  Cluster cluster;
  BringUp(cluster, {});
  cluster.Run("node1", {"drbdadm", "disconnect", "r0:node2"});
  EXPECT_NE(Conn(cluster, "r0", "node2", "node1").state, ConnState::kConnected);
  cluster.Advance(Millis(25000));
  EXPECT_EQ(Conn(cluster, "r0", "node2", "node1").state, ConnState::kConnecting);
}

TEST(F23Test, SuspendFlagIsPerResourceAndAnyVolumeFreesIt) {
  Cluster cluster;
  BringUp(cluster, {});
  cluster.Run("node1", {"drbdsetup", "suspend-io", "1000"});
  EXPECT_TRUE(cluster.Report("r0").suspended_user);
  cluster.Run("node1", {"drbdadm", "resume-io", "r0/0"});
  EXPECT_FALSE(cluster.Report("r0").suspended_user);
}

TEST(CrashTest, NodeComesBackAndResyncs) {
  Cluster cluster;
  ResourceSpec spec;
  BringUp(cluster, spec);
  ASSERT_FALSE(cluster.StartWriter("r0", "node1", Millis(20)));
  cluster.Advance(Millis(500));
  cluster.CrashNode("node2");
  cluster.Advance(Millis(5000));
  EXPECT_EQ(cluster.Report("r0").errors, 0U);
  cluster.BootNode("node2");
  cluster.SetTlshd("node2", true);
  EXPECT_EQ(cluster.Run("node2", {"drbdadm", "adjust", "r0"}).exit, 0);
  EXPECT_TRUE(cluster.WaitFor([&] { return Healthy(cluster, "r0", "node1"); }, Millis(20000)));
  EXPECT_EQ(cluster.Report("r0").diverged_blocks, 0U);
  EXPECT_EQ(cluster.Report("r0").lost_writes, 0U);
}

// Back before the others have noticed that it was away, in the middle of the next handshake.
TEST(CrashTest, AQuickRebootDoesNotLeaveAConnectionThatNobodyTries) {
  Cluster cluster;
  ResourceSpec spec;
  spec.tls = true;
  BringUp(cluster, spec);
  ASSERT_EQ(cluster.Run("node1", {"drbdadm", "disconnect", "r0:node2"}).exit, 0);
  cluster.Advance(Millis(1000));
  cluster.CrashNode("node1");
  cluster.Advance(Millis(100));
  cluster.BootNode("node1");
  cluster.SetTlshd("node1", true, true);  // it hangs, so that the handshake takes its time
  EXPECT_EQ(cluster.Run("node1", {"drbdadm", "adjust", "r0"}).exit, 0);
  cluster.Advance(Millis(2000));
  cluster.SetTlshd("node1", true);
  EXPECT_TRUE(cluster.WaitFor(
      [&] {
        const Resource* resource = cluster.kernel().Find("node1", "r0");
        return resource->connections.at(1).state == ConnState::kConnected;
      },
      Millis(60000)));
}

TEST(F24Test, CrashLeavesOrphanedTlsSocketsThatAreNotEstablished) {
  // Whoever counts them takes a dead connection for an encrypted one.
  Cluster cluster;
  ResourceSpec spec;
  spec.tls = true;
  BringUp(cluster, spec);
  cluster.CrashNode("node3");
  cluster.Advance(Millis(3000));
  const std::string sockets = cluster.Run("node1", {"ss", "-tnieH"}).out;
  EXPECT_THAT(sockets, HasSubstr("FIN-WAIT-1 0      1      10.77.0.1:7000  10.77.0.3:"));
  EXPECT_THAT(sockets, HasSubstr("tcp-ulp-tls      "));
}

TEST(F22Test, BootOfANodeWithManyTlsResourcesReconnectsAllByItself) {
  Cluster cluster;
  constexpr int kResources = 21;
  for (int i = 0; i < kResources; ++i) {
    ResourceSpec spec;
    spec.name = "m" + std::to_string(100 + i);
    spec.minor = 1001 + i;
    spec.port = 7001 + i;
    spec.tls = true;
    BringUp(cluster, spec);
  }
  cluster.CrashNode("node2");
  cluster.Advance(Millis(5000));
  cluster.BootNode("node2");
  cluster.SetTlshd("node2", true);
  for (int i = 0; i < kResources; ++i) {
    EXPECT_EQ(cluster.Run("node2", {"drbdadm", "adjust", "m" + std::to_string(100 + i)}).exit, 0);
  }
  cluster.Advance(Millis(5000));
  EXPECT_THAT(cluster.Run("node2", {"cat", "/proc/net/tls_stat"}).out,
              HasSubstr("TlsCurrTxSw                     \t84\n"));
}

TEST(SecretTest, PeersWithDifferentSecretsEndStandAlone) {
  Cluster cluster;
  ResourceSpec spec;
  BringUp(cluster, spec);
  cluster.Run("node1", {"drbdadm", "disconnect", "r0:node2"});
  cluster.Run("node1",
              {"drbdsetup", "net-options", "r0", "1", "--cram-hmac-alg=sha1", "--shared-secret=x"});
  cluster.Run("node1", {"drbdadm", "connect", "r0:node2"});
  cluster.Advance(Millis(2000));
  EXPECT_EQ(Conn(cluster, "r0", "node1", "node2").state, ConnState::kStandAlone);
  EXPECT_THAT(cluster.Run("node1", {"dmesg"}).out, HasSubstr("Authentication of peer failed"));
}

TEST(NetworkTest, CutLinkFreezesNothingWhileAMajorityIsThere) {
  Cluster cluster;
  BringUp(cluster, {});
  ASSERT_FALSE(cluster.StartWriter("r0", "node1", Millis(20)));
  cluster.CutLink("node1", "node3", true);
  cluster.Advance(Millis(5000));
  EXPECT_NE(Conn(cluster, "r0", "node1", "node3").state, ConnState::kConnected);
  cluster.CutLink("node3", "node1", false);
  EXPECT_TRUE(cluster.WaitFor([&] { return Healthy(cluster, "r0", "node1"); }, Millis(20000)));
  EXPECT_EQ(cluster.Report("r0").errors, 0U);
  EXPECT_EQ(cluster.Report("r0").diverged_blocks, 0U);
}

}  // namespace
}  // namespace breakwater::sim::testing
