#pragma once

/// The planner's insides: one object per call of Next(). Not for use outside this folder.

#include <string>
#include <utility>
#include <vector>

#include "operator/core/tls_migration/planner.h"

namespace breakwater::tls_migration::internal {

class Planner {
 public:
  Planner(const ResourceObservation& seen,
          const Goal& goal,
          RunState run,
          SystemTime now,
          GatePolicy policy)
      : seen_(seen), goal_(goal), run_(std::move(run)), now_(now), policy_(policy) {}

  Decision Decide();

 private:
  using Ops = std::vector<NodeOp>;

  // planner.cc: start, heal, reports
  void TrackStale();
  std::vector<StalePeer> DueStale() const;
  Decision PlanStart();
  Decision PlanStartSwitch(const std::vector<Pair>& pairs);
  std::optional<Decision> PlanStartRepair();
  std::optional<Decision> PlanHeal();
  Decision PlanHealStep();
  Decision HealNow(const StalePeer& stale);
  bool LinstorNeedsCleanup() const;

  // pair_by_pair.cc
  Decision PlanNextPair();
  Decision PlanCut();
  Decision CutNow(const ConnectionView& connection);
  Decision PlanReconnect();
  Decision PlanOther(const Pair& pair);
  Decision PlanReconfigure(const ConnectionView& connection, bool want);
  Decision PlanConnected(const ConnectionView& connection, bool want);
  Decision PlanNotConnected(const ConnectionView& connection);
  std::optional<Decision> PlanPins();
  std::optional<Decision> PlanPairProperty(const Pair& pair, bool want);
  Decision PlanStuck(const GateResult& gate);
  Decision RollBackFrom(std::string failure);
  std::optional<Decision> PlanNoProof(const GateResult& gate);

  // suspend_io.cc
  Decision PlanPrepare();
  Decision PlanSuspend();
  Decision PlanNothingSuspended();
  Decision BeginSuspension(const std::string& primary);
  Decision PlanSuspended(const std::string& primary);
  Decision PlanSwitchSuspended(const std::string& primary);
  Decision PlanAfterWatchdog();
  Decision BringBack(const std::string& why, bool fast);
  Decision PlanLeftoverCut();
  void RollBackSuspended(const std::string& failure);
  Decision PlanResume();
  Ops CutSecondaries(const std::string& primary) const;
  Ops NetOptionsWhereWrong(bool also_connected) const;
  enum class Which { kOfPrimary, kSecondaries };
  Ops ConnectWhereStandAlone(Which which, bool expect_all) const;
  void AddConnects(RunOnNodes* run, bool expect_all, bool fast) const;
  Ops Disarms() const;
  int WatchdogSeconds() const;
  SystemTime LastForcedCut() const;

  // finish.cc
  Decision PlanFinish();
  std::optional<Decision> PlanLinstorCleanup();
  /// What the kernel is configured to, per connection; nothing when an end is not known or the two
  /// differ.
  std::optional<std::map<PairKey, bool>> Runs() const;

  // what a connection shall be: the goal, or while rolling back what it ran before
  bool Target(const Pair& pair) const;
  std::map<Pair, bool> Targets() const;
  GateResult Gate(bool may_be_suspended = false) const;
  bool AllConnected() const;
  bool AllConfigured() const;
  bool AnyCut() const;
  std::vector<Pair> DownPairs() const;

  // decisions
  Decision Make(Action action, std::string why, std::chrono::milliseconds poll) const;
  Decision WaitFor(std::string why,
                   std::chrono::milliseconds poll = std::chrono::milliseconds(1000)) const;
  Decision Act(Action action,
               std::string why,
               std::chrono::milliseconds poll = std::chrono::milliseconds(300));
  Decision End(Finished::Result result, std::string why);
  /// Enters a step; the same step with the same pair keeps its start time and attempts.
  void Enter(Step step, std::optional<Pair> pair = std::nullopt);

  bool TooEarly() const { return now_ < run_.not_before; }

  std::chrono::milliseconds InStep() const {
    return std::chrono::duration_cast<std::chrono::milliseconds>(now_ - run_.journal.started_at);
  }

  const ResourceObservation& seen_;
  const Goal& goal_;
  RunState run_;
  const SystemTime now_;
  const GatePolicy policy_;
};

}  // namespace breakwater::tls_migration::internal
