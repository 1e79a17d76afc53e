// status --json of the states of the third lab, against what the real tools printed there.
#include <gmock/gmock.h>

#include <fstream>
#include <regex>
#include <sstream>

#include "operator/testing/source_dir.h"
#include "tests/e2e/sim/drbd/test_cluster.h"

namespace breakwater::sim::testing {
namespace {

// Counters, and the part of the addresses that names the lab.
std::string Blot(const std::string& text) {
  static const std::regex kCounter(
      R"re(("(size|read|written|al-writes|bm-writes|upper-pending|lower-pending|ap-in-flight|)re"
      R"re(rs-in-flight|received|sent|pending|unacked|rs-[a-z0-9-]+|ov-[a-z]+|want|db[^"]*|)re"
      R"re(estimated[^"]*|percent[^"]*)": )[-0-9.]+)re");
  static const std::regex kAddress(R"re(10\.77\.0\.1?([0-9]"))re");
  return std::regex_replace(std::regex_replace(text, kCounter, "$1#"), kAddress, "10.77.0.$1");
}

// r3 of the lab: two replicas, no quorum.
class LabOutputTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ResourceSpec spec;
    spec.name = "r3";
    spec.nodes = {"node1", "node2"};
    spec.quorum = "off";
    spec.minor = 1002;
    spec.port = 7020;
    cluster_.world().config.volume_kib = 51160;
    BringUp(cluster_, spec);
    ASSERT_EQ(Tool({"primary", "r3"}).exit, 0);
  }

  void Write() {
    ASSERT_FALSE(cluster_.StartWriter("r3", "node1", Millis(50)));
    cluster_.Advance(Millis(3000));
  }

  ExecResult Tool(std::vector<std::string> words, const std::string& node = "node1") {
    words.insert(words.begin(), "drbdsetup");
    return cluster_.Run(node, words);
  }

  void Expect(const std::string& sample, const std::string& node = "node1") {
    std::ifstream file(breakwater::testing::SourceDir() +
                       "/tests/e2e/sim/drbd/testdata/agent-lab/status." + sample + "." + node +
                       ".json");
    std::ostringstream text;
    text << file.rdbuf();
    static const std::regex kOutOfSync(R"re("out-of-sync": [1-9][0-9]*)re");
    const auto blot = [](const std::string& raw) {
      return std::regex_replace(Blot(raw), kOutOfSync, "\"out-of-sync\": some");
    };
    EXPECT_EQ(blot(Tool({"status", "r3", "--json"}, node).out), blot(text.str())) << sample;
  }

  Cluster cluster_;
};

TEST_F(LabOutputTest, SuspendedCutReconnectedResumed) {
  Write();
  Tool({"suspend-io", "1002"});
  Expect("suspended-user");
  Tool({"disconnect", "r3", "1"});
  Expect("suspended-user-graceful-cut");
  Tool({"connect", "r3", "1"});
  cluster_.Advance(Millis(2000));
  Expect("suspended-user-reconnected");
  Tool({"resume-io", "1002"});
  Expect("resumed");
}

TEST_F(LabOutputTest, TwoPrimaries) {
  Write();
  Tool({"net-options", "r3", "1", "--allow-two-primaries=yes"});
  Tool({"net-options", "r3", "0", "--allow-two-primaries=yes"}, "node2");
  ASSERT_EQ(Tool({"primary", "r3"}, "node2").exit, 0);
  Expect("two-primaries", "node1");
  Expect("two-primaries", "node2");
}

TEST_F(LabOutputTest, VerifyAndWhatItFinds) {
  Write();
  cluster_.StopWriter("r3", "node1");
  ASSERT_EQ(cluster_.CorruptBlocks("r3", "node2", 0, 40), 40U);
  ASSERT_EQ(Tool({"verify", "r3", "1", "0"}).exit, 0);
  cluster_.Advance(Millis(200));
  Expect("verify-running");
  cluster_.Advance(Millis(20000));
  Expect("verify-after-oos-found", "node1");
  Expect("verify-after-oos-found", "node2");
}

}  // namespace
}  // namespace breakwater::sim::testing
