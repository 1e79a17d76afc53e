// What the agent sees of its node, with DRBD's tools as scripts. What would break for a user: a
// change that is missed, or a node whose idle agent keeps it busy.

#include "operator/agent/watch/node_watch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "operator/agent/testing/test_support.h"
#include "operator/agent/watch/drbd_kernel.h"
#include "operator/agent/watch/genetlink.h"
#include "operator/agent/watch/json_list.h"
#include "operator/testing/source_dir.h"

namespace breakwater::agent {
namespace {

using std::chrono::milliseconds;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Not;
using testing::ReadText;
using testing::WriteText;

constexpr const char* kSample = "connected-tls-3diskful.node1";
constexpr const char* kChange =
    "change connection name:r1 peer-node-id:1 conn-name:node2 connection:Disconnecting "
    "role:Unknown congested:no";

class Recorder final : public NodeWatchListener {
 public:
  void OnEvent(const std::string& resource) override { events.push_back(resource); }

  void OnEventAll() override { ++all; }

  void OnResource(const std::string& name) override { resources.push_back(name); }

  void OnFacts() override { ++facts; }

  void OnFirstReport() override { ready = true; }

  std::vector<std::string> events{};
  std::vector<std::string> resources{};
  int all = 0;
  int facts = 0;
  bool ready = false;
};

class NodeWatchTest : public ::testing::Test {
 protected:
  NodeWatchTest() {
    options_.own_names = {"node1"};
    options_.res_dir = dir_.Path("res");
    options_.debounce = milliseconds(20);
  }

  void Start() {
    watch_ = std::make_unique<NodeWatch>(&loop_, &children_, options_, &recorder_);
    watch_->Start();
    // The list at the begin of events2 is followed by a check.
    ASSERT_TRUE(Until([&] {
      return recorder_.ready && tools_.CallsOf("drbdsetup status") >= 2 && recorder_.facts > 0;
    }));
    ASSERT_TRUE(Settled());
    recorder_.resources.clear();
    recorder_.events.clear();
    recorder_.facts = 0;
  }

  bool Until(const std::function<bool()>& condition) {
    bool held = false;
    loop_.BeforeWait([&] {
      if (condition()) {
        held = true;
        loop_.Stop();
      }
    });
    const std::function<void()> tick = [&] { tick_ = loop_.After(milliseconds(10), tick); };
    tick();
    const Loop::TimerId limit = loop_.After(testing::kPatience, [this] { loop_.Stop(); });
    loop_.Run();
    loop_.Cancel(limit);
    loop_.Cancel(tick_);
    loop_.BeforeWait({});
    return held;
  }

  // Only events2 runs, and nothing is due.
  bool Settled() {
    int quiet = 0;
    return Until([&] {
      quiet = children_.running() <= 1 ? quiet + 1 : 0;
      return quiet > 10;
    });
  }

  const replication::ResourceReport& Report(const std::string& name) const {
    return *watch_->resources().at(name);
  }

  testing::TempDir dir_{};
  testing::FakeTools tools_{dir_};
  Loop loop_{};
  Children children_{&loop_};
  Loop::TimerId tick_{};
  NodeWatchOptions options_{};
  Recorder recorder_{};
  std::unique_ptr<NodeWatch> watch_{};
};

TEST_F(NodeWatchTest, ReportsEverythingOnce) {
  tools_.SetResource("r1", kSample);
  tools_.SetResource("r2", "connected-tls.node1");
  WriteText(dir_.Path("res/r1.res"),
            "resource r1 { connection { host node1; host node2; net { tls yes; } } }");
  Start();
  ASSERT_EQ(watch_->resources().size(), 2U);
  EXPECT_EQ(Report("r1").status.connections.size(), 2U);
  ASSERT_TRUE(Report("r1").show);
  EXPECT_EQ(Report("r1").show->on_no_quorum, "suspend-io");
  ASSERT_TRUE(Report("r1").res);
  EXPECT_TRUE(Report("r1").res->tls.at("node2"));
  EXPECT_FALSE(Report("r2").res);
  EXPECT_TRUE(watch_->facts().complete);
  EXPECT_EQ(watch_->facts().versions.utils, "9.34.0");
  EXPECT_EQ(watch_->facts().problem, "");
  // F34: a filtered reader goes deaf.
  EXPECT_THAT(tools_.Calls(), Contains("drbdsetup events2 --full --statistics"));
}

TEST_F(NodeWatchTest, AnEventIsToldAtOnceAndReadsOnlyItsResource) {
  tools_.SetResource("r1", kSample);
  tools_.SetResource("r2", kSample);
  Start();
  std::filesystem::remove(dir_.Path("calls"));
  tools_.SetResource("r1", "suspended-user.node1");
  tools_.Event(kChange);
  tools_.Event(kChange);
  ASSERT_TRUE(Until([&] { return !recorder_.resources.empty(); }));
  EXPECT_THAT(recorder_.resources, ElementsAre("r1"));
  EXPECT_THAT(recorder_.events, ElementsAre("r1", "r1"));
  EXPECT_TRUE(Report("r1").status.suspended_user);
  ASSERT_TRUE(Settled());
  EXPECT_EQ(tools_.CallsOf("drbdsetup status r1 --json"), tools_.CallsOf("drbdsetup status"));
  EXPECT_LE(tools_.CallsOf("drbdsetup status"), 2U) << "a burst of events is one reading";
}

TEST_F(NodeWatchTest, IdleItDoesNothing) {
  tools_.SetResource("r1", kSample);
  Start();
  const std::vector<std::string> before = tools_.Calls();
  ASSERT_TRUE(Settled());
  EXPECT_EQ(tools_.Calls(), before);
}

TEST_F(NodeWatchTest, TheSlowPaceFindsWhatEventsMissed) {
  // F25: events2 once missed what the kernel's log had.
  options_.pace = milliseconds(300);
  tools_.SetResource("r1", kSample);
  Start();
  tools_.SetResource("r1", "suspended-user.node1");
  ASSERT_TRUE(Until([&] { return Report("r1").status.suspended_user; }));
  EXPECT_THAT(recorder_.events, IsEmpty());
  // And while nothing changes it costs one program.
  ASSERT_TRUE(Until([&] { return tools_.CallsOf("drbdsetup status --json") >= 5; }));
  const std::size_t shows = tools_.CallsOf("drbdsetup show");
  const std::size_t status = tools_.CallsOf("drbdsetup status");
  ASSERT_TRUE(Until([&] { return tools_.CallsOf("drbdsetup status") >= status + 3; }));
  EXPECT_EQ(tools_.CallsOf("drbdsetup show"), shows);
}

TEST_F(NodeWatchTest, ResourcesComeAndGo) {
  tools_.SetResource("r1", kSample);
  Start();
  tools_.SetResource("r2", kSample);
  tools_.Event("create resource name:r2 role:Secondary suspended:no");
  ASSERT_TRUE(Until([&] { return watch_->resources().contains("r2"); }));
  tools_.RemoveResource("r1");
  tools_.Event("destroy resource name:r1");
  ASSERT_TRUE(Until([&] { return !watch_->resources().contains("r1"); }));
  EXPECT_THAT(recorder_.resources, ElementsAre("r2", "r1"));
}

TEST_F(NodeWatchTest, EventsThatEndAreStartedAgainAndNothingIsMissed) {
  tools_.SetResource("r1", kSample);
  Start();
  const int all = recorder_.all;
  tools_.SetResource("r1", "suspended-user.node1");
  tools_.KillEvents();
  ASSERT_TRUE(Until([&] { return Report("r1").status.suspended_user; }));
  ASSERT_TRUE(Until([&] { return tools_.CallsOf("drbdsetup events2") >= 2; }));
  EXPECT_GT(recorder_.all, all) << "who waits in a transaction must look, too";
  ASSERT_TRUE(Until([&] { return testing::FileExists(dir_.Path("events.pid")); }));
  tools_.SetResource("r1", kSample);
  tools_.Event(kChange);
  ASSERT_TRUE(Until([&] { return !Report("r1").status.suspended_user; }));
}

TEST_F(NodeWatchTest, ToolsThatFailAreSaidAndTriedAgain) {
  tools_.SetResource("r1", kSample);
  tools_.Fail("drbdsetup", 20, "modprobe: FATAL: Module drbd not found");
  watch_ = std::make_unique<NodeWatch>(&loop_, &children_, options_, &recorder_);
  watch_->Start();
  ASSERT_TRUE(Until([&] { return recorder_.ready && recorder_.facts > 0; }));
  EXPECT_FALSE(watch_->facts().complete);
  EXPECT_THAT(watch_->facts().problem, ::testing::HasSubstr("Module drbd not found"));
  tools_.Fail("drbdsetup", 0, "");
  ASSERT_TRUE(
      Until([&] { return watch_->facts().complete && watch_->resources().contains("r1"); }));
}

TEST_F(NodeWatchTest, ABrokenToolDoesNotForgetResources) {
  tools_.SetResource("r1", kSample);
  Start();
  tools_.Fail("drbdsetup", 10, "netlink: no answer");
  tools_.Event(kChange);
  ASSERT_TRUE(Until([&] { return !watch_->facts().complete; }));
  EXPECT_TRUE(watch_->resources().contains("r1"));
  EXPECT_THAT(recorder_.resources, IsEmpty());
}

TEST_F(NodeWatchTest, AResFileThatChangesIsReportedWithoutAProgram) {
  // REVIEW-1 R2: a pin counts when the node has it.
  tools_.SetResource("r1", kSample);
  Start();
  const std::size_t calls = tools_.Calls().size();
  const std::string text = "resource r1 { connection { host node1; host node2; net { tls ";
  WriteText(dir_.Path("res/r1.res"), text + "no; } } }");
  ASSERT_TRUE(Until([&] { return Report("r1").res.has_value(); }));
  EXPECT_FALSE(Report("r1").res->tls.at("node2"));
  WriteText(dir_.Path("res/r1.res"), text + "yes; } } }");
  ASSERT_TRUE(Until([&] { return Report("r1").res->tls.at("node2"); }));
  WriteText(dir_.Path("res/r1.res"), text);  // broken: says nothing any more
  ASSERT_TRUE(Until([&] { return !Report("r1").res; }));
  WriteText(dir_.Path("res/r1.res"), text + "yes; } } }");
  ASSERT_TRUE(Until([&] { return Report("r1").res.has_value(); }));
  std::filesystem::remove(dir_.Path("res/r1.res"));
  ASSERT_TRUE(Until([&] { return !Report("r1").res; }));
  EXPECT_EQ(tools_.Calls().size(), calls);
}

TEST_F(NodeWatchTest, ADirectoryOfResFilesMayComeLater) {
  options_.res_dir = dir_.Path("later");
  options_.pace = milliseconds(200);
  tools_.SetResource("r1", kSample);
  Start();
  std::filesystem::create_directory(dir_.Path("later"));
  WriteText(dir_.Path("later/r1.res"), "resource r1 { connection { host node1; host node2; } }");
  EXPECT_TRUE(Until([&] { return Report("r1").res.has_value(); }));
}

TEST_F(NodeWatchTest, AResFileThatDrbdadmCannotReadIsNamed) {
  // F33: every reconnect that needs a resync may be dropped because of it.
  options_.pace = milliseconds(200);
  tools_.SetResource("r1", kSample);
  Start();
  ASSERT_TRUE(Until([&] { return tools_.CallsOf("drbdadm sh-nop") == 1; }));
  tools_.Fail("drbdadm", 10,
              "drbd.d/r9.res:3: in resource r9:\n/var/lib/linstor.d/r9.res:12: Parse error: ';' "
              "expected,\n\tbut got 'x'\n");
  WriteText(dir_.Path("res/r9.res"), "resource r9 {");
  ASSERT_TRUE(Until([&] { return !watch_->facts().broken_res.empty(); }));
  EXPECT_EQ(watch_->facts().broken_res, "drbd.d/r9.res");
  const std::size_t checks = tools_.CallsOf("drbdadm sh-nop");
  const std::size_t status = tools_.CallsOf("drbdsetup status");
  ASSERT_TRUE(Until([&] { return tools_.CallsOf("drbdsetup status") >= status + 3; }));
  EXPECT_EQ(tools_.CallsOf("drbdadm sh-nop"), checks) << "only when files changed";
  tools_.Fail("drbdadm", 0, "");
  std::filesystem::remove(dir_.Path("res/r9.res"));
  ASSERT_TRUE(Until([&] { return watch_->facts().broken_res.empty(); }));
}

TEST_F(NodeWatchTest, PercentsOfAResyncDoNotWakeAnybody) {
  options_.progress = milliseconds(300);
  tools_.SetResource("r1", "synctarget.node1");
  Start();
  const replication::DrbdConnection& connection = Report("r1").status.connections.at(0);
  const replication::PeerDevice& device = connection.devices.at(0);
  const std::string event =
      "change peer-device name:r1 peer-node-id:1 conn-name:" + connection.peer +
      " volume:0 replication:";
  ASSERT_NE(device.replication, "Established");
  std::filesystem::remove(dir_.Path("calls"));
  for (int percent = 0; percent < 20; ++percent) {
    tools_.Event(event + device.replication + " peer-disk:" + device.peer_disk +
                 " done:" + std::to_string(percent));
  }
  ASSERT_TRUE(Until([&] { return tools_.CallsOf("drbdsetup status r1") > 0; }));
  EXPECT_THAT(recorder_.events, IsEmpty());
  tools_.Event(event + "Established peer-disk:UpToDate");
  EXPECT_TRUE(Until([&] { return recorder_.events.size() == 1; }));
}

TEST_F(NodeWatchTest, ManyChangesAreReadAtOnce) {
  for (int i = 0; i < 20; ++i) {
    tools_.SetResource("v" + std::to_string(i), kSample);
  }
  Start();
  std::filesystem::remove(dir_.Path("calls"));
  for (int i = 0; i < 20; ++i) {
    tools_.SetResource("v" + std::to_string(i), "suspended-user.node1");
  }
  for (int i = 0; i < 20; ++i) {
    tools_.Event("change resource name:v" + std::to_string(i) + " role:Primary suspended:user");
  }
  ASSERT_TRUE(Until([&] {
    return std::all_of(watch_->resources().begin(), watch_->resources().end(),
                       [](const auto& entry) { return entry.second->status.suspended_user; });
  }));
  EXPECT_LE(tools_.CallsOf("drbdsetup"), 12U);
}

// REVIEW-2 M8: nothing in DRBD's events tells how old a session is and how much it has carried.
TEST_F(NodeWatchTest, DatesSessionsAndReadsTheirTraffic) {
  const auto carry = [&](const std::string& gib) {
    WriteText(dir_.Path("ss"),
              "State Recv-Q Send-Q Local:Port Peer:Port\n"
              "ESTAB 0 0 10.77.0.1:7000 10.77.0.2:45147\n\t cubic bytes_sent:" +
                  std::to_string(std::stoll(gib) << 30) +
                  " bytes_received:1 tcp-ulp-tls version: 1.3 cipher: aes-gcm-256 rxconf: sw "
                  "txconf: sw\n");
  };
  carry("1");
  options_.pace = milliseconds(300);
  tools_.SetResource("r1", kSample);
  Start();
  ASSERT_EQ(Report("r1").sockets.sockets.size(), 1U);
  EXPECT_EQ(Report("r1").sockets.sockets[0].gib, 1);
  const std::int64_t since = Report("r1").sockets.sockets[0].since;
  EXPECT_GT(since, 1'700'000'000);
  carry("5");
  ASSERT_TRUE(Until([&] { return Report("r1").sockets.sockets[0].gib == 5; }));
  EXPECT_EQ(Report("r1").sockets.sockets[0].since, since) << "it is the same session";
}

// ---- the kernel's port ----

class DrbdKernelTest : public NodeWatchTest {
 protected:
  Result<replication::LocalView, Error> Look(const std::string& name,
                                             replication::LookScope scope) {
    std::optional<Result<replication::LocalView, Error>> result;
    kernel_.Look(name, scope,
                 [&](Result<replication::LocalView, Error> view) { result = std::move(view); });
    EXPECT_FALSE(result) << "never from inside the call";
    EXPECT_TRUE(Until([&] { return result.has_value(); }));
    return *result;
  }

  DrbdKernel kernel_{&loop_, &children_};
};

TEST_F(DrbdKernelTest, ReadsOnlyWhatIsAskedFor) {
  tools_.SetResource("r1", kSample);
  const auto view = Look("r1", {});
  ASSERT_TRUE(view);
  EXPECT_EQ(view->status->name, "r1");
  EXPECT_FALSE(view->show);
  EXPECT_THAT(tools_.Calls(), ElementsAre("drbdsetup status r1 --json"));
}

TEST_F(DrbdKernelTest, ReadsShowAndTheSocketsOfTheResource) {
  tools_.SetResource("r1", kSample);
  WriteText(
      dir_.Path("ss"),
      "State Recv-Q Send-Q Local:Port Peer:Port\n"
      "ESTAB 0 0 10.77.0.1:7000 10.77.0.2:45147\n"
      "\t cubic wscale:7,7 tcp-ulp-tls version: 1.3 cipher: aes-gcm-256 rxconf: sw txconf: sw\n"
      "ESTAB 0 0 10.77.0.1:9999 10.77.0.2:4242\n\t cubic\n");
  const auto view = Look("r1", {.show = true, .sockets = true});
  ASSERT_TRUE(view);
  ASSERT_TRUE(view->show);
  EXPECT_TRUE(view->sockets.reliable);
  ASSERT_EQ(view->sockets.sockets.size(), 1U);
  EXPECT_TRUE(view->sockets.sockets[0].tls);
}

TEST_F(DrbdKernelTest, NotUpIsNoErrorButSilenceIs) {
  const auto gone = Look("r1", {.show = true, .sockets = true});
  ASSERT_TRUE(gone);
  EXPECT_FALSE(gone->status);
  tools_.SetResource("r1", kSample);
  tools_.Fail("drbdsetup", 10, "netlink: no answer");  // the same code, another reason
  EXPECT_FALSE(Look("r1", {}));
  tools_.Fail("drbdsetup", 0, "");
  WriteText(dir_.Path("status/r1"), "nonsense");
  EXPECT_FALSE(Look("r1", {}));
}

TEST_F(DrbdKernelTest, RunsCommandsAndGivesTheirError) {
  std::optional<std::pair<int, std::string>> ended;
  const auto run = [&](const replication::DrbdCommand& command) {
    ended.reset();
    kernel_.Run(command, [&](int exit_code, std::string error) {
      ended = {exit_code, std::move(error)};
    });
    EXPECT_TRUE(Until([&] { return ended.has_value(); }));
    return ended.value_or(std::pair(99, ""));
  };
  replication::DrbdCommand command;
  command.kind = replication::DrbdCommand::Kind::kConnect;
  command.resource = "r1";
  command.peer_id = 2;
  EXPECT_EQ(run(command).first, 0);
  EXPECT_THAT(tools_.Calls(), ElementsAre("drbdsetup connect r1 2"));
  tools_.Fail("drbdsetup", 10, "r1: Failure: (125) Device has a net-config\n");
  EXPECT_EQ(run(command), std::pair(10, std::string("r1: Failure: (125) Device has a net-config")));
}

// ---- lines ----

TEST(DrbdEventTest, ReadsTheRecordedLines) {
  int kinds[4] = {};
  for (const char* file : {"events2-full-statistics-timestamps.switch.node1.txt",
                           "events2-full-statistics-timestamps.switch.node2.txt"}) {
    const std::vector<std::string> lines =
        testing::LinesOf(breakwater::testing::SourceDir() + "/operator/agent/testdata/" + file);
    ASSERT_FALSE(lines.empty()) << file;
    for (const std::string& line : lines) {
      const DrbdEvent event = ParseEvent(line);
      ++kinds[static_cast<int>(event.kind)];
      const bool helper = line.find(" helper name:") != std::string::npos;
      EXPECT_EQ(event.kind == DrbdEvent::Kind::kNone, helper) << line;
      EXPECT_EQ(event.kind == DrbdEvent::Kind::kChange, !event.resource.empty()) << line;
    }
  }
  EXPECT_EQ(kinds[static_cast<int>(DrbdEvent::Kind::kAll)], 0);
  EXPECT_EQ(kinds[static_cast<int>(DrbdEvent::Kind::kDumpEnd)], 2);
}

TEST(DrbdEventTest, WithAndWithoutTime) {
  const std::string line =
      "change peer-device name:r1 peer-node-id:1 conn-name:node2 volume:3 "
      "replication:SyncSource peer-disk:Inconsistent done:12.00";
  const DrbdEvent event = ParseEvent(line);
  EXPECT_EQ(event.resource, "r1");
  EXPECT_EQ(event.peer, "node2");
  EXPECT_EQ(event.volume, 3);
  EXPECT_EQ(event.replication, "SyncSource");
  EXPECT_EQ(event.peer_disk, "Inconsistent");
  EXPECT_FALSE(event.exists);
  EXPECT_EQ(ParseEvent("2026-11-30T01:18:33.470255+00:00 " + line), event);
}

TEST(DrbdEventTest, WhatIsNotClearConcernsAll) {
  EXPECT_EQ(ParseEvent("rename resource name:r1 new_name:r2").kind, DrbdEvent::Kind::kAll);
  EXPECT_EQ(ParseEvent("change resource name:-x;y").kind, DrbdEvent::Kind::kAll);
  EXPECT_EQ(ParseEvent("change resource").kind, DrbdEvent::Kind::kAll);
  for (const char* line : {"", "x", "call helper name:r1", "response helper name:r1", "a b c d"}) {
    EXPECT_EQ(ParseEvent(line).kind, DrbdEvent::Kind::kNone) << line;
  }
}

TEST(JsonListTest, CutsWhatTheToolsPrint) {
  EXPECT_THAT(SplitJsonList(" [ {\"a\":[1,{}]} ,\n{\"b\":\"]}\\\"\"} ]\n").value(),
              ElementsAre("{\"a\":[1,{}]}", "{\"b\":\"]}\\\"\"}"));
  EXPECT_THAT(SplitJsonList("[]\n").value(), IsEmpty());
  for (const char* text : {"", "[", "]", "{}", "[{]", "[}]", "[{}}]", "[{\"a]", "[[[]"}) {
    EXPECT_FALSE(SplitJsonList(text)) << text;
  }
}

TEST(NodeFactsTest, NamesTheFileThatIsBroken) {
  EXPECT_EQ(BrokenFile("/var/lib/linstor.d/r1.res:12: Parse error: x"),
            "/var/lib/linstor.d/r1.res");
  EXPECT_EQ(BrokenFile("a word '/etc/drbd.d/r2.res:1: y'\n"), "/etc/drbd.d/r2.res");
  EXPECT_EQ(BrokenFile("no file at all\nmore"), "no file at all");
  EXPECT_NE(BrokenFile(""), "");
}

TEST(GenericNetlinkTest, TellsAFamilyThatIsThereFromOneThatIsNot) {
  const std::optional<bool> control = HasGenericNetlinkFamily("nlctrl");
  if (!control) {
    GTEST_SKIP() << "no generic netlink here";
  }
  EXPECT_TRUE(*control);
  EXPECT_EQ(HasGenericNetlinkFamily("breakwater"), std::optional(false));
  EXPECT_EQ(HasGenericNetlinkFamily("a-name-that-is-too-long"), std::nullopt);
}

}  // namespace
}  // namespace breakwater::agent
