#pragma once

/// AgentActor: the agent's worker of one node, with its supervisor: the real Runner and its state
/// machines on the simulated DRBD. What outlives a process is in here and not in the Runner: the
/// journal (dies with the node), and what the guardian was told (dies with the container).

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "operator/agent/act/runner.h"
#include "operator/agent/kernel.h"
#include "tests/walks/actor.h"

namespace breakwater::walks {

/// Guards that a negative control takes away, to see the walks fail without them.
enum class WithoutGuard {
  kNone,
  kGuardian,  ///< nobody resumes for an agent that hangs
  kForce,     ///< connections are cut with --force, as the documented procedure does
  kStale,     ///< an Outdated peer disk and blocks out of sync are not looked at
};

/// Virtual time as the agent's and the operator's clock.
class StageClock final : public Clock {
 public:
  explicit StageClock(const Stage& stage) : stage_(stage) {}

  SystemTime SystemNow() const override {
    return SystemTime(std::chrono::seconds(1800000000)) + stage_.cluster.now();
  }

  SteadyTime SteadyNow() const override {
    return SteadyTime(std::chrono::hours(1)) + stage_.cluster.now();
  }

  bool SleepUntil(std::stop_token, SteadyTime) const override { return false; }

 private:
  const Stage& stage_;
};

/// Told of what the agents do to the volume: the measure of the walk.
class Witness {
 public:
  virtual ~Witness() = default;
  virtual void Suspended(const std::string& node) = 0;
  virtual void Cut(const std::string& node, int peer_id) = 0;
};

class AgentActor final : public Actor,
                         public agent::Kernel,
                         public agent::JournalStore,
                         public agent::Guardian,
                         public agent::RunnerEvents {
 public:
  using Told = std::function<void(const replication::AgentMessage&)>;

  AgentActor(
      Stage& stage, std::string node, std::string resource, Witness& witness, WithoutGuard without);
  ~AgentActor() override;

  const std::string& node() const { return node_; }

  /// A stream of the operator begins.
  struct Stream {
    std::int64_t epoch = 0;
    std::uint64_t number = 0;  ///< a later one has a higher number
  };

  /// What it is sent first.
  std::vector<replication::AgentMessage> Hello(const Stream& stream);
  void Handle(const Stream& stream, const replication::OperatorMessage& message);
  /// Where progress, results and reports go; called from this life only.
  Told told{};
  /// The streams to this process are gone.
  std::function<void()> lost{};
  /// The agent's log, when somebody wants it.
  std::function<void(const std::string&)> log{};

  /// Supervisor and worker at once; the kubelet starts the container again after `back`.
  void KillContainer(Millis back);
  /// SIGTERM, and a new container after `back`: as when the satellite's pod is restarted.
  void Terminate(Millis back);
  /// The node went down or came up: journal and guards are gone, the kernel is another one.
  void NodeCrashed();
  void NodeBooted();

  /// What is under way, for people.
  std::vector<std::string> Transactions() const;

  bool container_up() const { return container_up_; }

  double journal_failures = 0;

  // Kernel
  void Look(const std::string& resource, replication::LookScope scope, LookDone done) override;
  void Run(const replication::DrbdCommand& command, RunDone done) override;
  // JournalStore
  Result<agent::StoredJournal, Error> LoadAll() override;
  Result<void, Error> Clear(const std::string& boot) override;
  Result<void, Error> Write(const std::string& id, std::string_view text) override;
  void Remove(const std::string& id) override;
  Result<void, Error> WriteResult(const std::string& id, std::string_view line) override;
  Result<void, Error> WriteEpoch(std::int64_t epoch) override;
  // Guardian
  bool Guard(const std::string& id, const std::vector<int>& minors, SteadyTime until) override;
  void Release(const std::string& id) override;
  // RunnerEvents
  void OnProgress(const replication::ProgressMessage& progress) override;
  void OnResult(const replication::ResultMessage& result) override;
  void OnLog(const std::string& line) override;

 private:
  struct Armed {
    std::vector<int> minors{};
    SteadyTime until{};
  };

  void Died() override;
  void Started() override;
  void Stopped() override;
  void MakeRunner();
  void ArmTick();
  void Watch(std::uint64_t loop);
  std::string Fingerprint();
  void GuardianActs();
  void Hide(replication::LocalView* view) const;

  const std::string node_;
  const std::string resource_;
  Witness& witness_;
  const WithoutGuard without_;
  StageClock clock_;
  agent::StoredJournal stored_{};
  int boots_ = 1;
  bool container_up_ = true;
  bool node_up_ = true;
  std::uint64_t container_life_ = 1;
  std::map<std::string, Armed> guards_{};
  std::unique_ptr<agent::Runner> runner_;
  Stream obeyed_{};  ///< the newest stream (operator/agent/talk/server.cc)
  std::uint64_t tick_ = 0;
  std::uint64_t watch_ = 0;
  std::string shown_{};
};

}  // namespace breakwater::walks
