// What one agent has said. What would break for a user: a volume is planned with what a node said
// before its stream broke, a transaction that runs is taken for finished and a second one begins,
// or one that never began holds its volume for ever.

#include "operator/controllers/replication/agent_link/agent_record.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "operator/controllers/replication/agent_link/fake_agent.h"

namespace breakwater::controllers {
namespace {

using replication::GoneMessage;
using replication::NodeFactsMessage;
using replication::ProgressMessage;
using replication::ResourceMessage;
using replication::ResultMessage;
using replication::SyncedMessage;
using replication::TransactionKind;
using replication::TransactionOutcome;
using replication::TransactionRequest;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class AgentRecordTest : public ::testing::Test {
 protected:
  AgentEffects Resource(const std::string& name, const std::string& role = "Secondary") {
    ResourceMessage message{.name = name, .report = SomeReport(name)};
    message.report.status.role = role;
    return record_.Take(message);
  }

  AgentEffects Progress(const std::string& id, const std::string& resource = "r1") {
    return record_.Take(ProgressMessage{
        .id = id, .kind = TransactionKind::kLead, .resource = resource, .phase = "Cut"});
  }

  AgentEffects Done(const std::string& id) {
    return record_.Take(ResultMessage{.id = id, .kind = TransactionKind::kLead, .resource = "r1"});
  }

  static TransactionRequest Request(const std::string& id) {
    return {.id = id, .kind = TransactionKind::kLead, .resource = "r1", .peers = {"node2"}};
  }

  AgentRecord record_{"node1", 1U << 20U};
};

TEST_F(AgentRecordTest, NothingIsKnownBeforeTheFullReport) {
  record_.Begin();
  record_.Take(NodeFactsMessage{.complete = true});
  EXPECT_THAT(Resource("r1").resources, IsEmpty());
  EXPECT_FALSE(record_.Slice("r1"));
  EXPECT_FALSE(record_.Report());
  const AgentEffects synced = record_.Take(SyncedMessage{});
  EXPECT_TRUE(synced.node);
  EXPECT_THAT(synced.resources, ElementsAre("r1"));
  EXPECT_TRUE(record_.Slice("r1")->complete);
  EXPECT_EQ(record_.Slice("r1")->report->status.name, "r1");
  EXPECT_EQ(record_.Slice("r2")->report, nullptr) << "known not to be there";
  EXPECT_THAT(record_.Report()->resources, SizeIs(1));
}

TEST_F(AgentRecordTest, OnlyChangesAreTold) {
  record_.Begin();
  Resource("r1");
  record_.Take(SyncedMessage{});
  EXPECT_THAT(Resource("r1").resources, IsEmpty()) << "the same again";
  EXPECT_THAT(Resource("r1", "Primary").resources, ElementsAre("r1"));
  EXPECT_THAT(record_.Take(GoneMessage{"r1"}).resources, ElementsAre("r1"));
  EXPECT_THAT(record_.Take(GoneMessage{"r1"}).resources, IsEmpty());
  EXPECT_FALSE(record_.Has("r1"));
}

// A node whose stream is gone is unknown at once; a resource that went away meanwhile must not come
// back with the next full report.
TEST_F(AgentRecordTest, TheEndOfAStreamEndsWhatIsKnown) {
  record_.Begin();
  Resource("r1");
  Resource("r2");
  record_.Take(SyncedMessage{});
  const AgentEffects end = record_.End();
  EXPECT_TRUE(end.node);
  EXPECT_THAT(end.resources, ElementsAre("r1", "r2"));
  EXPECT_FALSE(record_.Slice("r1"));
  EXPECT_EQ(record_.bytes(), 0U);
  record_.Begin();
  Resource("r2");
  record_.Take(SyncedMessage{});
  EXPECT_EQ(record_.Slice("r1")->report, nullptr);
  EXPECT_NE(record_.Slice("r2")->report, nullptr);
}

TEST_F(AgentRecordTest, ATransactionRunsUntilItsResult) {
  record_.Begin();
  record_.Take(SyncedMessage{});
  record_.Asked(Request("t1"));
  ASSERT_THAT(record_.Running("r1"), SizeIs(1));
  EXPECT_EQ(record_.Running("r1")[0].node, "node1");
  EXPECT_EQ(record_.Running("r1")[0].progress.phase, "Asked");
  EXPECT_THAT(Progress("t1").resources, ElementsAre("r1"));
  EXPECT_EQ(record_.Running("r1")[0].progress.phase, "Cut");
  EXPECT_THAT(record_.Busy(), ElementsAre("r1"));
  EXPECT_THAT(Done("t1").results, SizeIs(1));
  EXPECT_THAT(record_.Busy(), IsEmpty());
  EXPECT_THAT(Done("t1").results, IsEmpty()) << "agents repeat results with each stream";
}

// The stream broke while a transaction ran: the agent goes on, and so does what we think of it.
TEST_F(AgentRecordTest, ABrokenStreamEndsNoTransaction) {
  record_.Begin();
  record_.Take(SyncedMessage{});
  record_.Asked(Request("t1"));
  Progress("t1");
  record_.End();
  EXPECT_THAT(record_.Busy(), ElementsAre("r1"));
  record_.Begin();
  EXPECT_THAT(record_.Busy(), ElementsAre("r1"));
  Progress("t1");
  EXPECT_THAT(record_.Take(SyncedMessage{}).results, IsEmpty());
  EXPECT_THAT(record_.Busy(), ElementsAre("r1"));
  record_.Begin();
  EXPECT_THAT(Done("t1").results, SizeIs(1)) << "it ended while nobody listened";
  EXPECT_THAT(record_.Take(SyncedMessage{}).results, IsEmpty());
}

// The request went down with the stream: nobody will ever answer it, and its volume must go on.
TEST_F(AgentRecordTest, WhatTheAgentDoesNotKnowNeverBegan) {
  record_.Begin();
  record_.Take(SyncedMessage{});
  record_.Asked(Request("t1"));
  record_.Begin();
  const AgentEffects synced = record_.Take(SyncedMessage{});
  ASSERT_THAT(synced.results, SizeIs(1));
  EXPECT_EQ(synced.results[0].id, "t1");
  EXPECT_THAT(synced.results[0].peers, ElementsAre("node2"));
  EXPECT_EQ(synced.results[0].result.outcome, TransactionOutcome::kRefused);
  EXPECT_EQ(synced.results[0].result.code, "Lost");
  EXPECT_THAT(synced.resources, ElementsAre("r1"));
  EXPECT_THAT(record_.Busy(), IsEmpty());
  // The request was only late (a bridge that hung): the volume is busy again, and has its end.
  Progress("t1");
  EXPECT_THAT(record_.Busy(), ElementsAre("r1"));
  EXPECT_THAT(Done("t1").results, SizeIs(1));
}

// The pod was replaced in the middle: not "nothing was touched".
TEST_F(AgentRecordTest, WhatHadBegunIsNotCalledUntouched) {
  record_.Begin();
  record_.Take(SyncedMessage{});
  Progress("t1");
  record_.Begin();
  const AgentEffects synced = record_.Take(SyncedMessage{});
  ASSERT_THAT(synced.results, SizeIs(1));
  EXPECT_EQ(synced.results[0].result.outcome, TransactionOutcome::kUndone);
  EXPECT_EQ(synced.results[0].result.code, "Lost");
  EXPECT_THAT(synced.results[0].result.reason, HasSubstr("Cut"));
}

TEST_F(AgentRecordTest, TheSameRequestAgainGetsItsResultAgain) {
  record_.Begin();
  record_.Take(SyncedMessage{});
  record_.Asked(Request("t1"));
  Done("t1");
  record_.Asked(Request("t1"));
  EXPECT_THAT(record_.Busy(), ElementsAre("r1"));
  EXPECT_THAT(Done("t1").results, SizeIs(1));
}

TEST_F(AgentRecordTest, ANodeThatIsGoneLosesItsTransactions) {
  record_.Begin();
  record_.Take(SyncedMessage{});
  record_.Asked(Request("t1"));
  record_.End();
  const AgentEffects lost = record_.GiveUp("the node is gone");
  ASSERT_THAT(lost.results, SizeIs(1));
  EXPECT_THAT(lost.results[0].result.reason, HasSubstr("the node is gone"));
  EXPECT_THAT(record_.Busy(), IsEmpty());
}

// REVIEW-2 M2: one hostile node kills the operator by memory.
TEST_F(AgentRecordTest, WhatANodeMayTakeIsBounded) {
  record_.Begin();
  std::string problem;
  int resources = 0;
  for (; resources < 100000 && problem.empty(); ++resources) {
    problem = Resource("r" + std::to_string(resources)).problem;
  }
  EXPECT_THAT(problem, HasSubstr("more than 1 MiB"));
  EXPECT_LT(resources, 10000);
  record_.Begin();
  problem.clear();
  for (int i = 0; i < 100000 && problem.empty(); ++i) {
    problem = Progress("t" + std::to_string(i)).problem;
  }
  EXPECT_THAT(problem, HasSubstr("transactions"));
  record_.Begin();
  EXPECT_NE(record_.Take(NodeFactsMessage{.problem = std::string(2U << 20U, 'x')}).problem, "");
}

}  // namespace
}  // namespace breakwater::controllers
