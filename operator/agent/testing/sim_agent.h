#pragma once

/// The agents of simulated nodes: ports of the Runner onto drbd-sim, a supervisor that acts as the
/// guardian, and a loop that moves virtual time. An agent can be killed at any command and started
/// again on its journal.
///
///   SimAgents agents(&cluster);
///   agents.Start("node1");
///   agents["node1"].runner()->Handle(request);
///   agents.Advance(Millis(5000));
///
/// Thread safety: none.

#include <algorithm>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "operator/agent/act/runner.h"
#include "operator/agent/kernel.h"
#include "operator/core/replication/node/parse.h"
#include "tests/e2e/sim/drbd/cluster.h"

namespace breakwater::agent::testing {

/// The cluster's virtual time as a monotonic clock.
class SimClock final : public Clock {
 public:
  explicit SimClock(sim::Cluster* cluster) : cluster_(*cluster) {}

  SystemTime SystemNow() const override { return SystemTime{cluster_.now()}; }

  SteadyTime SteadyNow() const override { return ToSteady(cluster_.now()); }

  bool SleepUntil(std::stop_token /*stop*/, SteadyTime /*time*/) const override { return true; }

  /// Not 0 at the start: a journal's times must not depend on that.
  static SteadyTime ToSteady(sim::Time time) { return SteadyTime{std::chrono::hours(1) + time}; }

  static sim::Time ToSim(SteadyTime time) {
    // Up: time that is a fraction of a microsecond early would never come.
    return std::chrono::ceil<sim::Time>(time.time_since_epoch() - std::chrono::hours(1));
  }

 private:
  sim::Cluster& cluster_;
};

/// What a node keeps in the emptyDir. Outlives the agent's process.
class MemoryJournal final : public JournalStore {
 public:
  Result<StoredJournal, Error> LoadAll() override { return stored_; }

  Result<void, Error> Clear(const std::string& boot) override {
    const std::int64_t epoch = stored_.epoch;
    stored_ = {.boot = boot, .epoch = epoch};
    return {};
  }

  Result<void, Error> Write(const std::string& id, std::string_view text) override {
    ++writes;
    if (fail_from != 0 && writes >= fail_from) {
      return Unexpected{Error{ErrorClass::kTransient, "no space left on device"}};
    }
    stored_.entries[id] = std::string(text);
    return {};
  }

  void Remove(const std::string& id) override { stored_.entries.erase(id); }

  Result<void, Error> WriteResult(const std::string& /*id*/, std::string_view line) override {
    stored_.results.emplace_back(line);
    return {};
  }

  Result<void, Error> WriteEpoch(std::int64_t epoch) override {
    stored_.epoch = epoch;
    return {};
  }

  StoredJournal& stored() { return stored_; }

  int writes = 0;
  int fail_from = 0;  ///< this write and all later ones fail; 0: none

 private:
  StoredJournal stored_{};
};

/// When an agent dies, counted in commands that it runs. The tests try every number.
struct KillPlan {
  enum class When {
    kBefore,        ///< the journal is written, the command is not begun
    kDuring,        ///< the command is begun and ends with the agent
    kDuringRunsOn,  ///< the command is begun and runs on
    kAfter,         ///< the command has ended, nobody has noticed
  };

  int command = 0;  ///< 1: at the first; 0: never
  When when = When::kBefore;
};

/// One node's agent with its supervisor.
class SimAgent final : public Guardian, public RunnerEvents {
 public:
  SimAgent(sim::Cluster* cluster, std::string node)
      : cluster_(*cluster), clock_(cluster), node_(std::move(node)) {}

  SimAgent(const SimAgent&) = delete;
  SimAgent& operator=(const SimAgent&) = delete;

  Runner* runner() { return runner_.get(); }

  MemoryJournal& journal() { return journal_; }

  /// Starts the process; Restore included.
  void Start(const std::string& boot = "boot") {
    process_ = std::make_shared<Process>();
    port_ = std::make_unique<Port>(this, process_);
    runner_ = std::make_unique<Runner>(RunnerOptions{.boot = boot}, port_.get(), &journal_, this,
                                       &clock_, this, [this] {
                                         random_ = random_ * 1664525U + 1013904223U;
                                         return random_ >> 8U;
                                       });
    runner_->Restore();
  }

  /// kill -9.
  void Kill() {
    if (process_) {
      process_->dead = true;
    }
    runner_.reset();
    process_.reset();
  }

  bool running() const { return process_ && !process_->dead; }

  /// Buries a process that died inside one of its own calls; the supervisor acts.
  void Supervise() {
    if (process_ && process_->dead) {
      Kill();
    }
    const SteadyTime now = clock_.SteadyNow();
    for (auto it = guarded_.begin(); it != guarded_.end();) {
      if (now < it->second.until + std::chrono::milliseconds(500)) {
        ++it;
        continue;
      }
      ++guardian_acts;
      for (const int minor : it->second.minors) {
        cluster_.Start(node_, sim::kSatelliteContainer,
                       {"drbdsetup", "resume-io", std::to_string(minor)}, nullptr,
                       {.detached = true});
      }
      it = guarded_.erase(it);
      if (running()) {
        Kill();
        Start();
      }
    }
  }

  std::optional<SteadyTime> NextWake() const {
    std::optional<SteadyTime> next = runner_ ? runner_->NextWake() : std::nullopt;
    for (const auto& [id, guard] : guarded_) {
      const SteadyTime at = guard.until + std::chrono::milliseconds(500);
      next = next ? std::min(*next, at) : at;
    }
    return next;
  }

  void Tick() {
    if (!runner_) {
      return;
    }
    // events2: the kernel's log has a line for every event.
    const auto& dmesg = cluster_.world().GetNode(node_).dmesg;
    const std::string last = dmesg.empty() ? "" : dmesg.back();
    if (events && last != last_event_) {
      last_event_ = last;
      runner_->NoteChangeAll();
    }
    runner_->Tick();
  }

  // --- Guardian: the pipe to the supervisor. It outlives the worker.
  bool Guard(const std::string& id, const std::vector<int>& minors, SteadyTime until) override {
    if (no_guardian) {
      return false;
    }
    guarded_[id] = {minors, until};
    return true;
  }

  void Release(const std::string& id) override { guarded_.erase(id); }

  // --- RunnerEvents
  void OnProgress(const replication::ProgressMessage& message) override {
    progress[message.id] = message;
  }

  void OnResult(const replication::ResultMessage& message) override {
    results[message.id] = message.result;
    result_log.push_back(message);
  }

  void OnLog(const std::string& line) override {
    log.push_back(std::to_string(cluster_.now().count() / 1000) + " " + node_ + " " + line);
  }

  std::map<std::string, replication::ProgressMessage> progress{};
  std::map<std::string, replication::TransactionResult> results{};
  std::vector<replication::ResultMessage> result_log{};
  std::vector<std::string> log{};
  KillPlan kill{};        ///< of this process; used up by it
  int commands = 0;       ///< that it has begun, over all its lives
  int guardian_acts = 0;  ///< how often the supervisor had to resume
  bool events = true;     ///< events2 works
  bool no_guardian = false;
  int silent_looks = 0;  ///< that many looks fail

 private:
  struct Process {
    bool dead = false;
  };

  class Port final : public Kernel {
   public:
    Port(SimAgent* agent, std::shared_ptr<Process> process)
        : agent_(*agent), process_(std::move(process)) {}

    void Look(const std::string& resource, replication::LookScope scope, LookDone done) override {
      auto view = std::make_shared<replication::LocalView>();
      view->at = agent_.clock_.SteadyNow();
      const auto finish = [done, view, process = process_] {
        if (!process->dead) {
          done(*view);
        }
      };
      const auto sockets = [this, scope, view, finish] {
        if (!scope.sockets) {
          finish();
          return;
        }
        Program({"ss", "-tniH"}, [view, finish](const sim::ExecResult& result) {
          view->sockets = replication::ParseSockets(result.out);
          finish();
        });
      };
      const auto show = [this, resource, scope, view, sockets] {
        if (!scope.show) {
          sockets();
          return;
        }
        Program({"drbdsetup", "show", resource, "--json", "--show-defaults"},
                [resource, view, sockets](const sim::ExecResult& result) {
                  if (auto all = replication::ParseShow(result.out);
                      all && all->contains(resource)) {
                    view->show = all->at(resource);
                  }
                  sockets();
                });
      };
      const bool silent = agent_.silent_looks > 0;
      agent_.silent_looks -= silent ? 1 : 0;
      Program(
          {"drbdsetup", "status", resource, "--json"},
          [resource, view, show, silent, done, process = process_](const sim::ExecResult& result) {
            if (silent && !process->dead) {
              done(Unexpected{Error{ErrorClass::kTransient, "timed out"}});
              return;
            }
            if (auto all = replication::ParseStatus(result.out); all && all->contains(resource)) {
              view->status = all->at(resource);
            }
            show();
          });
    }

    void Run(const replication::DrbdCommand& command, RunDone done) override {
      const int number = ++agent_.commands;
      const bool dies = number == agent_.kill.command;
      using When = KillPlan::When;
      const When when = agent_.kill.when;
      if (dies && when == When::kBefore) {
        process_->dead = true;
        return;
      }
      sim::Launch launch;                 // not the guardian: this one has looked
      if (when != When::kDuringRunsOn) {  // ends with its parent
        launch.abandoned = [process = process_] { return process->dead; };
      }
      agent_.cluster_.Start(
          agent_.node_, sim::kSatelliteContainer, ToArguments(command),
          [done = std::move(done), process = process_, dies, when](const sim::ExecResult& result) {
            process->dead = process->dead || (dies && when == When::kAfter);
            if (!process->dead) {
              done(result.exit, result.err);
            }
          },
          launch);
      if (dies && when != When::kAfter) {
        process_->dead = true;
      }
    }

   private:
    void Program(const std::vector<std::string>& argv, sim::Shell::Done done) {
      agent_.cluster_.Start(agent_.node_, sim::kSatelliteContainer, argv, std::move(done));
    }

    SimAgent& agent_;
    std::shared_ptr<Process> process_;
  };

  struct Guarded {
    std::vector<int> minors{};
    SteadyTime until{};
  };

  sim::Cluster& cluster_;
  SimClock clock_;
  const std::string node_;
  MemoryJournal journal_{};
  std::map<std::string, Guarded> guarded_{};
  std::shared_ptr<Process> process_{};
  std::unique_ptr<Port> port_{};
  std::unique_ptr<Runner> runner_{};
  std::string last_event_{};
  std::uint32_t random_ = 1;
};

/// All agents of a cluster and the loop around them.
class SimAgents {
 public:
  explicit SimAgents(sim::Cluster* cluster) : cluster_(*cluster) {}

  SimAgent& operator[](const std::string& node) {
    auto& agent = agents_[node];
    if (!agent) {
      agent = std::make_unique<SimAgent>(&cluster_, node);
    }
    return *agent;
  }

  void Start(const std::string& node) { (*this)[node].Start(); }

  /// Moves time to the next thing that happens, at most to `end`.
  void Step(sim::Time end) {
    sim::Time next = end;
    if (const auto event = cluster_.next_event()) {
      next = std::min(next, *event);
    }
    for (const auto& [node, agent] : agents_) {
      if (const auto wake = agent->NextWake()) {
        next = std::min(next, SimClock::ToSim(*wake));
      }
    }
    cluster_.AdvanceTo(std::max(next, cluster_.now()));
    for (const auto& [node, agent] : agents_) {
      agent->Supervise();
      agent->Tick();
    }
    if (on_step) {
      on_step();
    }
  }

  void Advance(sim::Time duration) {
    const sim::Time end = cluster_.now() + duration;
    while (cluster_.now() < end) {
      Step(end);
    }
  }

  /// False when it does not hold within `limit`.
  bool WaitFor(const std::function<bool()>& condition, sim::Time limit) {
    const sim::Time end = cluster_.now() + limit;
    while (!condition()) {
      if (cluster_.now() >= end) {
        return false;
      }
      Step(end);
    }
    return true;
  }

  std::vector<std::string> Log() const {
    std::vector<std::string> all;
    for (const auto& [node, agent] : agents_) {
      all.insert(all.end(), agent->log.begin(), agent->log.end());
    }
    std::stable_sort(all.begin(), all.end(), [](const std::string& a, const std::string& b) {
      return std::stoll(a) < std::stoll(b);
    });
    return all;
  }

  std::function<void()> on_step{};  ///< after every step: for what must hold at every moment

 private:
  sim::Cluster& cluster_;
  std::map<std::string, std::unique_ptr<SimAgent>> agents_{};
};

}  // namespace breakwater::agent::testing
