// drbdsetup by argv, with the exit codes and words of F32, and what a broken file of another
// resource does (F33). An agent that reads a refusal as success would cut or resume blindly.
#include <gmock/gmock.h>

#include "tests/e2e/sim/drbd/test_cluster.h"

namespace breakwater::sim::testing {
namespace {

using ::testing::HasSubstr;

// Three nodes, node3 a diskless tiebreaker, node1 Primary: r2 of the lab.
class DrbdsetupTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ResourceSpec spec;
    spec.name = "r2";
    spec.minor = 1001;
    spec.diskless = {"node3"};
    BringUp(cluster_, spec);
    ASSERT_EQ(cluster_.Run("node1", {"drbdadm", "primary", "r2"}).exit, 0);
  }

  ExecResult Tool(std::vector<std::string> words) {
    words.insert(words.begin(), "drbdsetup");
    return cluster_.Run("node1", words);
  }

  void Expect(const std::vector<std::string>& words, int exit, const std::string& text = "") {
    const ExecResult result = Tool(words);
    EXPECT_EQ(result.exit, exit) << ::testing::PrintToString(words) << result.err;
    EXPECT_EQ(result.err, text) << ::testing::PrintToString(words);
  }

  Cluster cluster_;
};

TEST_F(DrbdsetupTest, F32SuspendAndResumeTakeMinorsAndMayBeRepeated) {
  Expect({"suspend-io", "1001"}, 0);
  Expect({"suspend-io", "1001"}, 0);
  EXPECT_TRUE(cluster_.Summary("r2").suspended_user);
  Expect({"suspend-io", "r2"}, 20, "Cannot determine minor device number of device 'r2'\n");
  Expect({"resume-io", "1001"}, 0);
  Expect({"resume-io", "1001"}, 0);
  EXPECT_FALSE(cluster_.Summary("r2").suspended_user);
  Expect({"suspend-io", "1001", "--bdev-freeze=no"}, 0);
  EXPECT_TRUE(cluster_.Summary("r2").suspended_user);
  Expect({"resume-io", "1999"}, 10,
         "1999: Failure: (127) Device minor not allocated\nadditional info from "
         "kernel:\nunknown minor\n");
}

TEST_F(DrbdsetupTest, F32NetOptions) {
  Expect({"net-options", "r2", "1", "--tls=no"}, 0);
  Expect({"net-options", "r2", "1", "--tls=yes"}, 10,
         "r2: Failure: (162) Invalid configuration request\nadditional info from "
         "kernel:\ntransport net_conf_change failed: -22\n");
  Expect({"net-options", "r2", "7", "--tls=yes"}, 10,
         "r2: Failure: (162) Invalid configuration request\nadditional info from "
         "kernel:\nunknown connection\n");
  Expect({"net-options", "r9", "1", "--tls=yes"}, 10,
         "r9: Failure: (158) Unknown resource\nadditional info from kernel:\nunknown resource\n");
  Expect({"net-options", "r2", "node2", "--tls=no"}, 0);
  Expect({"disconnect", "r2", "node2"}, 0);
  Expect({"net-options", "r2", "node2", "--tls=yes"}, 0);
  EXPECT_EQ(Conn(cluster_, "r2", "node1", "node2").net.at("tls"), "yes");
}

TEST_F(DrbdsetupTest, F32ConnectAndDisconnect) {
  const std::string configured =
      "r2: Failure: (125) Device has a net-config (use disconnect first)\n";
  Expect({"connect", "r2", "1"}, 10, configured);
  Expect({"disconnect", "r2", "1"}, 0);
  EXPECT_EQ(Conn(cluster_, "r2", "node1", "node2").state, ConnState::kStandAlone)
      << "the command waits for it";
  Expect({"disconnect", "r2", "1"}, 0);
  Expect({"disconnect", "r2", "7"}, 10,
         "r2: Failure: (162) Invalid configuration request\nadditional info from "
         "kernel:\nunknown connection\n");
  Expect({"connect", "r2", "1"}, 0);
  Expect({"connect", "r2", "node2"}, 10, configured);
  Expect({"disconnect", "r2", "1", "--force"}, 0);
  Expect({"disconnect", "r2", "1", "--force"}, 0);
}

TEST_F(DrbdsetupTest, F32InvalidateRemote) {
  Expect({"invalidate-remote", "r2", "2", "0", "--reset-bitmap=no"}, 0);
  Expect({"invalidate-remote", "r2", "7", "0", "--reset-bitmap=no"}, 10,
         "r2: Failure: (162) Invalid configuration request\nadditional info from "
         "kernel:\nunknown connection\n");
  const ExecResult incomplete = Tool({"invalidate-remote", "r2", "1", "--reset-bitmap=no"});
  EXPECT_EQ(incomplete.exit, 20);
  EXPECT_THAT(incomplete.err, HasSubstr("Missing argument 4 to command\n"));
  Expect({"disconnect", "r2", "1"}, 0);
  Expect({"invalidate-remote", "r2", "1", "0", "--reset-bitmap=no"}, 10,
         "r2: Failure: (175) A higher DRBD protocol level is required for this "
         "operation\n\nadditional info from kernel:\nNeed protocol level 120 to initiate bitmap "
         "based resync\n");
}

TEST_F(DrbdsetupTest, F4AGracefulCutIsDeclinedWhileAnotherPeerResyncs) {
  // The other exit code that a careful caller retries: 11.
  cluster_.world().config.resync_base = Millis(5000);
  ResourceSpec spec;
  spec.name = "r1";
  spec.minor = 1000;
  spec.port = 7100;
  BringUp(cluster_, spec);
  ASSERT_FALSE(cluster_.StartWriter("r1", "node1", Millis(20)));
  cluster_.Advance(Millis(500));
  Expect({"disconnect", "r1", "2"}, 0);
  cluster_.Advance(Millis(500));
  Expect({"connect", "r1", "2"}, 0);
  cluster_.Advance(Millis(1000));
  EXPECT_EQ(Tool({"disconnect", "r1", "1"}).exit, 11);
}

TEST_F(DrbdsetupTest, F26ACutThatWouldTakeQuorumAwayIsRefused) {
  cluster_.CrashNode("node2");
  cluster_.Advance(Millis(3000));
  Expect({"disconnect", "r2", "node3"}, 17, "r2: State change failed: (-31) No quorum\n");
  EXPECT_EQ(Conn(cluster_, "r2", "node1", "node3").state, ConnState::kConnected);
}

}  // namespace
}  // namespace breakwater::sim::testing
