#include <gmock/gmock.h>

#include <cstdlib>
#include <ctime>
#include <fstream>
#include <set>
#include <sstream>

#include "operator/testing/source_dir.h"
#include "tests/e2e/sim/drbd/test_cluster.h"
#include "tests/e2e/sim/drbd/tls_check.h"

namespace breakwater::sim::testing {
namespace {

using ::testing::AnyOf;
using ::testing::Eq;
using ::testing::HasSubstr;
using ::testing::Not;

ResourceSpec TwoNodes() {
  ResourceSpec spec;
  spec.nodes = {"node1", "node2"};
  spec.quorum = "off";
  return spec;
}

// Switches the pair to TLS in the configuration and adjusts both ends after a cut at node1.
void SwitchToTls(Cluster& cluster, ResourceSpec spec) {
  cluster.Run("node1", {"drbdadm", "disconnect", "r0:node2"});
  spec.tls = true;
  PutRes(cluster, spec);
  for (const ExecResult& result : Parallel(cluster, spec.nodes, {"drbdadm", "adjust", "r0"})) {
    EXPECT_EQ(result.exit, 0) << "F6.0: adjust says nothing about the connection";
  }
}

ConnState State(Cluster& cluster, const std::string& node, const std::string& peer) {
  return Conn(cluster, "r0", node, peer).state;
}

TEST(F5Test, MismatchNeverConnectsAndLaggingEndIsEnough) {
  // Half a migration must be visible as such and end with one adjust, not with a reboot.
  Cluster cluster;
  ResourceSpec spec = TwoNodes();
  BringUp(cluster, spec);
  ASSERT_FALSE(cluster.StartWriter("r0", "node1", Millis(20)));
  cluster.Run("node1", {"drbdadm", "disconnect", "r0:node2"});
  cluster.Run("node1", {"drbdsetup", "net-options", "r0", "1", "--tls=yes"});
  cluster.Run("node1", {"drbdadm", "connect", "r0:node2"});
  std::set<ConnState> seen;
  for (int i = 0; i < 400; ++i) {
    cluster.Advance(Millis(50));
    seen.insert(State(cluster, "node1", "node2"));
    seen.insert(State(cluster, "node2", "node1"));
  }
  EXPECT_THAT(seen, ::testing::UnorderedElementsAre(ConnState::kConnecting, ConnState::kUnconnected,
                                                    ConnState::kNetworkFailure));
  EXPECT_THAT(cluster.Run("node1", {"dmesg"}).out, HasSubstr("Error from tls handshake: -110"));
  EXPECT_THAT(cluster.Run("node2", {"dmesg"}).out,
              HasSubstr("Wrong magic value 0x16030101 in protocol version"));
  while (cluster.Run("node2", {"drbdsetup", "net-options", "r0", "0", "--tls=yes"}).exit != 0) {
    cluster.Advance(Millis(200));
  }
  EXPECT_TRUE(cluster.WaitFor([&] { return Healthy(cluster, "r0", "node1"); }, Millis(10000)));
  EXPECT_TRUE(Conn(cluster, "r0", "node2", "node1").encrypted);
}

TEST(F6Test, MissingTlshdEndsStandAloneThereAndDoesNotRecover) {
  Cluster cluster;
  const ResourceSpec spec = TwoNodes();
  BringUp(cluster, spec);
  cluster.SetTlshd("node2", false);
  SwitchToTls(cluster, spec);
  cluster.Advance(Millis(5000));
  EXPECT_EQ(State(cluster, "node2", "node1"), ConnState::kStandAlone);
  EXPECT_EQ(State(cluster, "node1", "node2"), ConnState::kConnecting);
  EXPECT_THAT(cluster.Run("node2", {"dmesg"}).out,
              HasSubstr("Error from control socket tls handshake: -3"));
  EXPECT_THAT(cluster.Run("node1", {"dmesg"}).out, HasSubstr("Error from tls handshake: -110"));
  cluster.SetTlshd("node2", true);
  cluster.Advance(Millis(30000));
  EXPECT_EQ(State(cluster, "node2", "node1"), ConnState::kStandAlone);
  cluster.Run("node2", {"drbdadm", "adjust", "r0"});
  EXPECT_TRUE(cluster.WaitFor([&] { return Healthy(cluster, "r0", "node1"); }, Millis(5000)));
}

TEST(F6Test, HungTlshdIsRetriedAndRecovers) {
  Cluster cluster;
  const ResourceSpec spec = TwoNodes();
  BringUp(cluster, spec);
  cluster.SetTlshd("node2", true, true);
  SwitchToTls(cluster, spec);
  cluster.Advance(Millis(20000));
  EXPECT_NE(State(cluster, "node1", "node2"), ConnState::kStandAlone);
  EXPECT_NE(State(cluster, "node2", "node1"), ConnState::kStandAlone);
  cluster.SetTlshd("node2", true);
  EXPECT_TRUE(cluster.WaitFor([&] { return Healthy(cluster, "r0", "node1"); }, Millis(10000)));
}

TEST(F6Test, BadCertificateOfNode2EndsStandAloneOnNode1) {
  const TestCa ca("labca");
  const TestCa other("otherca");

  struct Case {
    const char* name;
    std::map<std::string, std::string> files;
  };

  std::map<std::string, std::string> stranger = other.Issue("node2", "node2");
  stranger["/etc/tlshd.d/ca.crt"] = ca.Issue("x", "x").at("/etc/tlshd.d/ca.crt");
  const Case cases[] = {{"wrong CA", stranger},
                        {"expired", ca.Issue("node2", "node2", -1)},
                        {"wrong name", ca.Issue("node2", "stranger")}};
  for (const Case& c : cases) {
    Cluster cluster;
    const ResourceSpec spec = TwoNodes();
    BringUp(cluster, spec);
    GiveFiles(cluster, "node1", ca.Issue("node1", "node1"));
    GiveFiles(cluster, "node2", c.files);
    SwitchToTls(cluster, spec);
    cluster.Advance(Millis(5000));
    EXPECT_EQ(State(cluster, "node1", "node2"), ConnState::kStandAlone) << c.name;
    EXPECT_EQ(State(cluster, "node2", "node1"), ConnState::kConnecting) << c.name;
    EXPECT_THAT(cluster.Run("node1", {"dmesg"}).out,
                HasSubstr("Failed to initiate connection, err=-13"));
    EXPECT_THAT(cluster.Run("node1", {"tlshd-log"}, kTlsContainer).out,
                HasSubstr("Handshake with 'node2' (10.77.0.2) failed"));
    GiveFiles(cluster, "node2", ca.Issue("node2", "node2"));
    cluster.Run("node1", {"drbdadm", "adjust", "r0"});
    EXPECT_TRUE(cluster.WaitFor([&] { return Healthy(cluster, "r0", "node1"); }, Millis(9000)))
        << c.name << ": a fixed file needs no restart of tlshd";
  }
}

TEST(F6Test, MissingKeyEndsStandAloneOnItsOwnNode) {
  const TestCa ca("labca");
  Cluster cluster;
  const ResourceSpec spec = TwoNodes();
  BringUp(cluster, spec);
  auto files = ca.Issue("node2", "node2");
  files.erase("/etc/tlshd.d/tls.key");
  GiveFiles(cluster, "node1", ca.Issue("node1", "node1"));
  GiveFiles(cluster, "node2", files);
  SwitchToTls(cluster, spec);
  cluster.Advance(Millis(5000));
  EXPECT_EQ(State(cluster, "node2", "node1"), ConnState::kStandAlone);
  EXPECT_EQ(State(cluster, "node1", "node2"), ConnState::kConnecting);
  EXPECT_THAT(cluster.Run("node2", {"dmesg"}).out, HasSubstr("err=-5"));
}

TEST(F6Test, RollbackAfterTlshdWasDownEverywhereReconnects) {
  Cluster cluster;
  ResourceSpec spec;
  BringUp(cluster, spec);
  ASSERT_FALSE(cluster.StartWriter("r0", "node1", Millis(20)));
  for (const std::string& node : spec.nodes) {
    cluster.SetTlshd(node, false);
  }
  Parallel(cluster, spec.nodes, {"drbdadm", "suspend-io", "r0"});
  Parallel(cluster, spec.nodes, {"drbdadm", "disconnect", "--force", "r0"});
  spec.tls = true;
  PutRes(cluster, spec);
  Parallel(cluster, spec.nodes, {"drbdadm", "adjust", "r0"});
  cluster.Advance(Millis(5000));
  EXPECT_EQ(cluster.Summary("r0").connected, 0);
  for (const std::string& node : spec.nodes) {
    for (const std::string& peer : spec.nodes) {
      if (node != peer) {
        EXPECT_THAT(State(cluster, node, peer),
                    AnyOf(Eq(ConnState::kStandAlone), Eq(ConnState::kConnecting)));
      }
    }
  }
  Parallel(cluster, spec.nodes, {"drbdadm", "resume-io", "r0"});
  spec.tls = false;
  PutRes(cluster, spec);
  Parallel(cluster, spec.nodes, {"drbdadm", "adjust", "r0"});
  EXPECT_TRUE(cluster.WaitFor([&] { return cluster.Summary("r0").connected == 3; }, Millis(9000)));
  EXPECT_EQ(cluster.Report("r0").errors, 0U);
}

// The verdicts in a recorded log of tlshd, in any order: the two handshakes run side by side.
std::multiset<std::string> Verdicts(const std::string& log) {
  std::multiset<std::string> lines;
  std::istringstream in(log);
  for (std::string line; std::getline(in, line);) {
    const std::size_t at = line.find("Handshake with ");
    if (at != std::string::npos) {
      lines.insert(line.substr(at));
    }
  }
  return lines;
}

std::string Recorded(const std::string& name) {
  std::ifstream file(breakwater::testing::SourceDir() + "/tests/e2e/sim/drbd/testdata/tlshd/" +
                     name);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

TEST(F6Test, TlshdJudgesEachRoleOnItsOwnAsRecorded) {
  // With a wrong CA on node2 its own client is content: a person who reads only that line is
  // misled.
  const TestCa ca("labca");
  std::map<std::string, std::string> stranger = TestCa("otherca").Issue("node2", "node2");
  stranger["/etc/tlshd.d/ca.crt"] = ca.Issue("x", "x").at("/etc/tlshd.d/ca.crt");
  auto keyless = ca.Issue("node2", "node2");
  keyless.erase("/etc/tlshd.d/tls.key");
  const std::map<std::string, std::map<std::string, std::string>> cases = {
      {"q7b_wrongca", stranger},
      {"q7c_expired", ca.Issue("node2", "node2", -1)},
      {"q7d_badname", ca.Issue("node2", "stranger")},
      {"q7g_missingkey", keyless}};
  for (const auto& [name, files] : cases) {
    Cluster cluster;
    const ResourceSpec spec = TwoNodes();
    BringUp(cluster, spec);
    GiveFiles(cluster, "node1", ca.Issue("node1", "node1"));
    GiveFiles(cluster, "node2", files);
    SwitchToTls(cluster, spec);
    cluster.Advance(Millis(1000));
    for (const std::string node : {"node1", "node2"}) {
      const auto recorded = Verdicts(Recorded(name + "." + node));
      EXPECT_EQ(recorded.size(), 2U) << name;
      EXPECT_EQ(Verdicts(cluster.Run(node, {"tlshd-log"}, kTlsContainer).out), recorded)
          << name << " on " << node;
    }
  }
}

TEST(F6Test, ADaemonThatDoesNotRunHasNoLog) {
  // The guide's first look is at the log: it must not show a daemon that was never started.
  Cluster cluster;
  EXPECT_EQ(cluster.Run("node1", {"tlshd-log"}, kTlsContainer).out, "");
  cluster.SetTlshd("node1", true);
  EXPECT_THAT(cluster.Run("node1", {"tlshd-log"}, kTlsContainer).out, HasSubstr("Built from"));
  cluster.SetTlshd("node1", false);
  EXPECT_EQ(cluster.Run("node1", {"tlshd-log"}, kTlsContainer).out, "");
}

TEST(F7Test, OnlyTheClientChecksTheNameAndAServerTakesAnyone) {
  const TestCa ca("labca");
  const auto node1 = ca.Issue("node1", "node1");
  EXPECT_EQ(CheckServer(node1, ca.Issue("x", "node2"), "node2"), TlsFault::kNone);
  EXPECT_EQ(CheckServer(node1, ca.Issue("node2", "other"), "node2"), TlsFault::kWrongName)
      << "with a SAN the CN is ignored";
  EXPECT_EQ(CheckServer(node1, ca.Issue("node2", ""), "node2"), TlsFault::kNone)
      << "without any SAN the CN counts";
  EXPECT_EQ(CheckClient(node1, {}), TlsFault::kNone) << "no certificate is fine";
  EXPECT_EQ(CheckClient(node1, ca.Issue("stranger", "stranger")), TlsFault::kNone);
  EXPECT_EQ(CheckClient(node1, TestCa("otherca").Issue("node2", "node2")), TlsFault::kUntrusted);
}

// Each node judges dates by its own clock: for one that is behind a certificate is not valid yet,
// for one that is ahead it has expired; what is up stays up. The certificates began 400 days ago.
TEST(F7Test, DatesAreJudgedByTheNodesOwnClock) {
  const TestCa ca("labca");
  constexpr std::int64_t kDay = 86400;
  for (const std::int64_t ahead : {-401 * kDay, 366 * kDay, -kDay / 144}) {
    Cluster cluster;
    ResourceSpec spec = TwoNodes();
    BringUp(cluster, spec);
    for (const char* node : {"node1", "node2"}) {
      GiveFiles(cluster, node, ca.Issue(node, node));
    }
    SwitchToTls(cluster, spec);
    ASSERT_TRUE(cluster.WaitFor([&] { return Healthy(cluster, "r0", "node1"); }, Millis(9000)));
    cluster.world().GetNode("node1").clock_ahead_s = ahead;
    EXPECT_NEAR(std::stod(cluster.Run("node1", {"date", "+%s"}, kTlsContainer).out),
                static_cast<double>(std::time(nullptr) + ahead), 5);
    cluster.Advance(Millis(5000));
    EXPECT_TRUE(Healthy(cluster, "r0", "node1")) << "nothing looks at what is up";
    cluster.Run("node2", {"drbdadm", "disconnect", "r0"});
    cluster.Run("node2", {"drbdadm", "connect", "r0"});
    cluster.Advance(Millis(5000));
    EXPECT_EQ(State(cluster, "node1", "node2"),
              std::abs(ahead) < kDay ? ConnState::kConnected : ConnState::kStandAlone)
        << ahead;
  }
}

TEST(F8Test, CountersAndSocketsProveEncryption) {
  Cluster cluster;
  ResourceSpec spec;
  spec.tls = true;
  BringUp(cluster, spec);
  EXPECT_THAT(cluster.Run("node1", {"cat", "/proc/net/tls_stat"}).out,
              HasSubstr("TlsCurrTxSw                     \t4\n"));
  const std::string sockets = cluster.Run("node1", {"ss", "-tniH"}).out;
  EXPECT_EQ(std::count(sockets.begin(), sockets.end(), '\n'), 8);
  EXPECT_THAT(sockets, HasSubstr("tcp-ulp-tls version: 1.3 cipher: aes-gcm-256 rxconf: sw "
                                 "txconf: sw"));
  EXPECT_THAT(sockets, HasSubstr("10.77.0.1:7000  10.77.0.2:"));
  EXPECT_THAT(sockets, HasSubstr("  10.77.0.2:7000"));
  cluster.Run("node1", {"drbdadm", "disconnect", "r0"});
  const std::string counters = cluster.Run("node1", {"cat", "/proc/net/tls_stat"}).out;
  EXPECT_THAT(counters, HasSubstr("TlsCurrTxSw                     \t0\n"));
  EXPECT_THAT(counters, HasSubstr("TlsTxSw                         \t4\n"));
  EXPECT_EQ(cluster.Run("node1", {"ss", "-tniH"}).out, "");
}

TEST(F10Test, AModuleIsSeenOnlyWhereTheNodeHasIt) {
  // Looking at the machine that runs the test would find what that one has.
  Cluster cluster;
  const std::vector<std::string> look = {"ls", "-d", "/sys/module/tls", "/sys/module/handshake"};
  EXPECT_EQ(cluster.Run("node1", look).out, "/sys/module/tls\n");
  cluster.world().GetNode("node1").kernel_tls = false;
  const ExecResult missing = cluster.Run("node1", look);
  EXPECT_EQ(missing.out, "");
  EXPECT_EQ(missing.exit, 2);
  EXPECT_TRUE(cluster.Run("node1", {"ls", "/etc"}).passthrough);
}

TEST(F24Test, WithoutDiagModuleSsShowsNoUlpAtAll) {
  Cluster cluster;
  ResourceSpec spec;
  spec.tls = true;
  BringUp(cluster, spec);
  cluster.world().GetNode("node1").tcp_diag = false;
  const std::string sockets = cluster.Run("node1", {"ss", "-tnieH"}).out;
  EXPECT_THAT(sockets, HasSubstr("ESTAB 0      0      10.77.0.1:7000 10.77.0.2:"));
  EXPECT_THAT(sockets, Not(HasSubstr("tls")));
  EXPECT_THAT(sockets, Not(HasSubstr("cubic")));
}

TEST(F10Test, OldModuleStaysPlainSilently) {
  // Otherwise a node with an old module would count as migrated.
  Cluster cluster;
  ResourceSpec spec = TwoNodes();
  spec.tls = true;
  for (const std::string& node : spec.nodes) {
    cluster.world().GetNode(node).drbd_version = "9.2.5";
  }
  BringUp(cluster, spec);
  EXPECT_EQ(cluster.Summary("r0").encrypted, 0);
  EXPECT_THAT(cluster.Run("node1", {"drbdsetup", "status", "--json"}).out,
              Not(HasSubstr("\"tls\"")));
  EXPECT_EQ(cluster.Run("node1", {"head", "-1", "/proc/drbd"}).out,
            "version: 9.2.5 (api:2/proto:118-124)\n");
}

TEST(SeedTest, GuideReadsTheHandshakesFromTheDaemonsLog) {
  Cluster cluster;
  ResourceSpec spec = TwoNodes();
  spec.tls = true;
  BringUp(cluster, spec);
  EXPECT_EQ(cluster.Run("node1", {"tlshd-log"}, kTlsContainer).out,
            "tlshd[1]: Built from ktls-utils 0.10 on Oct  4 2023 07:26:06\n"
            "Handshake with node2 (10.77.0.2) was successful\n"
            "Handshake with node2 (10.77.0.2) was successful\n");
}

}  // namespace
}  // namespace breakwater::sim::testing
