// The simulator's output against raw output of real tools: layout, order of keys, words. Only
// numbers that differ from run to run are blotted out on both sides.
#include <gmock/gmock.h>

#include <cctype>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <sstream>

#include "operator/testing/source_dir.h"
#include "tests/e2e/sim/drbd/test_cluster.h"

namespace breakwater::sim::testing {
namespace {

std::string Sample(const std::string& name) {
  std::ifstream file(breakwater::testing::SourceDir() + "/tests/e2e/sim/drbd/testdata/" + name);
  EXPECT_TRUE(file.is_open()) << name;
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

std::string BlotJson(const std::string& text) {
  static const std::regex kCounter(
      R"re(("(read|written|al-writes|bm-writes|upper-pending|lower-pending|ap-in-flight|)re"
      R"re(rs-in-flight|received|sent|out-of-sync|pending|unacked|rs-[a-z0-9-]+|want|db[^"]*|)re"
      R"re(estimated[^"]*|percent[^"]*)": )[0-9.]+)re");
  return std::regex_replace(text, kCounter, "$1#");
}

std::string BlotText(const std::string& text) {
  static const std::regex kCounter(
      "(read|written|al-writes|bm-writes|upper-pending|lower-pending|ap-in-flight|rs-in-flight|"
      "received|sent|out-of-sync|pending|unacked|done|dbdt1|eta):[0-9.]+");
  // Where a line wraps depends on the length of the numbers.
  static const std::regex kSpace("[ \n]+");
  return std::regex_replace(std::regex_replace(text, kCounter, "$1:#"), kSpace, " ");
}

class OutputTest : public ::testing::Test {
 protected:
  void Start(bool tls) {
    spec_.tls = tls;
    BringUp(cluster_, spec_);
    ASSERT_FALSE(cluster_.StartWriter("r0", "node1", Millis(20)));
    cluster_.Advance(Millis(500));
  }

  std::string Out(const std::vector<std::string>& argv) { return cluster_.Run("node1", argv).out; }

  void ExpectStatus(const std::string& sample) {
    EXPECT_EQ(BlotJson(Out({"drbdsetup", "status", "--json", "r0"})),
              BlotJson(Sample(sample + "/status.json")));
    EXPECT_EQ(BlotText(Out({"drbdsetup", "status", "r0"})),
              BlotText(Sample(sample + "/status.txt")));
    EXPECT_EQ(BlotText(Out({"drbdsetup", "status", "--verbose", "--statistics", "r0"})),
              BlotText(Sample(sample + "/status-verbose.txt")));
  }

  Cluster cluster_;
  ResourceSpec spec_;
};

TEST_F(OutputTest, ConnectedWithTls) {
  Start(true);
  ExpectStatus("connected-tls-3diskful.node1");
  EXPECT_EQ(Out({"drbdsetup", "show", "--json", "--show-defaults", "r0"}),
            Sample("connected-tls-3diskful.node1/show.json"));
  EXPECT_EQ(Out({"drbdsetup", "show", "r0"}), Sample("connected-tls-3diskful.node1/show.txt"));
}

TEST_F(OutputTest, SuspendedAndStandAlone) {
  Start(false);
  cluster_.Run("node1", {"drbdadm", "suspend-io", "r0"});
  cluster_.Run("node1", {"drbdadm", "disconnect", "--force", "r0"});
  cluster_.Advance(Millis(500));
  ExpectStatus("suspended-user-standalone.node1");
  EXPECT_EQ(Out({"drbdsetup", "show", "--json", "--show-defaults", "r0"}),
            Sample("suspended-user-standalone.node1/show.json"));
}

TEST_F(OutputTest, SyncSourceToBothPeers) {
  cluster_.world().config.resync_base = Millis(5000);
  cluster_.world().config.resync_kib_per_second = 1024;
  Start(false);
  spec_.pair_tls = {{{"node1", "node2"}, true}};
  cluster_.Run("node1", {"drbdadm", "disconnect", "r0"});
  cluster_.Advance(Millis(1000));
  PutRes(cluster_, spec_);
  Parallel(cluster_, spec_.nodes, {"drbdadm", "adjust", "r0"});
  cluster_.Advance(Millis(1500));
  ExpectStatus("synctarget.node1");
}

TEST_F(OutputTest, SmallFilesAndVersions) {
  Start(true);
  const std::string proc = Sample("connected-tls-3diskful.node1/proc.txt");
  const auto blot = [](const std::string& text) {
    static const std::regex kTotals("(Tls[TR]xSw +\t)[0-9]+");
    return std::regex_replace(text, kTotals, "$1#");
  };
  EXPECT_EQ(blot(Out({"cat", "/proc/net/tls_stat"}) + Out({"cat", "/proc/drbd"})),
            blot(proc.substr(proc.find("Tls"))));
  EXPECT_EQ(Out({"drbdadm", "--version"}), Sample("drbdadm_version.txt"));
  EXPECT_EQ(Out({"cat", "/sys/module/drbd/version"}), "9.3.3\n");
}

TEST_F(OutputTest, ShowWithoutDefaultsHasTlsOnlyWhenSet) {
  Start(false);
  EXPECT_THAT(Out({"drbdsetup", "show", "--json", "r0"}),
              ::testing::Not(::testing::HasSubstr("\"tls\"")));
}

TEST_F(OutputTest, Events2) {
  Start(true);
  const auto sorted = [](const std::string& text) {
    std::multiset<std::string> lines;
    static const std::regex kLine("exists .*?(?= exists |$)");
    const std::string joined = BlotText(text);
    for (std::sregex_iterator it(joined.begin(), joined.end(), kLine), end; it != end; ++it) {
      lines.insert(it->str());
    }
    return lines;
  };
  EXPECT_EQ(sorted(Out({"drbdsetup", "events2", "--now", "--statistics", "r0"})),
            sorted(Sample("connected-tls-3diskful.node1/events2-now-statistics.txt")));
}

// The words of a listing of sockets by state, values and ports aside: "rto:212" is "rto".
std::map<std::string, std::set<std::string>> SocketWords(const std::string& text) {
  std::map<std::string, std::set<std::string>> words;
  std::string state;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream in(line);
    for (std::string word; in >> word;) {
      if (line[0] != '\t' && line.starts_with(word)) {
        state = word;
      } else if (std::isdigit(static_cast<unsigned char>(word[0])) == 0) {
        words[state].insert(word.substr(0, word.find(':')));
      }
    }
  }
  return words;
}

TEST_F(OutputTest, Sockets) {
  // The proof of encryption is read from these words (F8, F24).
  Start(true);
  cluster_.CrashNode("node3");
  cluster_.Advance(Millis(2000));
  for (const bool diag : {true, false}) {
    cluster_.world().GetNode("node1").tcp_diag = diag;
    const auto ours = SocketWords(Out({"ss", "-tnieH"}));
    const auto recorded = SocketWords(Sample(diag ? "ss/tnieH.diag" : "ss/tnieH.procfs"));
    ASSERT_TRUE(ours.contains("ESTAB") && recorded.contains("ESTAB"));
    for (const auto& [state, words] : ours) {
      if (!diag && state != "ESTAB") {
        continue;  // not recorded
      }
      ASSERT_TRUE(recorded.contains(state)) << state;
      for (const std::string& word : words) {
        EXPECT_TRUE(recorded.at(state).contains(word)) << state << " " << word;
      }
      for (const char* word : {"tcp-ulp-tls", "cipher", "rxconf", "txconf", "cubic", "rto"}) {
        EXPECT_EQ(words.contains(word), recorded.at(state).contains(word)) << state << " " << word;
      }
    }
  }
}

}  // namespace
}  // namespace breakwater::sim::testing
