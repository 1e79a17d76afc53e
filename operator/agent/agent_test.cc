// The whole binary with DRBD's tools as scripts. What would break for a user: a container that does
// not start, a stream that does not come up, an upgrade that leaves something behind.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <filesystem>

#include <sys/stat.h>

#include "operator/agent/talk/connect.h"
#include "operator/agent/testing/test_support.h"
#include "operator/core/replication/protocol/messages.h"

namespace breakwater::agent {
namespace {

using testing::Eventually;
using ::testing::HasSubstr;
using testing::Program;
using testing::WriteText;

constexpr const char* kHello =
    "{\"hello\":{\"protocol\":2,\"oldest\":1,\"version\":\"1\",\"epoch\":3}}\n";

class AgentTest : public ::testing::Test {
 protected:
  std::vector<std::string> Command(const std::string& command) const {
    std::vector<std::string> words{BREAKWATER_AGENT, command, "--run-dir", dir_.Path("run")};
    if (command != "connect") {
      words.insert(words.end(), {"--res-dir", dir_.Path("res"), "--node", "node1"});
    }
    return words;
  }

  // Process id of the worker of a supervisor.
  static pid_t WorkerOf(pid_t supervisor) {
    pid_t worker = 0;
    const auto found = [&] {
      for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
        const std::string stat = testing::ReadText(entry.path().string() + "/stat");
        const std::size_t name_end = stat.rfind(") ");
        if (name_end != std::string::npos && std::atoi(stat.c_str() + name_end + 4) == supervisor) {
          worker = std::atoi(stat.c_str());
          return true;
        }
      }
      return false;
    };
    EXPECT_TRUE(Eventually(found));
    return worker;
  }

  testing::TempDir dir_{};
  testing::FakeTools tools_{dir_};
};

TEST_F(AgentTest, ReportsOverTheBridgeAndEndsCleanly) {
  tools_.SetResource("r1", "connected-tls-3diskful.node1");
  Program agent(Command("run"));
  // The bridge waits for the socket.
  Program bridge(Command("connect"));
  EXPECT_THAT(bridge.NextLine(), HasSubstr("\"hello\""));
  bridge.Say(kHello);
  EXPECT_THAT(bridge.LineWith("\"resource\""), HasSubstr("\"r1\""));
  EXPECT_NE(bridge.LineWith("\"synced\""), "");
  tools_.SetResource("r1", "suspended-user.node1");
  tools_.Event("change resource name:r1 role:Primary suspended:user");
  EXPECT_THAT(bridge.LineWith("\"resource\""), HasSubstr("uspendedUser\":true"));
  agent.Signal(SIGTERM);
  EXPECT_EQ(agent.Wait(), 0);
  EXPECT_EQ(bridge.Wait(), kConnectDropped);
  EXPECT_FALSE(testing::FileExists(dir_.Path("run/agent.sock")));
}

TEST_F(AgentTest, TheBridgeEndsWithItsCaller) {
  Program agent(Command("run"));
  Program bridge(Command("connect"));
  bridge.Say(kHello);
  EXPECT_NE(bridge.LineWith("\"synced\""), "");
  bridge.CloseInput();
  EXPECT_EQ(bridge.Wait(), kConnectEnded);
}

TEST_F(AgentTest, TheBridgeSaysWhenNobodyListens) {
  Program bridge(Command("connect"));
  EXPECT_EQ(bridge.Wait(), kConnectNoAgent);
}

TEST_F(AgentTest, AKilledWorkerIsBackAndServes) {
  tools_.SetResource("r1", "connected-tls-3diskful.node1");
  Program agent(Command("run"));
  const pid_t worker = WorkerOf(agent.pid());
  {
    Program bridge(Command("connect"));
    bridge.Say(kHello);
    ASSERT_NE(bridge.LineWith("\"synced\""), "");
    kill(worker, SIGKILL);
    EXPECT_EQ(bridge.Wait(), kConnectDropped);
  }
  ASSERT_TRUE(Eventually([&] { return !testing::Alive(worker); }));
  Program bridge(Command("connect"));
  bridge.Say(kHello);
  EXPECT_NE(bridge.LineWith("\"synced\""), "");
  EXPECT_NE(WorkerOf(agent.pid()), worker);
}

TEST_F(AgentTest, ADamagedJournalIsReportedAndDoesNotStopTheAgent) {
  std::filesystem::create_directories(dir_.Path("run/journal"));
  WriteText(dir_.Path("run/journal/boot"), testing::ReadText("/proc/sys/kernel/random/boot_id"));
  WriteText(dir_.Path("run/journal/t1.json"), "{\"half");
  Program agent(Command("run"));
  Program bridge(Command("connect"));
  bridge.Say(kHello);
  EXPECT_THAT(bridge.LineWith("{\"node\":"), HasSubstr("*.rejected"));
  EXPECT_TRUE(testing::FileExists(dir_.Path("run/journal/t1.json.rejected")));
}

// REVIEW-2, agent: a former leader does nothing any more.
TEST_F(AgentTest, ARequestIsAnsweredAndAnOldEpochIsRefused) {
  tools_.SetResource("r1", "connected-tls-3diskful.node1");
  Program agent(Command("run"));
  Program bridge(Command("connect"));
  bridge.Say(kHello);
  ASSERT_NE(bridge.LineWith("\"synced\""), "");
  replication::TransactionRequest request;
  request.id = "t1";
  request.epoch = 2;
  request.kind = replication::TransactionKind::kReconnect;
  request.resource = "r1";
  request.peers = {"node2"};
  request.within = std::chrono::milliseconds(10000);
  bridge.Say(Encode(replication::OperatorMessage(request)));
  EXPECT_THAT(bridge.LineWith("\"result\""), HasSubstr("\"Epoch\""));
  // Without epoch trouble it is done, or refused by the state of the node; answered in any case,
  // and the answer survives the worker.
  request.id = "t2";
  request.epoch = 3;
  bridge.Say(Encode(replication::OperatorMessage(request)));
  const std::string result = bridge.LineWith("\"result\"");
  EXPECT_THAT(result, HasSubstr("\"t2\""));
  const pid_t worker = WorkerOf(agent.pid());
  kill(worker, SIGKILL);
  EXPECT_EQ(bridge.Wait(), kConnectDropped);
  ASSERT_TRUE(Eventually([&] { return !testing::Alive(worker); }));
  Program again(Command("connect"));
  again.Say(kHello);
  EXPECT_EQ(again.LineWith("\"t2\""), result);
}

TEST_F(AgentTest, InstallsItself) {
  Program install({BREAKWATER_AGENT, "install", dir_.Path("bin2")});
  EXPECT_EQ(install.Wait(), 0);
  const std::string copy = dir_.Path("bin2/breakwater-agent");

  struct stat status {};

  ASSERT_EQ(stat(copy.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777U, 0555U);
  // Once more over the old one, from the copy itself.
  Program again({copy, "install", dir_.Path("bin2")});
  EXPECT_EQ(again.Wait(), 0);
  Program version({copy, "version"});
  EXPECT_EQ(version.NextLine(), BREAKWATER_AGENT_VERSION);
  WriteText(dir_.Path("file"), "x");
  Program impossible({BREAKWATER_AGENT, "install", dir_.Path("file")});
  EXPECT_EQ(impossible.Wait(), 1);
}

TEST_F(AgentTest, WrongUsageIsSaid) {
  for (const std::vector<std::string>& words :
       std::vector<std::vector<std::string>>{{},
                                             {"walk"},
                                             {"run", "extra"},
                                             {"run", "--node"},
                                             {"run", "--nonsense", "1"},
                                             {"worker", "--guard-fd", "1"},
                                             {"run", "--check-every", "0"},
                                             {"install"}}) {
    std::vector<std::string> all{BREAKWATER_AGENT};
    all.insert(all.end(), words.begin(), words.end());
    Program program(all);
    EXPECT_EQ(program.Wait(), 2) << ::testing::PrintToString(words);
  }
  Program help({BREAKWATER_AGENT, "--help"});
  EXPECT_THAT(help.NextLine(), HasSubstr("Usage"));
}

}  // namespace
}  // namespace breakwater::agent
