#include "tests/e2e/sim/drbd/protocol.h"

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

namespace breakwater::sim {
namespace {

using nlohmann::json;

class ProtocolTest : public ::testing::Test {
 protected:
  json Ask(const json& request) {
    std::string answer;
    protocol_.Handle(request.dump(), [&](const std::string& line) { answer = line; });
    cluster_.WaitFor([&] { return !answer.empty(); }, Millis(60000));
    return json::parse(answer);
  }

  Cluster cluster_;
  Protocol protocol_{cluster_};
};

constexpr char kRes[] =
    "resource r0 { options { quorum off; } on n1 { node-id 0; volume 0 { disk /dev/vdb; device "
    "minor 1000; meta-disk internal; } } on n2 { node-id 1; volume 0 { disk /dev/vdb; device minor "
    "1000; meta-disk internal; } } connection { host n1 address ipv4 10.0.0.1:7000; host n2 "
    "address ipv4 10.0.0.2:7000; } }";

TEST_F(ProtocolTest, RunsAVolumeFromFileToReport) {
  for (const char* node : {"n1", "n2"}) {
    EXPECT_EQ(Ask({{"op", "put-file"},
                   {"node", node},
                   {"path", "/var/lib/linstor.d/r0.res"},
                   {"content", kRes}}),
              json({{"ok", true}}));
    EXPECT_EQ(Ask({{"op", "run"}, {"node", node}, {"argv", {"drbdadm", "adjust", "r0"}}})["exit"],
              0);
  }
  cluster_.Advance(Millis(2000));
  EXPECT_EQ(Ask({{"op", "writer"}, {"resource", "r0"}, {"node", "n1"}, {"interval_ms", 10}})["ok"],
            true);
  cluster_.Advance(Millis(1000));
  const json report = Ask({{"op", "report"}, {"reset", true}})["resources"][0];
  EXPECT_EQ(report["name"], "r0");
  EXPECT_EQ(report["primary"], "n1");
  EXPECT_GT(report["writes"].get<int>(), 90);
  EXPECT_EQ(report["divergedBlocks"], 0);
  EXPECT_EQ(report["connectedConnections"], 1);
  EXPECT_LT(Ask({{"op", "report"}, {"resource", "r0"}})["resources"][0]["writes"].get<int>(), 10);
  EXPECT_EQ(Ask({{"op", "trace"}})["commands"].size(), 2U);
  EXPECT_EQ(Ask({{"op", "check"}})["violations"], json::array());
  EXPECT_EQ(Ask({{"op", "dump"}})["nodes"]["n1"]["resources"]["r0"]["role"], "Primary");
  EXPECT_EQ(
      Ask({{"op", "get-file"}, {"node", "n1"}, {"path", "/var/lib/linstor.d/r0.res"}})["content"],
      kRes);
}

TEST_F(ProtocolTest, ARestoredDiskHoldsWhatTheSnapshotSaw) {
  const auto up = [this](const std::string& resource) {
    std::string text = kRes;
    text.replace(text.find("r0"), 2, resource);
    for (const char* node : {"n1", "n2"}) {
      Ask({{"op", "put-file"},
           {"node", node},
           {"path", "/var/lib/linstor.d/" + resource + ".res"},
           {"content", text}});
      Ask({{"op", "run"}, {"node", node}, {"argv", {"drbdadm", "adjust", resource}}});
    }
    cluster_.Advance(Millis(3000));
  };
  const auto held = [this](const std::string& node, const std::string& resource) {
    return Ask({{"op", "dump"}})["nodes"][node]["resources"][resource]["devices"]["0"];
  };
  const auto write = [this] {
    Ask({{"op", "writer"}, {"resource", "r0"}, {"node", "n1"}, {"interval_ms", 10}});
    cluster_.Advance(Millis(500));
    Ask({{"op", "writer"}, {"resource", "r0"}, {"node", "n1"}, {"action", "stop"}});
    cluster_.Advance(Millis(100));
  };
  up("r0");
  write();
  const json snapshot{{"node", "n1"}, {"resource", "r0"}, {"name", "s1"}};
  json restore = snapshot;
  restore.update({{"op", "restore"}, {"to_resource", "r1"}});
  EXPECT_TRUE(Ask(restore).contains("error")) << "not taken yet";
  json take = snapshot;
  take["op"] = "snapshot";
  Ask(take);
  const json seen = held("n1", "r0")["digest"];
  write();
  EXPECT_NE(held("n1", "r0")["digest"], seen);
  EXPECT_TRUE(Ask(restore).contains("ok"));
  up("r1");
  cluster_.Advance(Millis(60000));
  EXPECT_EQ(held("n1", "r1")["digest"], seen);
  EXPECT_EQ(held("n2", "r1")["digest"], seen) << "its new disk is empty: resynced";
  EXPECT_EQ(held("n2", "r1")["disk"], "UpToDate");
  EXPECT_EQ(Ask({{"op", "report"}, {"resource", "r1"}})["resources"][0]["lostWrites"], 0);
  json drop = snapshot;
  drop["op"] = "drop-snapshot";
  Ask(drop);
  EXPECT_TRUE(Ask(restore).contains("error"));
}

TEST_F(ProtocolTest, AVolumeMadeAgainAfterItsDisksAreGoneIsNew) {
  for (int life = 0; life < 2; ++life) {
    for (const char* node : {"n1", "n2"}) {
      Ask({{"op", "put-file"},
           {"node", node},
           {"path", "/var/lib/linstor.d/r0.res"},
           {"content", kRes}});
      Ask({{"op", "run"}, {"node", node}, {"argv", {"drbdadm", "adjust", "r0"}}});
    }
    cluster_.Advance(Millis(3000));
    const json device = Ask({{"op", "dump"}})["nodes"]["n2"]["resources"]["r0"]["devices"]["0"];
    EXPECT_EQ(device["writtenBlocks"], 0);
    EXPECT_EQ(device["disk"], "UpToDate");
    Ask({{"op", "writer"}, {"resource", "r0"}, {"node", "n1"}, {"interval_ms", 10}});
    cluster_.Advance(Millis(300));
    Ask({{"op", "writer"}, {"resource", "r0"}, {"node", "n1"}, {"action", "stop"}});
    cluster_.Advance(Millis(100));
    for (const char* node : {"n1", "n2"}) {
      Ask({{"op", "run"}, {"node", node}, {"argv", {"drbdadm", "down", "r0"}}});
      Ask({{"op", "remove-disks"}, {"node", node}, {"resource", "r0"}});
    }
  }
}

TEST_F(ProtocolTest, ListsSatellitesAndKeepsNodeSettings) {
  Ask({{"op", "satellite"}, {"node", "n1"}, {"running", true}, {"address", "127.10.0.5"}});
  Ask({{"op", "node"}, {"node", "n1"}, {"drbd_version", "9.2.5"}});
  const json list = Ask({{"op", "satellites"}})["satellites"];
  ASSERT_EQ(list.size(), 1U);
  EXPECT_EQ(list[0]["address"], "127.10.0.5");
  EXPECT_EQ(list[0]["running"], true);
  for (const bool running : {true, false, true}) {
    Ask({{"op", "satellite"}, {"node", "n1"}, {"running", running}});
  }
  EXPECT_EQ(Ask({{"op", "satellites"}})["satellites"][0]["epoch"], 2) << "one restart";
  EXPECT_EQ(
      Ask({{"op", "run"}, {"node", "n1"}, {"argv", {"cat", "/sys/module/drbd/version"}}})["stdout"],
      "9.2.5\n");
}

TEST_F(ProtocolTest, TellsWhenACommandBegins) {
  // Tests that kill something at a certain step must not come too late, nor see another volume's.
  std::vector<json> answers;
  for (const char* pattern : {"events2 ", "stat ", "status r "}) {
    protocol_.Handle(json{{"op", "await"}, {"node", "n1"}, {"pattern", pattern}}.dump(),
                     [&](const std::string& line) { answers.push_back(json::parse(line)); });
  }
  for (const char* node : {"n2", "n1", "n1"}) {
    Ask({{"op", "run"}, {"node", node}, {"argv", {"drbdsetup", "status", "r"}}});
  }
  ASSERT_EQ(answers.size(), 1U) << "of this node, once, and whole words only";
  EXPECT_EQ(answers[0]["command"]["argv"], json({"drbdsetup", "status", "r"}));
  EXPECT_EQ(answers[0]["command"]["exit"], -1) << "it has not ended yet";
}

TEST_F(ProtocolTest, ErrorsAreAnswers) {
  EXPECT_TRUE(Ask({{"op", "nosuch"}}).contains("error"));
  EXPECT_TRUE(Ask({{"op", "put-file"}}).contains("error"));
  EXPECT_TRUE(Ask({{"op", "config"}, {"nosuch", 1}}).contains("error"));
  EXPECT_TRUE(Ask({{"op", "inject"}, {"kind", "nosuch"}}).contains("error"));
  std::string answer;
  protocol_.Handle("{not json", [&](const std::string& line) { answer = line; });
  EXPECT_TRUE(json::parse(answer).contains("error"));
}

TEST_F(ProtocolTest, ConfigAndFaults) {
  EXPECT_EQ(Ask({{"op", "config"}, {"handshake_tls_ms", 700}, {"seed", 5}})["handshake_tls_ms"],
            700);
  Ask({{"op", "inject"},
       {"kind", "command-fail"},
       {"node", "n1"},
       {"pattern", "drbdsetup status"},
       {"exit", 20},
       {"stderr", "x\n"},
       {"times", 1}});
  EXPECT_EQ(Ask({{"op", "run"}, {"node", "n1"}, {"argv", {"drbdsetup", "status"}}})["exit"], 20);
  EXPECT_EQ(Ask({{"op", "run"}, {"node", "n1"}, {"argv", {"drbdsetup", "status"}}})["exit"], 0);
}

TEST_F(ProtocolTest, ACommandOutlivesItsClientUnlessToldOtherwise) {
  // A container runtime ends the stream, not the process: what was sent arrives, late (REVIEW-1).
  for (const bool killed : {false, true}) {
    Ask({{"op", "config"}, {"kill_with_client", killed}});
    bool gone = false;
    protocol_.Handle(R"({"op":"run","node":"n1","argv":["drbdadm","--version"]})",
                     [](const std::string&) {}, [&] { return gone; });
    gone = true;
    cluster_.Advance(Millis(1000));
    EXPECT_EQ(Ask({{"op", "trace"}, {"reset", true}})["commands"][0]["exit"], killed ? 137 : 0);
  }
}

TEST_F(ProtocolTest, F34EventsAreStreamedUntilTheClientGoes) {
  for (const char* node : {"n1", "n2"}) {
    Ask({{"op", "put-file"},
         {"node", node},
         {"path", "/var/lib/linstor.d/r0.res"},
         {"content", kRes}});
    Ask({{"op", "run"}, {"node", node}, {"argv", {"drbdadm", "adjust", "r0"}}});
  }
  cluster_.Advance(Millis(2000));
  bool gone = false;
  std::vector<json> lines;
  protocol_.Handle(R"({"op":"run","id":7,"node":"n1","argv":["drbdsetup","events2","--full",)"
                   R"("--statistics"]})",
                   [&](const std::string& line) { lines.push_back(json::parse(line)); },
                   [&] { return gone; });
  cluster_.Advance(Millis(500));
  ASSERT_EQ(lines.size(), 1U);
  EXPECT_EQ(lines[0]["id"], 7);
  EXPECT_TRUE(lines[0]["stream"].get<std::string>().ends_with("exists -\n"));
  Ask({{"op", "run"}, {"node", "n1"}, {"argv", {"drbdsetup", "disconnect", "r0", "1"}}});
  EXPECT_GT(lines.size(), 1U);
  EXPECT_THAT(lines[1]["stream"].get<std::string>(),
              ::testing::HasSubstr("\nchange connection name:r0 peer-node-id:1 conn-name:n2 "
                                   "connection:Disconnecting "));
  gone = true;
  cluster_.Advance(Millis(1000));
  EXPECT_EQ(lines.back()["exit"], 137);
  const std::size_t before = lines.size();
  Ask({{"op", "run"}, {"node", "n1"}, {"argv", {"drbdsetup", "connect", "r0", "1"}}});
  EXPECT_EQ(lines.size(), before);
}

TEST_F(ProtocolTest, TlshdFilesAreReadInItsOwnContainer) {
  Ask({{"op", "tlshd"},
       {"node", "n1"},
       {"running", true},
       {"files", {{"tls.key", "secret\n"}}},
       {"modes", {{"tls.key", "640"}}}});
  const json own = Ask({{"op", "run"},
                        {"node", "n1"},
                        {"container", "ktls-utils"},
                        {"argv", {"cat", "/etc/tlshd.d/tls.key"}}});
  EXPECT_EQ(own["stdout"], "secret\n");
  EXPECT_EQ(Ask({{"op", "run"},
                 {"node", "n1"},
                 {"container", "ktls-utils"},
                 {"argv", {"stat", "-c", "%a", "/etc/tlshd.d/tls.key"}}})["stdout"],
            "640\n");
  EXPECT_EQ(Ask({{"op", "run"}, {"node", "n1"}, {"argv", {"cat", "/etc/tlshd.d/tls.key"}}})["exit"],
            1);
}

}  // namespace
}  // namespace breakwater::sim
