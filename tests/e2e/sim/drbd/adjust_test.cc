#include <gmock/gmock.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "operator/testing/source_dir.h"
#include "tests/e2e/sim/drbd/res_file.h"
#include "tests/e2e/sim/drbd/test_cluster.h"

namespace breakwater::sim::testing {
namespace {

using ::testing::HasSubstr;

TEST(ResFileTest, ReadsWhatLinstorWrites) {
  ResourceSpec spec;
  spec.diskless = {"node3"};
  spec.pair_tls = {{{"node1", "node2"}, true}};
  const ResParse parsed = ParseResFile("r0.res", ResText(spec, "node1"));
  ASSERT_EQ(parsed.error, "");
  ASSERT_EQ(parsed.resources.size(), 1U);
  const ResFile& file = parsed.resources[0];
  EXPECT_EQ(file.options.at("quorum"), "majority");
  EXPECT_EQ(file.net.at("verify-alg"), "crc32c");
  EXPECT_EQ(file.hosts.at("node2").node_id, 1);
  EXPECT_EQ(file.hosts.at("node3").volumes.at(0).disk, "none");
  EXPECT_EQ(file.hosts.at("node1").volumes.at(0).minor, 1000);
  ASSERT_EQ(file.connections.size(), 2U);
  EXPECT_EQ(file.connections[0].net.at("tls"), "yes");
  EXPECT_EQ(file.connections[0].hosts.at("node2").ip, "10.77.0.2");
  EXPECT_EQ(file.connections[0].hosts.at("node2").port, 7000);
}

TEST(ResFileTest, ReadsARecordedFile) {
  std::ifstream file(breakwater::testing::SourceDir() +
                     "/tests/e2e/sim/drbd/testdata/linstor-r1.res");
  std::ostringstream text;
  text << file.rdbuf();
  const ResParse parsed = ParseResFile("r1.res", text.str());
  ASSERT_EQ(parsed.error, "");
  const ResFile& r1 = parsed.resources.at(0);
  EXPECT_EQ(r1.options.at("on-no-quorum"), "io-error");
  EXPECT_EQ(r1.net.at("cram-hmac-alg"), "sha1");
  EXPECT_EQ(r1.hosts.at("n1").volumes.at(0).disk, "/dev/loop2");
  EXPECT_EQ(r1.hosts.at("n1").volumes.at(0).disk_options.at("block-size"), "512");
  EXPECT_EQ(r1.connections.at(0).net.at("tls"), "yes");
  EXPECT_FALSE(r1.connections.at(1).net.contains("tls"));
}

TEST(ResFileTest, ReadsTheFirstGuidesFile) {
  const ResParse parsed = ParseResFile("r0.res",
                                       "resource r0 {\n device /dev/drbd0;\n disk /dev/vdb;\n"
                                       " meta-disk internal;\n net { tls yes; }\n"
                                       " on alice { address 192.168.222.20:7777; node-id 0; }\n"
                                       " on bob { address 192.168.222.21:7777; node-id 1; }\n"
                                       " connection-mesh { hosts alice bob; }\n}\n");
  ASSERT_EQ(parsed.error, "");
  const ResFile& file = parsed.resources.at(0);
  EXPECT_EQ(file.net.at("tls"), "yes");
  EXPECT_EQ(file.hosts.at("bob").volumes.at(0).disk, "/dev/vdb");
  EXPECT_EQ(file.hosts.at("bob").volumes.at(0).minor, 0);
  EXPECT_EQ(file.connections.at(0).hosts.at("bob").ip, "192.168.222.21");
}

TEST(ResFileTest, NamesTheLineOfAnError) {
  const ResParse parsed = ParseResFile("x.res", "resource r0 {\n net {\n tls yes\n");
  EXPECT_THAT(parsed.error, HasSubstr("x.res:3: Parse error"));
}

TEST(F14Test, HealResyncsJustTheRecordedBlocksUnderAWriter) {
  // The repair that the operator relies on, in both its forms.
  for (const bool from_primary : {true, false}) {
    Cluster cluster;
    BringUp(cluster, {});
    ASSERT_FALSE(cluster.StartWriter("r0", "node1", Millis(20)));
    cluster.Advance(Millis(500));
    ASSERT_TRUE(cluster.InjectStale("r0", "node1", "node2"));
    cluster.Advance(Millis(3000));
    EXPECT_EQ(Peer(cluster, "r0", "node1", "node2").disk, DiskState::kOutdated);
    EXPECT_EQ(cluster.kernel().Find("node2", "r0")->devices.at(0).disk, DiskState::kUpToDate);
    EXPECT_GT(cluster.Report("r0").diverged_blocks, 50U);
    EXPECT_EQ(cluster.Report("r0").stale_peers, 1U);
    const ExecResult healed =
        from_primary ? cluster.Run("node1", {"drbdadm", "invalidate-remote", "r0:node2",
                                             "--reset-bitmap=no"})
                     : cluster.Run("node2", {"drbdadm", "invalidate", "r0", "--reset-bitmap=no"});
    EXPECT_EQ(healed.exit, 0) << healed.err;
    cluster.Advance(Millis(50));
    EXPECT_EQ(cluster.kernel().Find("node2", "r0")->devices.at(0).disk, DiskState::kInconsistent);
    EXPECT_TRUE(cluster.WaitFor([&] { return Healthy(cluster, "r0", "node1"); }, Millis(5000)));
    const ResourceReport report = cluster.Report("r0");
    EXPECT_EQ(report.diverged_blocks, 0U);
    EXPECT_LT(report.resync_kib, 2000U);
    EXPECT_EQ(report.errors, 0U);
    EXPECT_LT(report.longest_stall, Millis(250));
    cluster.Run("node1", {"drbdadm", "disconnect", "r0:node2"});
    cluster.Run("node1", {"drbdadm", "connect", "r0:node2"});
    EXPECT_TRUE(cluster.WaitFor([&] { return Healthy(cluster, "r0", "node1"); }, Millis(9000)));
    EXPECT_EQ(cluster.Report("r0").diverged_blocks, 0U);
  }
}

TEST(F14Test, AReconnectErasesTheRecordAndOnlyAFullInvalidateHelpsThen) {
  Cluster cluster;
  BringUp(cluster, {});
  ASSERT_FALSE(cluster.StartWriter("r0", "node1", Millis(20)));
  cluster.InjectStale("r0", "node1", "node2");
  cluster.Advance(Millis(3000));
  cluster.Run("node1", {"drbdadm", "primary", "r0"});
  cluster.StopWriter("r0", "node1");
  cluster.Run("node1", {"drbdadm", "disconnect", "--force", "r0:node2"});
  cluster.Run("node1", {"drbdadm", "connect", "r0:node2"});
  EXPECT_TRUE(cluster.WaitFor([&] { return Healthy(cluster, "r0", "node1"); }, Millis(9000)));
  EXPECT_GT(cluster.Report("r0").diverged_blocks, 50U) << "every status is clean, the data is not";
  cluster.Run("node2", {"drbdadm", "invalidate", "r0", "--reset-bitmap=no"});
  cluster.Advance(Millis(5000));
  EXPECT_GT(cluster.Report("r0").diverged_blocks, 50U);
  cluster.Run("node2", {"drbdadm", "invalidate", "r0"});
  cluster.Advance(Millis(30000));
  EXPECT_TRUE(Healthy(cluster, "r0", "node1"));
  EXPECT_EQ(cluster.Report("r0").diverged_blocks, 0U);
}

TEST(F15Test, NetOptionsChangesOnlyTls) {
  Cluster cluster;
  BringUp(cluster, {});
  cluster.Run("node1", {"drbdadm", "disconnect", "r0:node2"});
  const std::string before =
      cluster.Run("node1", {"drbdsetup", "show", "--show-defaults", "--json", "r0"}).out;
  cluster.Run("node1", {"drbdsetup", "net-options", "r0", "1", "--tls=yes"});
  std::string after =
      cluster.Run("node1", {"drbdsetup", "show", "--show-defaults", "--json", "r0"}).out;
  const std::size_t at = after.find("\"tls\": true");
  ASSERT_NE(at, std::string::npos);
  after.replace(at, 11, "\"tls\": false");
  EXPECT_EQ(before, after);
}

TEST(F16Test, NothingToDoWhenTheFileSaysWhatTheKernelDoes) {
  // Kernel first, LINSTOR second only works because this adjust is a no-op.
  Cluster cluster;
  ResourceSpec spec;
  spec.tls = true;
  BringUp(cluster, spec);
  EXPECT_EQ(cluster.Run("node1", {"drbdadm", "-d", "adjust", "r0"}).out, "");
  EXPECT_EQ(cluster.Run("node1", {"drbdadm", "sh-list-adjustable", "all"}).out, "");
  for (int round = 0; round < 2; ++round) {
    for (const ExecResult& result :
         Parallel(cluster, spec.nodes, {"drbdadm", "-vvv", "adjust", "r0"})) {
      EXPECT_EQ(result.exit, 0);
      EXPECT_EQ(result.out, "");
    }
  }
  ResourceSpec pairs;
  pairs.pair_tls = {
      {{"node1", "node2"}, true}, {{"node1", "node3"}, true}, {{"node2", "node3"}, true}};
  PutRes(cluster, pairs);
  EXPECT_EQ(cluster.Run("node1", {"drbdadm", "-d", "adjust", "r0"}).out, "");
  spec.tls = false;
  PutRes(cluster, spec);
  EXPECT_THAT(cluster.Run("node1", {"drbdadm", "adjust", "-d", "r0"}).out,
              HasSubstr("drbdsetup net-options r0 1 --set-defaults"));
  EXPECT_EQ(cluster.Run("node1", {"drbdadm", "sh-list-adjustable", "all"}).out, "r0\n");
}

TEST(F16Test, ADryRunChangesNothing) {
  // Whoever looks before he leaps must not have leapt.
  Cluster cluster;
  BringUp(cluster, {});
  ResourceSpec spec;
  spec.diskless = {"node3"};
  PutRes(cluster, spec);
  EXPECT_THAT(cluster.Run("node1", {"drbdadm", "-d", "adjust", "r0"}).out,
              HasSubstr("drbdsetup peer-device-options r0 2 0 --set-defaults --bitmap=no\n"));
  EXPECT_EQ(cluster.Run("node1", {"drbdadm", "sh-list-adjustable", "all"}).out, "r0\n");
  EXPECT_FALSE(Peer(cluster, "r0", "node1", "node3").client);
  EXPECT_EQ(cluster.Run("node1", {"drbdadm", "adjust", "r0"}).exit, 0);
  EXPECT_TRUE(Peer(cluster, "r0", "node1", "node3").client);
  EXPECT_EQ(cluster.Run("node1", {"drbdadm", "-d", "adjust", "r0"}).out, "");
}

TEST(F19Test, ForeignAdjustReconnectsTheStandAloneEndInPlaintext) {
  Cluster cluster;
  BringUp(cluster, {});
  cluster.Run("node1", {"drbdadm", "disconnect", "r0:node2"});
  cluster.Run("node2", {"drbdadm", "adjust", "r0"});
  cluster.Advance(Millis(500));
  EXPECT_EQ(Conn(cluster, "r0", "node1", "node2").state, ConnState::kStandAlone)
      << "on the end that is Connecting nothing happens";
  cluster.Run("node1", {"drbdadm", "adjust", "r0"});
  cluster.Advance(Millis(1000));
  EXPECT_EQ(Conn(cluster, "r0", "node1", "node2").state, ConnState::kConnected);
  EXPECT_EQ(cluster.Run("node1", {"drbdsetup", "net-options", "r0", "1", "--tls=yes"}).exit, 10);
}

TEST(F19Test, ForeignAdjustAfterNetOptionsMakesAMismatch) {
  Cluster cluster;
  BringUp(cluster, {});
  cluster.Run("node1", {"drbdadm", "disconnect", "r0:node2"});
  cluster.Run("node1", {"drbdsetup", "net-options", "r0", "1", "--tls=yes"});
  cluster.Run("node2", {"drbdsetup", "net-options", "r0", "0", "--tls=yes"});
  EXPECT_EQ(cluster.Run("node1", {"drbdadm", "adjust", "r0"}).exit, 0);
  cluster.Advance(Millis(20000));
  EXPECT_NE(Conn(cluster, "r0", "node1", "node2").state, ConnState::kConnected);
}

TEST(F19Test, NetOptionsIsRefusedWhileAHandshakeRuns) {
  // A single try is not enough: whoever does not retry leaves the pair mismatched.
  Cluster cluster;
  BringUp(cluster, {});
  cluster.Run("node1", {"drbdadm", "disconnect", "r0:node2"});
  cluster.Run("node1", {"drbdsetup", "net-options", "r0", "1", "--tls=yes"});
  cluster.Run("node1", {"drbdadm", "connect", "r0:node2"});
  const std::vector<std::string> switch_back = {"drbdsetup", "net-options", "r0", "0", "--tls=yes"};
  const auto busy = [&] {
    const End end = cluster.kernel().FindEnd("node2", "r0", 0);
    return end.connection->attempt != 0 && cluster.now() >= end.connection->refuse_from;
  };
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < 1000 && !busy(); ++i) {
      cluster.Advance(Millis(10));
    }
    ASSERT_TRUE(busy()) << "there is an attempt every 1.6 s (F5)";
    const ExecResult refused = cluster.Run("node2", switch_back);
    EXPECT_EQ(refused.exit, 10);
    EXPECT_THAT(refused.err, HasSubstr("(162)"));
    for (int i = 0; i < 1000 && busy(); ++i) {
      cluster.Advance(Millis(10));
    }
  }
  EXPECT_EQ(cluster.Run("node2", switch_back).exit, 0) << "between two attempts";
  EXPECT_TRUE(cluster.WaitFor([&] { return Healthy(cluster, "r0", "node1"); }, Millis(10000)));
}

TEST(F19Test, ForeignAdjustCannotDowngradeALiveTlsConnection) {
  Cluster cluster;
  ResourceSpec spec;
  spec.tls = true;
  BringUp(cluster, spec);
  spec.tls = false;
  PutRes(cluster, spec);
  for (const ExecResult& result : Parallel(cluster, spec.nodes, {"drbdadm", "adjust", "r0"})) {
    EXPECT_EQ(result.exit, 1);
    EXPECT_THAT(result.err, HasSubstr("(162)"));
  }
  EXPECT_EQ(cluster.Summary("r0").encrypted, 3);
}

TEST(F20Test, AdjustAllWithOneRefusedResourceLeavesOthersHalfDone) {
  Cluster cluster;
  BringUp(cluster, {});
  ResourceSpec refused;
  refused.tls = true;
  PutRes(cluster, refused);
  ResourceSpec fresh;
  fresh.name = "r1";
  fresh.minor = 1001;
  fresh.port = 7001;
  PutRes(cluster, fresh);
  EXPECT_EQ(cluster.Run("node1", {"drbdadm", "adjust", "all"}).exit, 1);
  Resource* half = cluster.kernel().Find("node1", "r1");
  ASSERT_NE(half, nullptr);
  EXPECT_EQ(half->devices.at(0).disk, DiskState::kDiskless);
  EXPECT_EQ(half->connections.at(1).state, ConnState::kStandAlone);
  EXPECT_EQ(cluster.Run("node1", {"drbdadm", "adjust", "all"}).exit, 1) << "again and again";
  EXPECT_EQ(half->devices.at(0).disk, DiskState::kDiskless);
  EXPECT_EQ(cluster.Run("node1", {"drbdadm", "adjust", "r1"}).exit, 0);
  EXPECT_EQ(half->devices.at(0).disk, DiskState::kUpToDate);
}

TEST(CommandTest, AKilledCommandGoesNoFurther) {
  // LINSTOR kills a tool that takes too long (L23): what it had not done yet must not happen later.
  Cluster cluster({.kill_with_client = true});
  BringUp(cluster, {});
  bool killed = false;
  std::optional<ExecResult> result;
  cluster.Start("node1", kSatelliteContainer, {"drbdadm", "disconnect", "r0"},
                [&](const ExecResult& done) { result = done; },
                {.detached = false, .abandoned = [&] { return killed; }});
  cluster.WaitFor([&] { return cluster.Summary("r0").connected == 2; }, Millis(5000));
  killed = true;
  cluster.Advance(Millis(5000));
  ASSERT_TRUE(result);
  EXPECT_EQ(result->exit, 137);
  EXPECT_EQ(cluster.Summary("r0").connected, 2);
}

TEST(CommandTest, FaultsHitTheCommandsTheyName) {
  Cluster cluster;
  BringUp(cluster, {});
  cluster.shell().AddFault(
      {.node = "node1", .pattern = "adjust r0", .exit = 7, .err = "boom\n", .times = 1});
  EXPECT_EQ(cluster.Run("node1", {"drbdadm", "adjust", "r0"}).exit, 7);
  EXPECT_EQ(cluster.Run("node1", {"drbdadm", "adjust", "r0"}).exit, 0);
  EXPECT_EQ(cluster.Run("node1", {"drbdadm", "adjust", "nosuch"}).exit, 1);
  EXPECT_TRUE(cluster.Run("node1", {"cat", "/etc/hostname"}).passthrough);
  EXPECT_EQ(cluster.shell().trace().back().argv[0], "cat");
}

}  // namespace
}  // namespace breakwater::sim::testing
