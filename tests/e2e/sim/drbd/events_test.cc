// drbdsetup events2 (F34) and the in-process subscription that stands for it.
#include <gmock/gmock.h>

#include <fstream>
#include <sstream>

#include "operator/testing/source_dir.h"
#include "tests/e2e/sim/drbd/test_cluster.h"

namespace breakwater::sim::testing {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;

// What lines say about the states of one resource: "connection:Connected", "replication:Off
// peer-disk:Outdated", "helper:disconnected", in order, without repetitions.
std::vector<std::string> States(const std::string& text, const std::string& resource) {
  std::vector<std::string> states;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (line.find("name:" + resource + " ") == std::string::npos ||
        line.find("exists ") != std::string::npos) {
      continue;
    }
    std::string state;
    std::istringstream words(line);
    for (std::string word; words >> word;) {
      for (const char* key : {"connection:", "replication:", "peer-disk:", "helper:", "disk:"}) {
        if (word.starts_with(key)) {
          state += (state.empty() ? "" : " ") + word;
        }
      }
    }
    if (!state.empty() && (states.empty() || states.back() != state)) {
      states.push_back(state);
    }
  }
  return states;
}

class EventsTest : public ::testing::Test {
 protected:
  void Begin(const ResourceSpec& spec) {
    BringUp(cluster_, spec);
    ASSERT_FALSE(cluster_.StartWriter(spec.name, "node1", Millis(50)));
    cluster_.Advance(Millis(500));
  }

  static ResourceSpec Second() {
    ResourceSpec spec;
    spec.name = "r9";
    spec.minor = 1009;
    spec.port = 7900;
    return spec;
  }

  void Follow(const std::string& node, std::vector<std::string> argv, std::string& out) {
    argv.insert(argv.begin(), {"drbdsetup", "events2", "--full", "--statistics"});
    cluster_.Start(node, kSatelliteContainer, argv, [](const ExecResult&) {},
                   {.stream = [&out](const std::string& text) { out += text; }});
    cluster_.Advance(Millis(100));
  }

  // Disconnects and connects, with writes in the gap.
  void Switch(const std::string& resource) {
    cluster_.Run("node1", {"drbdsetup", "disconnect", resource, "1"});
    cluster_.Advance(Millis(200));
    cluster_.Run("node1", {"drbdsetup", "connect", resource, "1"});
    cluster_.Advance(Millis(4000));
  }

  Cluster cluster_;
};

TEST_F(EventsTest, F34ASwitchShowsTheStatesOfTheLab) {
  ResourceSpec spec;
  spec.name = "r3";
  spec.nodes = {"node1", "node2"};
  spec.quorum = "off";
  Begin(spec);
  std::map<std::string, std::string> streams;
  for (const std::string node : {"node1", "node2"}) {
    Follow(node, {"--timestamps"}, streams[node]);
  }
  Switch("r3");
  for (const std::string node : {"node1", "node2"}) {
    std::ifstream file(breakwater::testing::SourceDir() +
                       "/tests/e2e/sim/drbd/testdata/agent-lab/"
                       "events2-full-statistics-timestamps.switch." +
                       node + ".txt");
    std::ostringstream sample;
    sample << file.rdbuf();
    const auto seen = States(streams[node], "r3");
    const auto recorded = States(sample.str(), "r3");
    std::size_t at = 0;  // the recorded ones may have more states between, never in another order
    for (const std::string& state : seen) {
      while (at < recorded.size() && recorded[at] != state) {
        ++at;
      }
      EXPECT_LT(at, recorded.size()) << node << ": not there, or not then: " << state;
    }
    EXPECT_GT(seen.size() + 4, recorded.size()) << node << ::testing::PrintToString(seen);
    EXPECT_THAT(streams[node], HasSubstr("+00:00 change connection name:r3 "));
    EXPECT_THAT(streams[node], Not(HasSubstr("tls"))) << "F34: events2 does not know it";
  }
}

TEST_F(EventsTest, F34TheFilteredFormGoesDeafAtTheFirstForeignEvent) {
  Begin({});
  Begin(Second());
  std::string all;
  std::string filtered;
  Follow("node1", {}, all);
  Follow("node1", {"r0"}, filtered);
  EXPECT_THAT(all, HasSubstr("exists -\n"));
  EXPECT_THAT(filtered, Not(HasSubstr("name:r9")));
  cluster_.Run("node1", {"drbdsetup", "suspend-io", "1000"});
  cluster_.Advance(Millis(10));
  EXPECT_THAT(filtered, HasSubstr("change resource name:r0 role:Primary suspended:user"));
  cluster_.Run("node1", {"drbdsetup", "suspend-io", "1009"});
  cluster_.Run("node1", {"drbdsetup", "resume-io", "1000"});
  cluster_.Advance(Millis(10));
  const std::size_t end = filtered.rfind("suspended:");
  EXPECT_EQ(filtered.substr(end, 14), "suspended:user") << "it did not hear of the resume";
  EXPECT_THAT(all, HasSubstr("change resource name:r9 role:Primary suspended:user"));
}

TEST_F(EventsTest, ResourcesComeAndGo) {
  std::string all;
  Follow("node1", {}, all);
  EXPECT_EQ(all, "exists -\n");
  Begin({});
  EXPECT_THAT(all, HasSubstr("create resource name:r0 role:Secondary"));
  EXPECT_THAT(all, HasSubstr("create connection name:r0 peer-node-id:2 conn-name:node3"));
  cluster_.StopWriter("r0", "node1");
  cluster_.Run("node1", {"drbdadm", "down", "r0"});
  cluster_.Advance(Millis(10));
  EXPECT_TRUE(all.ends_with("destroy resource name:r0\n")) << all;
}

TEST_F(EventsTest, AListenerHearsOfItsNodeOnlyAndOfNoWrites) {
  std::map<std::string, int> calls;
  const auto id = cluster_.OnEvent("node2", [&](const std::string& r) { ++calls[r]; });
  Begin({});
  Begin(Second());
  calls.clear();
  cluster_.Advance(Millis(5000));
  EXPECT_TRUE(calls.empty()) << "writes are no events";
  cluster_.Run("node1", {"drbdsetup", "disconnect", "r0", "1"});
  cluster_.Advance(Millis(200));
  EXPECT_GE(calls["r0"], 3) << "TearDown, Unconnected, Connecting";
  EXPECT_EQ(calls.count("r9"), 0U);
  cluster_.RemoveOnEvent(id);
  const int before = calls["r0"];
  cluster_.Run("node1", {"drbdsetup", "connect", "r0", "1"});
  cluster_.Advance(Millis(3000));
  EXPECT_EQ(calls["r0"], before);
}

TEST_F(EventsTest, F25SomeLinesAreLost) {
  cluster_.world().config.event_lost = 1.0;
  Begin({});
  std::string all;
  Follow("node1", {}, all);
  cluster_.Run("node1", {"drbdsetup", "suspend-io", "1000"});
  cluster_.Advance(Millis(100));
  EXPECT_TRUE(all.ends_with("exists -\n"));
}

TEST_F(EventsTest, AVerifyTellsItsProgressAndItsResult) {
  ResourceSpec spec;
  spec.nodes = {"node1", "node2"};
  Begin(spec);
  ASSERT_EQ(cluster_.CorruptBlocks("r0", "node2", 0, 2), 2U);
  cluster_.StopWriter("r0", "node1");
  std::string all;
  Follow("node1", {}, all);
  cluster_.Run("node1", {"drbdsetup", "verify", "r0", "1", "0"});
  cluster_.Advance(Millis(60000));
  EXPECT_THAT(all, HasSubstr("replication:VerifyS peer-disk:UpToDate peer-client:no "
                             "resync-suspended:no done:0.00 "));
  EXPECT_THAT(all, HasSubstr("replication:Established peer-disk:UpToDate peer-client:no "
                             "resync-suspended:no received:0"));
  EXPECT_THAT(all, HasSubstr(" out-of-sync:8 "));
}

}  // namespace
}  // namespace breakwater::sim::testing
