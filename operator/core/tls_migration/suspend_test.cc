// SuspendIO's rules in single situations. What would break for a user: a forced cut while the
// application writes loses acknowledged blocks (F2.8), a snapshot that is resumed in the middle is
// worthless, and a volume that nobody resumes hangs its pod.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "operator/core/tls_migration/invariants.h"
#include "operator/core/tls_migration/planner.h"
#include "operator/core/tls_migration/test_observations.h"

namespace breakwater::tls_migration {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::HasSubstr;
using testing_seen::End;
using testing_seen::Healthy;
using testing_seen::kNow;
using testing_seen::Want;
using Kind = NodeOp::Kind;

std::vector<NodeOp> OpsOf(const Decision& decision) {
  std::vector<NodeOp> ops;
  if (const auto* run = std::get_if<RunOnNodes>(&decision.action)) {
    for (const std::vector<NodeOp>& stage : run->stages) {
      ops.insert(ops.end(), stage.begin(), stage.end());
    }
  }
  return ops;
}

bool Has(const Decision& decision, Kind kind, const std::string& node = "") {
  for (const NodeOp& op : OpsOf(decision)) {
    if (op.kind == kind && (node.empty() || op.node == node)) {
      return true;
    }
  }
  return false;
}

Finished::Result ResultOf(const Decision& decision) {
  const auto* finished = std::get_if<Finished>(&decision.action);
  EXPECT_NE(finished, nullptr) << decision.why;
  return finished == nullptr ? Finished::Result::kDone : finished->result;
}

Goal Suspending(const ResourceObservation& seen) {
  Goal goal = Want(seen, true);
  goal.strategy = StrategyChoice::kSuspendIo;
  return goal;
}

RunState InSuspension(bool rolling_back = false) {
  RunState run;
  run.journal = {Strategy::kSuspendIo, Step::kSuspend, rolling_back, std::nullopt, kNow};
  run.attempts = 1;
  run.failure = rolling_back ? "too slow" : "";
  return run;
}

void Cut(ResourceObservation& seen, const std::string& from, const std::string& to) {
  End(seen, from, to).state = "StandAlone";
  End(seen, to, from).state = "Connecting";
}

// Everything of a node as it looks when its exec fails.
void Silence(ResourceObservation& seen, const std::string& name) {
  NodeView silent;
  silent.name = name;
  seen.nodes[name] = silent;
  for (auto& [pair, connection] : seen.connections) {
    if (pair.Has(name)) {
      (pair.a == name ? connection.a : connection.b) = EndView{};
    }
  }
}

TEST(ForcedCutTest, EndsBeforeTheWatchdogWhateverTheStagesTake) {
  const ResourceObservation seen = Healthy({"n1", "n2", "n3"});
  const Decision begin = Next(seen, Suspending(seen), {}, kNow);
  ASSERT_TRUE(Has(begin, Kind::kForceDisconnect, "n1")) << begin.why;
  int watchdog = 0;
  for (const NodeOp& op : OpsOf(begin)) {
    watchdog = op.kind == Kind::kArm ? op.seconds : watchdog;
  }
  const auto& run = std::get<RunOnNodes>(begin.action);
  ASSERT_TRUE(run.force_not_after);
  EXPECT_LE(*run.force_not_after, kNow + seconds(watchdog) - seconds(2));
  RunOnNodes endless = run;
  endless.force_not_after.reset();
  EXPECT_THAT(CheckOperations(seen, endless).value_or(""), HasSubstr("I2"));
}

// Rolling back is no reason to cut when the watchdog is about to resume.
TEST(ForcedCutTest, NeverWhenTheTimeIsNearlyOver) {
  for (const bool rolling_back : {false, true}) {
    ResourceObservation seen = Healthy({"n1", "n2", "n3"}, /*tls=*/rolling_back);
    seen.levels.definition = Level{false, true, false};
    seen.nodes["n1"].suspended_user = true;
    Cut(seen, "n1", "n3");
    const RunState run = InSuspension(rolling_back);
    Decision decision = Next(seen, Suspending(seen), run, kNow + milliseconds(5000));
    EXPECT_TRUE(Has(decision, Kind::kForceDisconnect)) << decision.why;
    decision = Next(seen, Suspending(seen), run, kNow + milliseconds(7500));
    EXPECT_FALSE(Has(decision, Kind::kForceDisconnect)) << decision.why;
    EXPECT_FALSE(Has(decision, Kind::kDisconnect)) << decision.why;
    EXPECT_TRUE(Has(decision, Kind::kConnect, "n1")) << "what is down comes back";
  }
}

TEST(ForcedCutTest, NeverWithTwoPrimaries) {
  ResourceObservation seen = Healthy({"n1", "n2", "n3"});
  seen.nodes["n1"].suspended_user = true;
  seen.nodes["n2"].primary = true;
  RunOnNodes force{{{{.kind = Kind::kForceDisconnect, .node = "n1"}}}, kNow};
  EXPECT_THAT(CheckOperations(seen, force).value_or(""), HasSubstr("more than one Primary"));
}

TEST(ForeignSuspensionTest, IsLeftAloneUntilNobodyCanBeAtWork) {
  ResourceObservation seen = Healthy({"n1", "n2", "n3"});
  seen.nodes["n1"].suspended_user = true;
  Goal goal = Want(seen, true);
  Decision decision = Next(seen, goal, {}, kNow);
  EXPECT_EQ(ResultOf(decision), Finished::Result::kBlocked);
  EXPECT_THAT(decision.why, HasSubstr("somebody else"));
  goal.may_resume_leftover = true;
  EXPECT_TRUE(Has(Next(seen, goal, {}, kNow), Kind::kResume, "n1"));

  RunState finishing;
  finishing.journal = {Strategy::kPairByPair, Step::kFinish, false, std::nullopt, kNow};
  goal.may_resume_leftover = false;
  decision = Next(seen, goal, finishing, kNow);
  EXPECT_TRUE(std::holds_alternative<Wait>(decision.action)) << decision.why;
  EXPECT_EQ(decision.run.journal.step, Step::kFinish);
}

// A snapshot that begins while the run waits for its gate: cutting it by force would be a cut
// without a watchdog.
TEST(ForeignSuspensionTest, IsNotTakenForOursBeforeOursIsWrittenDown) {
  ResourceObservation seen = Healthy({"n1", "n2", "n3"});
  End(seen, "n1", "n2").devices[0].out_of_sync_kib = 4;
  RunState waiting;
  waiting.journal = {Strategy::kSuspendIo, Step::kPrepare, false, std::nullopt, kNow};
  Decision decision = Next(seen, Suspending(seen), waiting, kNow);
  EXPECT_EQ(decision.run.journal.step, Step::kPrepare) << decision.why;
  End(seen, "n1", "n2").devices[0].out_of_sync_kib = 0;
  decision = Next(seen, Suspending(seen), waiting, kNow);
  EXPECT_EQ(decision.run.journal.step, Step::kSuspend) << decision.why;
  seen.nodes["n1"].suspended_user = true;
  decision = Next(seen, Suspending(seen), waiting, kNow);
  EXPECT_EQ(ResultOf(decision), Finished::Result::kBlocked);
}

// A third node that is dead must not keep the other two apart: quorum is back with the second.
TEST(SilentNodeTest, WhatIsCutComesBackAtOnceAfterTheWatchdog) {
  ResourceObservation seen = Healthy({"n1", "n2", "n3"});
  for (const char* peer : {"n2", "n3"}) {
    Cut(seen, "n1", peer);
  }
  Cut(seen, "n2", "n3");
  Silence(seen, "n3");
  const Decision decision = Next(seen, Suspending(seen), InSuspension(), kNow + seconds(12));
  EXPECT_TRUE(Has(decision, Kind::kConnect, "n1")) << decision.why;
  EXPECT_FALSE(Has(decision, Kind::kConnect, "n2")) << "the Primary's connections come first";
}

TEST(SilentNodeTest, OverTheBudgetWhatIsCutComesBackWhileSuspended) {
  ResourceObservation seen = Healthy({"n1", "n2", "n3"});
  seen.nodes["n1"].suspended_user = true;
  Cut(seen, "n1", "n2");
  Silence(seen, "n3");
  const Goal goal = Suspending(seen);
  EXPECT_TRUE(OpsOf(Next(seen, goal, InSuspension(), kNow + seconds(2))).empty());
  EXPECT_TRUE(Has(Next(seen, goal, InSuspension(), kNow + seconds(6)), Kind::kConnect, "n1"));
}

// With the Primary's own node silent nobody knows whether it writes: Secondaries must not meet
// first.
TEST(SilentNodeTest, SecondariesDoNotMeetWhileThePrimaryIsSilent) {
  ResourceObservation seen = Healthy({"n1", "n2", "n3"});
  Cut(seen, "n2", "n3");
  Silence(seen, "n1");
  EXPECT_TRUE(OpsOf(Next(seen, Suspending(seen), InSuspension(), kNow + seconds(12))).empty());
}

// The watchdog reconnects the Primary's own ends when nobody else is left (I1).
TEST(WatchdogTest, KnowsThePeers) {
  const ResourceObservation seen = Healthy({"n1", "n2", "n3"});
  for (const NodeOp& op : OpsOf(Next(seen, Suspending(seen), {}, kNow))) {
    if (op.kind == Kind::kArm) {
      EXPECT_THAT(ToArguments(op, "r0"), ::testing::ElementsAre("arm", "r0", "9", "1,2"));
      return;
    }
  }
  ADD_FAILURE() << "no watchdog";
}

// F2.7: drbdadm gives up after 5 s, the kernel suspends later: somebody must still be there.
TEST(WatchdogTest, AFailedSuspensionIsWaitedFor) {
  ResourceObservation seen = Healthy({"n1", "n2", "n3"});
  const Goal goal = Suspending(seen);
  RunState run = InSuspension();
  Decision decision = Next(seen, goal, run, kNow + seconds(20));
  EXPECT_TRUE(std::holds_alternative<Wait>(decision.action)) << decision.why;
  seen.nodes["n1"].suspended_user = true;
  decision = Next(seen, goal, run, kNow + seconds(40));
  EXPECT_TRUE(Has(decision, Kind::kResume, "n1")) << decision.why;
  seen.nodes["n1"].suspended_user = false;
  decision = Next(seen, goal, run, kNow + seconds(61));
  EXPECT_TRUE(Has(decision, Kind::kDisarm, "n1")) << decision.why;
  decision = Next(seen, goal, decision.run, kNow + seconds(62));
  EXPECT_EQ(ResultOf(decision), Finished::Result::kBlocked);
}

// A watchdog that outlives its run would resume the next snapshot.
TEST(WatchdogTest, EveryEndOfARunEndsIt) {
  const ResourceObservation seen = Healthy({"n1", "n2", "n3"});
  const Decision decision =
      Next(seen, Suspending(seen), InSuspension(/*rolling_back=*/true), kNow + seconds(12));
  for (const char* node : {"n1", "n2", "n3"}) {
    EXPECT_TRUE(Has(decision, Kind::kDisarm, node)) << "the Primary may have moved";
  }
}

// Sample suspended-user-standalone: frozen, cut, and no journal that says why.
TEST(LeftoverTest, IsReconnectedWithTheKernelsSettingsAndThenResumed) {
  ResourceObservation seen = Healthy({"n1", "n2", "n3"});
  seen.nodes["n1"].suspended_user = true;
  seen.nodes["n1"].devices[0].quorum = false;
  for (const char* peer : {"n2", "n3"}) {
    Cut(seen, "n1", peer);
  }
  Goal goal = Want(seen, true);
  goal.may_resume_leftover = true;
  Decision decision = Next(seen, goal, {}, kNow);
  EXPECT_EQ(OpsOf(decision).size(), 2U) << decision.why;
  EXPECT_TRUE(Has(decision, Kind::kConnect, "n1")) << decision.why;
  End(seen, "n3", "n1").tls = true;  // the two ends differ: LINSTOR's value decides
  decision = Next(seen, goal, {}, kNow);
  ASSERT_TRUE(Has(decision, Kind::kNetOptions, "n3")) << decision.why;
  EXPECT_FALSE(Has(decision, Kind::kForceDisconnect) || Has(decision, Kind::kDisconnect));
  ResourceObservation back = Healthy({"n1", "n2", "n3"});
  back.nodes["n1"].suspended_user = true;
  decision = Next(back, goal, decision.run, kNow + seconds(3));
  EXPECT_TRUE(Has(decision, Kind::kResume, "n1")) << decision.why;
}

// The lost connection costs quorum, which the gate names first: it is reconnected all the same.
TEST(LeftoverTest, AConnectionThatGoesDownBeforeResumeIsBroughtBack) {
  ResourceObservation seen = Healthy({"n1", "n2"}, /*tls=*/true);
  seen.nodes["n1"].suspended_user = true;
  seen.nodes["n1"].devices[0].quorum = false;
  Cut(seen, "n1", "n2");
  RunState run = InSuspension();
  run.journal.step = Step::kResume;
  const Decision decision = Next(seen, Suspending(seen), run, kNow + seconds(3));
  EXPECT_EQ(decision.run.journal.step, Step::kSuspend) << decision.why;
  EXPECT_EQ(decision.run.journal.started_at, kNow);
}

}  // namespace
}  // namespace breakwater::tls_migration
