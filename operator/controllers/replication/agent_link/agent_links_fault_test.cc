// The links when everything breaks: streams, agents, nodes, and agents that lie. What would break
// for a user: a node that misbehaves takes the others with it, floods the API server, or is
// believed after it fell silent.

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <fstream>
#include <iterator>
#include <thread>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "operator/controllers/replication/agent_link/agent_links.h"
#include "operator/controllers/replication/agent_link/fake_agent.h"
#include "operator/controllers/replication/agent_link/report_size.h"
#include "operator/testing/fake_clock.h"
#include "operator/testing/source_dir.h"

namespace breakwater::controllers {
namespace {

using namespace std::chrono_literals;  // NOLINT(google-build-using-namespace): literals only
using replication::TransactionKind;
using replication::TransactionOutcome;
using replication::TransactionRequest;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

AgentTarget Target(const std::string& node) {
  return {.node = node,
          .ns = "ns",
          .pod = "pod-" + node,
          .pod_uid = "uid-" + node,
          .container = "breakwater-agent"};
}

TransactionRequest Lead(const std::string& id) {
  return {.id = id,
          .epoch = 3,
          .kind = TransactionKind::kLead,
          .resource = "r1",
          .peers = {"node2"},
          .within = 10s};
}

replication::ProgressMessage Progress(const std::string& id) {
  return {.id = id,
          .kind = TransactionKind::kLead,
          .resource = "r1",
          .peers = {"node2"},
          .phase = "Cut"};
}

/// Links over a clock that the test chooses.
class Bed {
 public:
  explicit Bed(const Clock& clock, AgentLinksOptions options = {})
      : agents(clock),
        links(agents, clock, Logger::Null(), events.Events(), Quick(std::move(options))) {}

  FakeAgents::StreamPtr Greeted(const std::string& node, std::size_t number = 0) {
    auto stream = agents.Stream("pod-" + node, number);
    EXPECT_NE(stream, nullptr);
    stream->Hello(node);
    EXPECT_TRUE(stream->Next());
    return stream;
  }

  FakeAgents::StreamPtr Connected(const std::string& node,
                                  const std::vector<std::string>& resources,
                                  std::size_t number = 0) {
    auto stream = Greeted(node, number);
    stream->Report(resources);
    EXPECT_TRUE(events.WaitFor([&] { return links.Agents()[node].connected; }));
    return stream;
  }

  bool WaitProblem(const std::string& node, const std::string& text) {
    return events.WaitFor([&] { return links.ProblemOf(node).find(text) != std::string::npos; });
  }

  FakeAgents agents;
  EventRecorder events;
  AgentLinks links;

 private:
  /// A first retry that tests can wait for.
  static AgentLinksOptions Quick(AgentLinksOptions options) {
    if (options.first_retry == AgentLinksOptions().first_retry) {
      options.first_retry = 10ms;
    }
    return options;
  }
};

class AgentLinksFaultTest : public ::testing::Test {
 protected:
  Bed bed_{RealClock()};
};

TEST_F(AgentLinksFaultTest, AnExecThatFailsIsShownAndRetried) {
  std::atomic<bool> broken = true;
  bed_.agents.SetOnOpen(
      [&](const Context&, const FakeAgents::StreamPtr&) -> std::optional<kube::KubeError> {
        if (!broken) {
          return std::nullopt;
        }
        return kube::Status{.code = 403, .reason = "Forbidden", .message = "no pods/exec"};
      });
  bed_.links.SetTargets({Target("node1")}, 3);
  EXPECT_TRUE(bed_.WaitProblem("node1", "no pods/exec"));
  broken = false;
  bed_.Connected("node1", {"r1"});
  EXPECT_EQ(bed_.links.ProblemOf("node1"), "");
}

// Half a line is no message, and what it was about is unknown.
TEST_F(AgentLinksFaultTest, AStreamThatBreaksInTheMiddleOfALine) {
  bed_.links.SetTargets({Target("node1")}, 3);
  auto first = bed_.Connected("node1", {"r1", "r2"});
  const std::string gone =
      replication::Encode(replication::AgentMessage(replication::GoneMessage{"r1"}));
  first->SayBytes(gone.substr(0, gone.size() / 2));
  first->Break();
  EXPECT_TRUE(bed_.WaitProblem("node1", "stream broke"));
  EXPECT_FALSE(bed_.links.Slice("node1", "r1")) << "unknown";
  EXPECT_THAT(bed_.links.NodesOf("r1"), IsEmpty());
  auto second = bed_.Connected("node1", {"r2"}, 1);
  EXPECT_EQ(bed_.links.Slice("node1", "r1")->report, nullptr) << "not in the new report";
  EXPECT_THAT(bed_.links.NodesOf("r2"), ElementsAre("node1"));
}

// Bytes come in pieces of any size.
TEST_F(AgentLinksFaultTest, ASlowAgentIsUnderstood) {
  bed_.links.SetTargets({Target("node1")}, 3);
  auto stream = bed_.Greeted("node1");
  std::string all = replication::Encode(replication::AgentMessage(
      replication::ResourceMessage{.name = "r1", .report = SomeReport("r1")}));
  all += replication::Encode(replication::AgentMessage(replication::SyncedMessage{}));
  for (const char byte : all) {
    stream->SayBytes(std::string(1, byte));
  }
  EXPECT_TRUE(bed_.events.WaitFor([&] { return bed_.links.NodesOf("r1").size() == 1; }));
  EXPECT_FALSE(bed_.links.Slice("node1", "r1")->complete) << "it said nothing about its tools";
}

TEST_F(AgentLinksFaultTest, AnAgentThatEndsSaysWhy) {
  bed_.links.SetTargets({Target("node1")}, 3);
  bed_.Connected("node1", {"r1"})->End(7, "no /run/breakwater/agent.sock\n");
  EXPECT_TRUE(bed_.WaitProblem("node1", "exit code 7: no /run/breakwater/agent.sock"));
  bed_.Connected("node1", {"r1"}, 1);
}

TEST_F(AgentLinksFaultTest, AnAgentThatIsTooOldSaysWhatToDo) {
  bed_.links.SetTargets({Target("node1"), Target("node2")}, 3);
  auto old = bed_.agents.Stream("pod-node1");
  old->Hello("node1", replication::kOldestProtocol - 1);
  EXPECT_TRUE(bed_.WaitProblem("node1", "update the image component breakwater-agent"));
  EXPECT_TRUE(bed_.links.Agents().at("node1").too_old);
  EXPECT_EQ(bed_.links.Agents().at("node1").version, "1.2.3");
  EXPECT_TRUE(old->WaitClosed());
  auto young = bed_.agents.Stream("pod-node2");
  young->Say(replication::AgentHello{.protocol = replication::kProtocolVersion + 5,
                                     .oldest = replication::kProtocolVersion + 1,
                                     .version = "9.0.0",
                                     .node = "node2"});
  EXPECT_TRUE(bed_.WaitProblem("node2", "update the operator"));
  EXPECT_FALSE(bed_.links.Agents().at("node2").too_old);
  AgentTarget updated = Target("node1");
  updated.pod_uid = "new";
  bed_.links.SetTargets({updated, Target("node2")}, 3);
  bed_.Connected("node1", {"r1"}, 1);
  EXPECT_FALSE(bed_.links.Agents().at("node1").too_old);
}

// G7: what an agent of protocol 1 said, recorded, is understood as it was then.
TEST_F(AgentLinksFaultTest, AnAgentOfAnOlderProtocolIsServed) {
  std::ifstream recorded(testing::SourceDir() +
                         "/operator/core/replication/protocol/testdata/protocol1.jsonl");
  ASSERT_TRUE(recorded);
  const std::string all((std::istreambuf_iterator<char>(recorded)), {});
  bed_.links.SetTargets({Target("node1")}, 3);
  auto stream = bed_.agents.Stream("pod-node1");
  stream->SayBytes(all);
  EXPECT_TRUE(stream->Next()) << "our hello";
  ASSERT_TRUE(bed_.events.WaitFor([&] { return !bed_.events.results().empty(); }));
  EXPECT_TRUE(bed_.links.Agents().at("node1").connected);
  EXPECT_EQ(bed_.links.Agents().at("node1").version, "0.1.0");
  EXPECT_EQ(bed_.links.Slice("node1", "r1")->report->status.role, "Primary");
  EXPECT_EQ(bed_.links.Report("node1")->versions.module, "9.3.3");
  ASSERT_THAT(bed_.links.Running("r2"), SizeIs(1));
  EXPECT_TRUE(bed_.links.Running("r2")[0].progress.armed);
  EXPECT_EQ(bed_.events.results()[0].second.id, "op-16");
}

// REVIEW-2 M4: a report speaks only for its own node.
TEST_F(AgentLinksFaultTest, AnAgentOfAnotherNodeIsNotListenedTo) {
  bed_.links.SetTargets({Target("node1")}, 3);
  auto stream = bed_.agents.Stream("pod-node1");
  stream->Hello("node2");
  stream->Report({"r1"});
  EXPECT_TRUE(bed_.WaitProblem("node1", "says that it is on node \"node2\""));
  EXPECT_TRUE(stream->WaitClosed());
  EXPECT_THAT(bed_.links.NodesOf("r1"), IsEmpty());
}

TEST_F(AgentLinksFaultTest, WhatIsNoProtocolIsRefused) {
  std::vector<AgentTarget> targets;
  const std::vector<std::string> first_lines = {"rubbish\n", "[]\n", "{\"synced\":true}\n",
                                                std::string(3U << 20U, 'x'),
                                                "{\"hello\":{\"protocol\":\"two\"}}\n"};
  for (std::size_t i = 0; i < first_lines.size(); ++i) {
    targets.push_back(Target("node" + std::to_string(i)));
  }
  bed_.links.SetTargets(targets, 3);
  for (std::size_t i = 0; i < first_lines.size(); ++i) {
    auto stream = bed_.agents.Stream(targets[i].pod);
    stream->SayBytes(first_lines[i]);
    EXPECT_TRUE(bed_.WaitProblem(targets[i].node, "refused")) << first_lines[i].substr(0, 80);
    EXPECT_TRUE(stream->WaitClosed());
  }
}

// REVIEW-2 M2: 31 MiB of one node kill the operator by memory; here they cost that node its stream,
// and the others nothing.
TEST(AgentLinksLimitTest, AHostileNodeHarmsNoOther) {
  Bed bed(RealClock(), {.max_node_bytes = 4U << 20U});
  bed.links.SetTargets({Target("good"), Target("endless"), Target("many")}, 3);
  auto good = bed.Connected("good", {"r1"});
  auto endless = bed.Greeted("endless");
  for (int i = 0; i < 40; ++i) {
    endless->SayBytes(std::string(64U << 10U, 'x'));
  }
  EXPECT_TRUE(bed.WaitProblem("endless", "refused"));
  auto many = bed.Greeted("many");
  std::jthread flood([many] {
    replication::ResourceMessage message{.report = SomeReport("r")};
    message.report.status.connections.resize(1000, message.report.status.connections[0]);
    for (int i = 0; i < 2000000 && !many->closed(); ++i) {
      message.name = "r" + std::to_string(i);
      many->Say(message);
    }
  });
  EXPECT_TRUE(bed.WaitProblem("many", "more than 4 MiB"));
  flood.join();
  EXPECT_FALSE(good->closed());
  EXPECT_THAT(bed.links.NodesOf("r1"), ElementsAre("good"));
  EXPECT_FALSE(bed.links.Report("many"));
}

// Many nodes that each stay below their own limit: the largest goes, not the one that came last.
TEST(AgentLinksLimitTest, TheLargestNodeGoesWhenAllTogetherTakeTooMuch) {
  const std::size_t one = MemoryOf(SomeReport("r1"));
  Bed bed(RealClock(), {.first_retry = 10min, .max_retry = 10min, .max_total_bytes = 100 * one});
  bed.links.SetTargets({Target("large"), Target("small")}, 3);
  std::vector<std::string> resources;
  for (int i = 0; i < 60; ++i) {
    resources.push_back("r" + std::to_string(i));
  }
  auto large = bed.Connected("large", resources);
  auto small = bed.Greeted("small");
  for (int i = 0; i < 50; ++i) {
    small->Say(
        replication::ResourceMessage{.name = "s" + std::to_string(i), .report = SomeReport("s")});
  }
  EXPECT_TRUE(bed.WaitProblem("large", "reports most"));
  EXPECT_TRUE(large->WaitClosed());
  small->Say(replication::SyncedMessage{});
  EXPECT_TRUE(bed.events.WaitFor([&] { return bed.links.Agents().at("small").connected; }));
}

// The stream breaks while a transaction runs: it still runs, and its end is told once.
TEST_F(AgentLinksFaultTest, ATransactionOutlivesItsStream) {
  bed_.links.SetTargets({Target("node1")}, 3);
  auto first = bed_.Connected("node1", {"r1"});
  ASSERT_TRUE(bed_.links.Ask("node1", Lead("t1")));
  ASSERT_TRUE(first->Next());
  first->Say(Progress("t1"));
  first->Break();
  ASSERT_TRUE(bed_.WaitProblem("node1", "stream broke"));
  ASSERT_THAT(bed_.links.Running("r1"), SizeIs(1));
  EXPECT_FALSE(bed_.links.Ask("node1", Lead("t2"))) << "not while nobody hears it";
  auto second = bed_.Greeted("node1", 1);
  second->Say(Progress("t1"));
  second->Report({"r1"});
  ASSERT_TRUE(bed_.events.WaitFor([&] { return bed_.links.Agents()["node1"].connected; }));
  EXPECT_THAT(bed_.links.Busy(), ElementsAre("r1"));
  second->Break();
  ASSERT_TRUE(bed_.WaitProblem("node1", "stream broke"));
  auto third = bed_.Greeted("node1", 2);
  third->Say(replication::ResultMessage{
      .id = "t1", .kind = TransactionKind::kLead, .resource = "r1", .peers = {"node2"}});
  third->Report({"r1"});
  ASSERT_TRUE(bed_.events.WaitFor([&] { return bed_.links.Agents()["node1"].connected; }));
  EXPECT_THAT(bed_.links.Busy(), IsEmpty());
  ASSERT_THAT(bed_.events.results(), SizeIs(1));
  EXPECT_EQ(bed_.events.results()[0].second.result.outcome, TransactionOutcome::kDone);
}

// The write failed: the agent may have the request or not. It counts as running until the agent
// says, and is never asked for twice by itself.
TEST_F(AgentLinksFaultTest, ARequestThatMayBeLostIsFoundOut) {
  bed_.links.SetTargets({Target("node1")}, 3);
  auto first = bed_.Connected("node1", {"r1"});
  first->RefuseWrites();
  EXPECT_TRUE(bed_.links.Ask("node1", Lead("t1")));
  EXPECT_THAT(bed_.links.Running("r1"), SizeIs(1));
  EXPECT_TRUE(first->WaitClosed());
  auto second = bed_.Connected("node1", {"r1"}, 1);
  ASSERT_TRUE(bed_.events.WaitFor([&] { return !bed_.events.results().empty(); }));
  EXPECT_EQ(bed_.events.results()[0].second.result.code, "Lost");
  EXPECT_EQ(bed_.events.results()[0].second.result.outcome, TransactionOutcome::kRefused);
  EXPECT_THAT(bed_.links.Busy(), IsEmpty());
}

/// Time moves by hand here.
class AgentLinksClockTest : public ::testing::Test {
 protected:
  testing::FakeClock clock_;
};

TEST_F(AgentLinksClockTest, ASilentAgentIsLeft) {
  Bed bed(clock_, {.first_retry = 1s});
  bed.links.SetTargets({Target("node1"), Target("mute")}, 3);
  auto stream = bed.Connected("node1", {"r1"});
  clock_.WaitForSleepers(2);
  clock_.Advance(20s);
  EXPECT_TRUE(bed.WaitProblem("mute", "does not say hello"));
  EXPECT_EQ(std::get<replication::PingMessage>(*stream->Next()).number, 1);
  stream->Say(replication::PongMessage{1});
  for (int i = 2; i < 5; ++i) {  // whoever answers is not silent, however long nothing changes
    clock_.WaitForSleepers(1);
    clock_.Advance(20s);
    const auto ping = stream->Next();
    ASSERT_TRUE(ping);
    EXPECT_EQ(std::get<replication::PingMessage>(*ping).number, i);
    stream->Say(replication::PongMessage{i});
  }
  EXPECT_TRUE(bed.links.Agents().at("node1").connected);
  for (int i = 0; i < 100 && !stream->closed(); ++i) {
    clock_.WaitForSleepers(1);
    clock_.Advance(20s);
    (void)stream->Next();
  }
  EXPECT_TRUE(bed.WaitProblem("node1", "silent"));
  EXPECT_FALSE(bed.links.Slice("node1", "r1"));
}

// T3: a clock that jumps is looked at soon, and one that jumps all the time seldom: each look is an
// exec, and the node may lie.
TEST_F(AgentLinksClockTest, AClockThatMovesIsTold) {
  Bed bed(clock_, {.first_retry = 1s});
  bed.links.SetTargets({Target("node1")}, 3);
  auto stream = bed.Connected("node1", {"r1"});
  const auto seconds_now = [&] {
    return std::chrono::duration_cast<std::chrono::seconds>(clock_.SystemNow().time_since_epoch())
        .count();
  };
  const int changes = bed.events.node_changes("node1");
  int handled = 0;
  const auto pong = [&](std::optional<std::int64_t> time, std::int64_t older = 0) {
    clock_.WaitForSleepers(1);
    clock_.Advance(20s);
    const auto ping = stream->Next();
    ASSERT_TRUE(ping);
    stream->Say(
        replication::PongMessage{std::get<replication::PingMessage>(*ping).number - older, time});
    stream->Say(replication::GoneMessage{"r1"});  // it is taken after the pong
    stream->Say(replication::ResourceMessage{.name = "r1", .report = SomeReport("r1")});
    handled += 2;
    ASSERT_TRUE(bed.events.WaitFor([&] { return bed.events.changes_of("r1") > handled; }));
  };
  ASSERT_NO_FATAL_FAILURE(pong(seconds_now() + 20));
  ASSERT_NO_FATAL_FAILURE(pong(std::nullopt)) << "an agent of before";
  ASSERT_NO_FATAL_FAILURE(pong(seconds_now() + 600, 1)) << "an answer that is late";
  EXPECT_EQ(bed.events.clock_moves("node1"), 0);
  ASSERT_NO_FATAL_FAILURE(pong(seconds_now() + 620));
  EXPECT_EQ(bed.events.clock_moves("node1"), 1);
  for (int i = 0; i < 14; ++i) {  // 280 s
    ASSERT_NO_FATAL_FAILURE(pong(i % 2 == 0 ? seconds_now() + 20 : INT64_MIN));
  }
  EXPECT_EQ(bed.events.clock_moves("node1"), 1) << "not yet";
  ASSERT_NO_FATAL_FAILURE(pong(seconds_now() + 20));
  EXPECT_EQ(bed.events.clock_moves("node1"), 2) << "it is right again";
  EXPECT_EQ(bed.events.node_changes("node1"), changes) << "nothing else is done for it";
}

// One node whose stream breaks is back after a second; a restarted container at once.
TEST_F(AgentLinksClockTest, TheFirstRetryIsQuick) {
  Bed bed(clock_, {.first_retry = 1s});
  bed.agents.SetOnOpen(
      [](const Context&, const FakeAgents::StreamPtr&) -> std::optional<kube::KubeError> {
        return kube::Status{.code = 500, .message = "container not found"};
      });
  AgentTarget target = Target("node1");
  bed.links.SetTargets({target}, 3);
  ASSERT_TRUE(bed.WaitProblem("node1", "container not found"));
  clock_.WaitForSleepers(1);
  clock_.Advance(1300ms);
  ASSERT_TRUE(bed.agents.WaitOpens(2));
  clock_.WaitForSleepers(1);
  target.restarts = 1;
  bed.links.SetTargets({target}, 3);
  ASSERT_TRUE(bed.agents.WaitOpens(3)) << "without any time passing";
  const auto opens = bed.agents.opens();
  EXPECT_EQ(opens[2], opens[1]);
  target.restarts = -1;  // it does not run: no exec is wasted on it
  clock_.WaitForSleepers(1);
  bed.links.SetTargets({target}, 3);
  for (int i = 0; i < 100; ++i) {
    clock_.WaitForSleepers(1);
    clock_.Advance(10s);
  }
  EXPECT_THAT(bed.agents.opens(), SizeIs(3));
  target.restarts = 2;
  bed.links.SetTargets({target}, 3);
  EXPECT_TRUE(bed.agents.WaitOpens(4));
}

// G5: a hundred nodes whose exec always fails cost fewer than 60 requests in any minute.
TEST_F(AgentLinksClockTest, AHundredFailingNodes) {
  Bed bed(clock_, {.first_retry = 1s});
  bed.agents.SetOnOpen(
      [](const Context&, const FakeAgents::StreamPtr&) -> std::optional<kube::KubeError> {
        return kube::Status{.code = 500, .message = "container not found"};
      });
  std::vector<AgentTarget> targets;
  for (int i = 0; i < 100; ++i) {
    targets.push_back(Target("node" + std::to_string(i)));
  }
  bed.links.SetTargets(targets, 3);
  ASSERT_TRUE(bed.agents.WaitOpens(100));
  const SteadyTime first = clock_.SteadyNow();
  for (int second = 0; second < 600; ++second) {
    clock_.WaitForSleepers(100);
    clock_.Advance(1s);
  }
  const std::vector<SteadyTime> opens = bed.agents.opens();
  for (int minute = 0; minute < 10; ++minute) {
    const auto count = std::count_if(opens.begin() + 100, opens.end(), [&](SteadyTime at) {
      return at >= first + minute * 1min && at < first + (minute + 1) * 1min;
    });
    EXPECT_LT(count, 60) << minute;
  }
  EXPECT_GT(opens.size(), 200U) << "they are still tried";
}

// The node left the cluster while a transaction ran there: its volume must not wait for ever.
TEST_F(AgentLinksClockTest, ANodeThatStaysAwayLosesItsTransactions) {
  Bed bed(clock_);
  bed.links.SetTargets({Target("node1")}, 3);
  auto stream = bed.Connected("node1", {"r1"});
  ASSERT_TRUE(bed.links.Ask("node1", Lead("t1")));
  bed.links.SetTargets({}, 3);
  EXPECT_TRUE(stream->WaitClosed());
  EXPECT_THAT(bed.links.Busy(), ElementsAre("r1")) << "its agent may still be at work";
  for (int i = 0; i < 11; ++i) {
    clock_.WaitForSleepers(1);
    clock_.Advance(1min);
  }
  ASSERT_TRUE(bed.events.WaitFor([&] { return !bed.events.results().empty(); }));
  EXPECT_EQ(bed.events.results()[0].second.result.code, "Lost");
  EXPECT_THAT(bed.links.Busy(), IsEmpty());
}

}  // namespace
}  // namespace breakwater::controllers
