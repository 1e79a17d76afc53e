// The Runner's own rules, with tools that answer when the test says so.

#include "operator/agent/act/runner.h"

#include <gtest/gtest.h>

#include <deque>
#include <string>
#include <utility>
#include <vector>

#include "operator/agent/testing/sim_agent.h"
#include "operator/testing/fake_clock.h"

namespace breakwater::agent::testing {
namespace {

using replication::DrbdCommand;
using replication::LocalView;
using replication::TransactionKind;
using replication::TransactionOutcome;
using replication::TransactionRequest;
using replication::TransactionState;
using std::chrono::milliseconds;

class HandKernel final : public Kernel {
 public:
  void Look(const std::string& /*resource*/,
            replication::LookScope /*scope*/,
            LookDone done) override {
    looks.push_back(std::move(done));
  }

  void Run(const DrbdCommand& command, RunDone done) override {
    commands.push_back(command);
    runs.push_back(std::move(done));
  }

  std::deque<LookDone> looks{};
  std::deque<RunDone> runs{};
  std::vector<DrbdCommand> commands{};
};

class Heard final : public RunnerEvents {
 public:
  void OnProgress(const replication::ProgressMessage& message) override {
    progress.push_back(message);
  }

  void OnResult(const replication::ResultMessage& message) override { results.push_back(message); }

  void OnLog(const std::string& line) override { log.push_back(line); }

  std::vector<replication::ProgressMessage> progress{};
  std::vector<replication::ResultMessage> results{};
  std::vector<std::string> log{};
};

class Watcher final : public Guardian {
 public:
  bool Guard(const std::string& id, const std::vector<int>& minors, SteadyTime until) override {
    guarded[id] = minors;
    until_ = until;
    return listens;
  }

  void Release(const std::string& id) override { guarded.erase(id); }

  std::map<std::string, std::vector<int>> guarded{};
  SteadyTime until_{};
  bool listens = true;
};

class RunnerTest : public ::testing::Test {
 protected:
  RunnerTest() { Start("boot-1"); }

  void Start(const std::string& boot) {
    kernel.looks.clear();
    kernel.runs.clear();
    runner = std::make_unique<Runner>(RunnerOptions{.boot = boot, .max_transactions = 4}, &kernel,
                                      &journal, &guardian, &clock, &heard, [] { return 7U; });
    runner->Restore();
  }

  static TransactionRequest Request(const std::string& id,
                                    TransactionKind kind = TransactionKind::kFollow,
                                    const std::string& peer = "node2",
                                    const std::string& resource = "r1") {
    return {.id = id,
            .epoch = 5,
            .kind = kind,
            .resource = resource,
            .peers = {peer},
            .tls = true,
            .within = milliseconds(10000)};
  }

  LocalView View() const {
    LocalView view;
    view.at = clock.SteadyNow();
    view.status = replication::DrbdStatus{
        .name = "r1",
        .node_id = 0,
        .role = "Primary",
        .devices = {{.volume = 0, .minor = 7, .disk = "UpToDate", .quorum = true}}};
    for (const auto& [name, id] : std::map<std::string, int>{{"node2", 1}, {"node3", 2}}) {
      view.status->connections.push_back(
          {.peer_node_id = id,
           .peer = name,
           .state = "Connected",
           .peer_role = "Secondary",
           .tls = false,
           .devices = {{.volume = 0, .replication = "Established", .peer_disk = "UpToDate"}}});
    }
    view.show = replication::DrbdShow{.name = "r1",
                                      .quorum = "majority",
                                      .minimum_redundancy = "off",
                                      .on_no_quorum = "suspend-io"};
    return view;
  }

  void AnswerLook(Result<LocalView, Error> view) {
    ASSERT_FALSE(kernel.looks.empty());
    auto done = std::move(kernel.looks.front());
    kernel.looks.pop_front();
    done(std::move(view));
  }

  std::string LastCode() const {
    return heard.results.empty() ? "none" : heard.results.back().result.code;
  }

  breakwater::testing::FakeClock clock{};
  HandKernel kernel{};
  MemoryJournal journal{};
  Watcher guardian{};
  Heard heard{};
  std::unique_ptr<Runner> runner{};
};

TEST_F(RunnerTest, ARepeatedRequestGetsItsProgressOrItsResult) {
  runner->Handle(Request("a"));
  AnswerLook(View());
  const std::size_t told = heard.progress.size();
  runner->Handle(Request("a"));  // the stream was replaced, the operator asks again
  EXPECT_EQ(heard.progress.size(), told + 1);
  EXPECT_TRUE(heard.progress.back().armed);
  runner->Cancel("a");
  clock.Advance(milliseconds(50));
  runner->Tick();
  AnswerLook(View());
  EXPECT_EQ(LastCode(), "Cancelled");
  EXPECT_TRUE(runner->Idle());
  runner->Handle(Request("a"));
  EXPECT_EQ(heard.results.size(), 2U);
  EXPECT_TRUE(runner->Idle()) << "at most once";

  Start("boot-1");  // also by the next process
  runner->Handle(Request("a"));
  EXPECT_EQ(heard.results.size(), 3U);
  EXPECT_EQ(LastCode(), "Cancelled");
  EXPECT_TRUE(runner->Idle());
}

// An exec that outlives a lost lease does nothing.
TEST_F(RunnerTest, ARequestOfAnEarlierLeaderIsRefused) {
  runner->NoteEpoch(6);
  runner->Handle(Request("a"));
  EXPECT_EQ(LastCode(), "Epoch");
  EXPECT_TRUE(kernel.looks.empty());
  Start("boot-1");
  runner->Handle(Request("b"));
  EXPECT_EQ(LastCode(), "Epoch") << "the epoch outlives the process";
}

TEST_F(RunnerTest, ACancelThatOvertakesItsRequestCounts) {
  runner->Cancel("a");
  runner->Handle(Request("a"));
  EXPECT_EQ(LastCode(), "Cancelled");
  EXPECT_TRUE(runner->Idle());
}

TEST_F(RunnerTest, OneTransactionPerConnectionAndNoMoreThanTheLimit) {
  runner->Handle(Request("a", TransactionKind::kFollow, "node2"));
  runner->Handle(Request("b", TransactionKind::kLead, "node2"));
  EXPECT_EQ(LastCode(), "Busy");  // F29.3
  runner->Handle(Request("c", TransactionKind::kLead, "node3"));
  EXPECT_EQ(heard.results.size(), 1U) << "another connection of the node is free";
  runner->Handle(Request("d", TransactionKind::kFollow, "node2", "r2"));
  runner->Handle(Request("e", TransactionKind::kFollow, "node2", "r3"));
  runner->Handle(Request("f", TransactionKind::kFollow, "node2", "r4"));
  EXPECT_EQ(heard.results.size(), 2U);
  EXPECT_EQ(LastCode(), "Busy");
  // A message that comes twice and late must not start what was refused.
  runner->Cancel("a");
  runner->Handle(Request("b", TransactionKind::kLead, "node2"));
  EXPECT_EQ(LastCode(), "Busy");
}

TEST(MayRunTogetherTest, PerKind) {
  using Kind = TransactionKind;
  const auto together = [](Kind a, const std::string& pa, Kind b, const std::string& pb) {
    TransactionRequest x{.kind = a, .resource = "r", .peers = {pa}};
    TransactionRequest y{.kind = b, .resource = "r", .peers = {pb}};
    EXPECT_EQ(MayRunTogether(x, y), MayRunTogether(y, x));
    return MayRunTogether(x, y);
  };
  EXPECT_TRUE(together(Kind::kFollow, "p", Kind::kFollow, "q"));
  EXPECT_TRUE(together(Kind::kFollow, "p", Kind::kLead, "q"));
  EXPECT_FALSE(together(Kind::kFollow, "p", Kind::kFollow, "p"));
  EXPECT_FALSE(together(Kind::kLead, "p", Kind::kLead, "q"));
  EXPECT_FALSE(together(Kind::kLead, "p", Kind::kHeal, "q"));
  EXPECT_FALSE(together(Kind::kSuspendedSwitch, "p", Kind::kFollow, "q"));
  EXPECT_FALSE(together(Kind::kSuspendedSwitch, "p", Kind::kResume, "q"));
  EXPECT_TRUE(together(Kind::kResume, "", Kind::kFollow, "q"));
  EXPECT_FALSE(together(Kind::kResume, "", Kind::kResume, ""));
  EXPECT_TRUE(MayRunTogether({.kind = Kind::kLead, .resource = "a", .peers = {"p"}},
                             {.kind = Kind::kLead, .resource = "b", .peers = {"p"}}));
}

TEST_F(RunnerTest, WithoutAGuardianNothingIsSuspended) {
  guardian.listens = false;
  runner->Handle(Request("a", TransactionKind::kSuspendedSwitch));
  AnswerLook(View());
  EXPECT_EQ(LastCode(), "NoGuardian");
  EXPECT_TRUE(kernel.commands.empty());
  EXPECT_TRUE(journal.stored().entries.empty());
}

TEST_F(RunnerTest, TheJournalHasTheStepBeforeItBegins) {
  runner->Handle(Request("a", TransactionKind::kSuspendedSwitch));
  AnswerLook(View());
  ASSERT_EQ(kernel.commands.size(), 1U);
  const auto state = replication::DecodeJournal(journal.stored().entries.at("a"));
  ASSERT_TRUE(state);
  EXPECT_EQ(state->phase, TransactionState::Phase::kSuspend);
  EXPECT_EQ(state->minors, std::vector<int>{7});
  EXPECT_EQ(guardian.guarded.at("a"), std::vector<int>{7});
}

// A worker that dies in the freeze, and whose next one hangs: I/O flows at the time that was said.
TEST_F(RunnerTest, ARestartDoesNotPutTheGuardianOff) {
  runner->Handle(Request("a", TransactionKind::kSuspendedSwitch));
  AnswerLook(View());
  kernel.runs.front()(0, "");
  LocalView frozen = View();
  frozen.status->suspended_user = true;
  AnswerLook(frozen);
  const SteadyTime until = guardian.until_;
  clock.Advance(milliseconds(9000));
  Start("boot-1");
  EXPECT_EQ(guardian.until_, until);
  clock.Advance(milliseconds(1300));
  Start("boot-1");
  EXPECT_EQ(guardian.until_, until) << "it has not acted yet";
  clock.Advance(milliseconds(1000));
  Start("boot-1");
  EXPECT_GT(guardian.until_, clock.SteadyNow()) << "it has, and started a worker that must look";
}

// Killed while it ran suspend-io, and the next worker hangs before it has looked.
TEST_F(RunnerTest, ARestartBeforeTheSuspensionWasSeenDoesNotPutTheGuardianOff) {
  runner->Handle(Request("a", TransactionKind::kSuspendedSwitch));
  AnswerLook(View());
  const SteadyTime until = guardian.until_;
  clock.Advance(milliseconds(1000));
  Start("boot-1");
  EXPECT_EQ(guardian.until_, until) << "I/O would be frozen for longer than was said";
  AnswerLook(View());
  EXPECT_GT(guardian.until_, until) << "it lives, and waits for what may still come into effect";
}

TEST_F(RunnerTest, WhatWasDoneUnderAnotherBootIsDropped) {
  runner->Handle(Request("a", TransactionKind::kSuspendedSwitch));
  AnswerLook(View());
  Start("boot-2");
  EXPECT_TRUE(runner->Idle());
  EXPECT_TRUE(kernel.looks.empty());
  EXPECT_TRUE(journal.stored().entries.empty());
  runner->Handle(Request("a", TransactionKind::kSuspendedSwitch));
  EXPECT_EQ(LastCode(), "Rebooted") << "it is not done a second time";
}

TEST_F(RunnerTest, AnEntryThatIsNotUnderstoodIsLeftAlone) {
  journal.stored().boot = "boot-1";
  journal.stored().entries["x"] = "{\"journal\":99}";
  Start("boot-1");
  EXPECT_TRUE(runner->Idle());
  EXPECT_TRUE(journal.stored().entries.contains("x"));
  EXPECT_FALSE(heard.log.empty());
}

TEST_F(RunnerTest, AnEntryThatHasItsResultIsOnlyCleanedUp) {
  runner->Handle(Request("a"));
  const std::string entry = journal.stored().entries.at("a");
  runner->Cancel("a");
  AnswerLook(View());
  ASSERT_TRUE(runner->Idle());
  journal.stored().entries["a"] = entry;  // killed between the two writes
  journal.stored().boot = "boot-1";
  Start("boot-1");
  EXPECT_TRUE(runner->Idle());
  EXPECT_TRUE(journal.stored().entries.empty());
}

TEST_F(RunnerTest, AnEventEndsTheWaiting) {
  runner->Handle(Request("a"));
  AnswerLook(View());
  EXPECT_TRUE(kernel.looks.empty());
  runner->NoteChange("r2");
  clock.Advance(milliseconds(30));
  runner->Tick();
  EXPECT_TRUE(kernel.looks.empty()) << "another resource's event";
  runner->NoteChange("r1");
  runner->Tick();
  EXPECT_EQ(kernel.looks.size(), 1U);
  runner->NoteChange("r1");  // while it looks: what it reads may be older
  AnswerLook(View());
  clock.Advance(milliseconds(30));
  runner->Tick();
  EXPECT_EQ(kernel.looks.size(), 1U);
}

TEST_F(RunnerTest, ToolsThatDoNotAnswerEndWhatHasNotBegun) {
  runner->Handle(Request("a", TransactionKind::kLead));
  for (int i = 0; i < 100 && heard.results.empty(); ++i) {
    AnswerLook(Unexpected{Error{ErrorClass::kTransient, "timed out"}});
    clock.Advance(milliseconds(200));
    runner->Tick();
  }
  EXPECT_EQ(LastCode(), "ToolsSilent");
  EXPECT_TRUE(runner->Idle());
}

TEST_F(RunnerTest, StoppingRefusesWhatIsNew) {
  runner->CancelAll();
  runner->Handle(Request("a"));
  EXPECT_EQ(LastCode(), "Stopping");
}

TEST_F(RunnerTest, ACallbackAfterTheEndDoesNothing) {
  runner->Handle(Request("a"));
  auto done = std::move(kernel.looks.front());
  runner.reset();
  done(View());
  EXPECT_TRUE(kernel.commands.empty());
}

TEST_F(RunnerTest, OnlySoManyResultsAreKept) {
  for (std::size_t i = 0; i < kMaxResults + 10; ++i) {
    runner->Cancel("t" + std::to_string(i));
    runner->Handle(Request("t" + std::to_string(i)));
  }
  const std::size_t before = heard.results.size();
  runner->Handle(Request("t" + std::to_string(kMaxResults + 9)));
  EXPECT_EQ(heard.results.size(), before + 1);
  EXPECT_TRUE(runner->Idle());
  runner->Handle(Request("t0"));
  EXPECT_FALSE(runner->Idle()) << "the oldest is forgotten";
}

}  // namespace
}  // namespace breakwater::agent::testing
