// The links to the agents of a healthy cluster. What would break for a user: volumes are planned
// with half a report, a request reaches no agent or the wrong one, or the operator cannot stop.

#include "operator/controllers/replication/agent_link/agent_links.h"

#include <atomic>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "operator/controllers/replication/agent_link/fake_agent.h"

namespace breakwater::controllers {
namespace {

using namespace std::chrono_literals;  // NOLINT(google-build-using-namespace): literals only
using replication::TransactionKind;
using replication::TransactionRequest;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class AgentLinksTest : public ::testing::Test {
 protected:
  static AgentTarget Target(const std::string& node) {
    return {.node = node,
            .ns = "ns",
            .pod = "pod-" + node,
            .pod_uid = "uid-" + node,
            .container = "breakwater-agent"};
  }

  /// The agent of a node over its `number`th stream, after both hellos and a full report.
  FakeAgents::StreamPtr Connected(const std::string& node,
                                  const std::vector<std::string>& resources,
                                  std::size_t number = 0) {
    auto stream = agents_.Stream("pod-" + node, number);
    EXPECT_NE(stream, nullptr);
    stream->Hello(node);
    EXPECT_TRUE(stream->Next());
    stream->Report(resources);
    EXPECT_TRUE(events_.WaitFor([&] { return links_.Agents()[node].connected; }));
    return stream;
  }

  static TransactionRequest Lead(const std::string& id) {
    return {.id = id,
            .epoch = 3,
            .kind = TransactionKind::kLead,
            .resource = "r1",
            .peers = {"node2"},
            .tls = true,
            .within = 10s};
  }

  FakeAgents agents_{RealClock()};
  EventRecorder events_;
  AgentLinks links_{agents_,
                    RealClock(),
                    Logger::Null(),
                    events_.Events(),
                    {.version = "9.9.9", .first_retry = 10min, .max_retry = 10min}};
};

TEST_F(AgentLinksTest, BothSayHelloAndTheReportIsShownWhole) {
  links_.SetTargets({Target("node1")}, 3);
  auto stream = agents_.Stream("pod-node1");
  ASSERT_NE(stream, nullptr);
  EXPECT_FALSE(links_.Agents().at("node1").connected);
  stream->Hello("node1");
  const auto hello = stream->Next();
  ASSERT_TRUE(hello);
  EXPECT_EQ(std::get<replication::OperatorHello>(*hello),
            (replication::OperatorHello{.protocol = replication::kProtocolVersion,
                                        .oldest = replication::kOldestProtocol,
                                        .version = "9.9.9",
                                        .epoch = 3}));
  EXPECT_THAT(links_.ProblemOf("node1"), HasSubstr("not reported everything yet"));
  EXPECT_FALSE(links_.Slice("node1", "r1"));
  stream->Report({"r1", "r2"});
  ASSERT_TRUE(events_.WaitFor([&] { return links_.Agents().at("node1").connected; }));
  EXPECT_EQ(links_.Agents().at("node1").version, "1.2.3");
  EXPECT_EQ(links_.ProblemOf("node1"), "");
  EXPECT_THAT(links_.NodesOf("r2"), ElementsAre("node1"));
  EXPECT_THAT(links_.NodesOf("r3"), IsEmpty());
  EXPECT_TRUE(links_.Slice("node1", "r1")->complete);
  EXPECT_THAT(links_.Report("node1")->resources, SizeIs(2));
  stream->Say(replication::GoneMessage{"r2"});
  EXPECT_TRUE(events_.WaitFor([&] { return links_.NodesOf("r2").empty(); }));
}

TEST_F(AgentLinksTest, ARequestGoesToItsNodeAndItsResultComesBack) {
  links_.SetTargets({Target("node1"), Target("node2")}, 3);
  EXPECT_EQ(links_.Ask("node1", Lead("t1")).error().error_class, ErrorClass::kTransient)
      << "not yet connected";
  EXPECT_THAT(links_.Busy(), IsEmpty());
  auto one = Connected("node1", {"r1"});
  auto two = Connected("node2", {"r1"});
  ASSERT_TRUE(links_.Ask("node2", Lead("t1")));
  EXPECT_EQ(std::get<TransactionRequest>(*two->Next()), Lead("t1"));
  ASSERT_THAT(links_.Running("r1"), SizeIs(1));
  EXPECT_EQ(links_.Running("r1")[0].node, "node2");
  EXPECT_THAT(links_.Busy(), ElementsAre("r1"));
  ASSERT_TRUE(links_.Cancel("node2", "t1"));
  EXPECT_EQ(std::get<replication::CancelMessage>(*two->Next()).id, "t1");
  two->Say(replication::ResultMessage{.id = "t1",
                                      .kind = TransactionKind::kLead,
                                      .resource = "r1",
                                      .peers = {"node2"},
                                      .result = {.code = "", .cut = 40ms}});
  ASSERT_TRUE(events_.WaitFor([&] { return !events_.results().empty(); }));
  EXPECT_EQ(events_.results()[0].first, "node2");
  EXPECT_EQ(events_.results()[0].second.result.cut, 40ms);
  EXPECT_THAT(links_.Busy(), IsEmpty());
  EXPECT_FALSE(links_.Ask("node3", Lead("t2")));
}

TEST_F(AgentLinksTest, ANodeThatIsNoTargetAnyMoreIsLeft) {
  links_.SetTargets({Target("node1"), Target("node2")}, 3);
  auto one = Connected("node1", {"r1"});
  auto two = Connected("node2", {"r1"});
  links_.SetTargets({Target("node2")}, 3);
  EXPECT_TRUE(one->WaitClosed());
  EXPECT_TRUE(
      events_.WaitFor([&] { return links_.NodesOf("r1") == std::set<std::string>{"node2"}; }));
  EXPECT_FALSE(links_.Agents().contains("node1"));
  EXPECT_EQ(links_.ProblemOf("node1"), "");
  EXPECT_FALSE(two->closed());
}

// Another pod, or another lease of ours: the old stream must not be used for one more request.
TEST_F(AgentLinksTest, ANewPodOrEpochIsConnectedToAtOnce) {
  AgentTarget target = Target("node1");
  links_.SetTargets({target}, 3);
  auto first = Connected("node1", {"r1"});
  target.restarts = 1;
  links_.SetTargets({target}, 3);
  EXPECT_FALSE(first->closed()) << "the restart that is told late was before this stream";
  target.pod_uid = "another";
  links_.SetTargets({target}, 3);
  EXPECT_TRUE(first->WaitClosed());
  auto second = Connected("node1", {"r1"}, 1);
  links_.SetTargets({target}, 4);
  EXPECT_TRUE(second->WaitClosed());
  auto third = agents_.Stream("pod-node1", 2);
  ASSERT_NE(third, nullptr) << "a retry would come after ten minutes only";
  third->Hello("node1");
  EXPECT_EQ(std::get<replication::OperatorHello>(*third->Next()).epoch, 4);
}

// SIGTERM: nothing may wait for an API server that hangs, or for an agent.
TEST_F(AgentLinksTest, StopEndsEverything) {
  std::atomic<int> hanging = 0;
  agents_.SetOnOpen([&](const Context& ctx,
                        const FakeAgents::StreamPtr& stream) -> std::optional<kube::KubeError> {
    if (stream->pod() == "pod-node1") {
      return std::nullopt;
    }
    ++hanging;
    (void)ctx.SleepFor(60s);
    return net::TransportError{net::TransportError::Kind::kCanceled, "canceled"};
  });
  std::vector<AgentTarget> targets{Target("node1")};
  links_.SetTargets(targets, 3);
  auto stream = Connected("node1", {"r1"});
  for (int i = 0; i < 20; ++i) {
    targets.push_back(Target("slow" + std::to_string(i)));
  }
  links_.SetTargets(targets, 3);
  ASSERT_TRUE(agents_.WaitOpens(1 + 8));
  const SteadyTime start = RealClock().SteadyNow();
  links_.Stop();
  EXPECT_LT(RealClock().SteadyNow() - start, 5s);
  EXPECT_TRUE(stream->closed());
  EXPECT_LE(hanging, 8) << "no more are opened at a time";
  EXPECT_THAT(links_.Agents(), IsEmpty());
  links_.SetTargets(targets, 3);
  EXPECT_THAT(links_.Agents(), IsEmpty()) << "stopped for good";
}

}  // namespace
}  // namespace breakwater::controllers
