// The commands of a node: drbdadm, drbdsetup, ss, cat, head, stat, dmesg and the log readers.
//
// A command takes simulated time: Start() returns at once and `done` is called from an event.
// Not thread-safe; world, kernel and writers must outlive it.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "tests/e2e/sim/drbd/events.h"
#include "tests/e2e/sim/drbd/kernel.h"
#include "tests/e2e/sim/drbd/res_file.h"
#include "tests/e2e/sim/drbd/writers.h"

namespace breakwater::sim {

struct ExecResult {
  int exit = 0;
  std::string out;
  std::string err;
  bool passthrough = false;  // not ours: the caller shall run the real program
};

// How a command was started.
struct Launch {
  bool detached = false;  // leads a session of its own (setsid), as a watchdog does (F23)
  // True: the client that started it is gone. Checked between the steps of the command, which then
  // lives on unless SimConfig::kill_with_client says otherwise.
  std::function<bool()> abandoned;
  // Takes the output of a command that goes on until it is abandoned (events2 without --now).
  // Without it such a command ends after its first output.
  std::function<void(const std::string& text)> stream;
};

// One command that ran, for tests that assert order.
struct TraceEntry {
  Time start{0};
  Time end{0};
  std::string node;
  std::vector<std::string> argv;
  int exit = -1;  // -1: still running
};

// Makes matching commands of a node misbehave.
struct CommandFault {
  std::string node;     // empty: any
  std::string pattern;  // substring of the command line
  int exit = 0;
  std::string err;
  int times = 1;  // < 0: for ever
  Millis delay{0};
  bool hang = false;
  bool fail = true;  // false: only delayed
};

class Shell {
 public:
  using Done = std::function<void(const ExecResult&)>;

  Shell(World& world, Kernel& kernel, Writers& writers, EventFeed& feed)
      : world_(world), kernel_(kernel), writers_(writers), feed_(feed) {}

  // F33: no drbdadm command works on this node, because of any file.
  [[nodiscard]] bool ConfigBroken(const Node& node) const {
    return !LoadConfig(node).error.empty();
  }

  void Start(const std::string& node,
             const std::string& container,
             const std::vector<std::string>& argv,
             Done done,
             Launch launch = {});

  void AddFault(const CommandFault& fault) { faults_.push_back(fault); }

  void ClearFaults() { faults_.clear(); }

  // The last commands, oldest first; the list is bounded.
  [[nodiscard]] const std::deque<TraceEntry>& trace() const { return trace_; }

  void ClearTrace() {
    trace_forgotten_ += trace_.size();
    trace_.clear();
  }

  // --- for the command implementations (cmd_*.cc)
  enum class Flow { kNext, kAgain, kMuchLater };

  struct Job;

  struct Step {
    Time delay{0};
    std::function<Flow(Job&)> run;
  };

  struct Job {
    std::string node;
    std::string container;
    std::vector<std::string> argv;
    std::vector<std::string> words;    // argv[1..] without options
    std::vector<std::string> options;  // argv[1..] that start with '-'
    ExecResult result;
    std::deque<Step> steps;
    Done done;
    Launch launch;
    std::uint64_t stream = 0;  // of events2, 0: none
    std::uint64_t trace = 0;   // counted from the start of the simulation

    [[nodiscard]] bool Has(std::string_view option) const;
  };

  // One kernel-changing drbdsetup call of drbdadm.
  struct Action {
    int stage = 0;
    std::string resource;
    std::string text;  // as `drbdadm -d` prints it
    std::function<KernelResult()> run;
  };

 private:
  // A connection or volume that a command addresses.
  struct Target {
    std::string resource;
    std::string peer;  // empty: all
    int volume = -1;   // -1: all
  };

  struct Config {
    std::map<std::string, ResFile> resources;
    std::string error;
  };

  void RunNext(const std::shared_ptr<Job>& job);
  void Finish(const std::shared_ptr<Job>& job);
  bool ApplyFaults(const std::shared_ptr<Job>& job);
  void Dispatch(Job& job);

  [[nodiscard]] Node& NodeOf(const Job& job) { return world_.GetNode(job.node); }

  static void Fail(Job& job, int exit, const std::string& text);

  // drbdadm (cmd_drbdadm.cc, cmd_adjust.cc)
  void Drbdadm(Job& job);
  [[nodiscard]] Config LoadConfig(const Node& node) const;
  std::vector<Target> Resolve(Job& job, const Config& config);
  void AdmAdjust(Job& job, const Config& config, const std::vector<Target>& targets);
  void AdmDump(Job& job, const Config& config, const std::vector<Target>& targets);
  void AdmSimple(Job& job,
                 const Config& config,
                 const std::string& command,
                 const std::vector<Target>& targets);
  void AdmDisconnect(Job& job, const std::vector<Target>& targets);
  void AdmInvalidate(Job& job, const std::string& command, const Target& target, int volume);
  void AdmPerVolume(Job& job, const std::string& command, const Target& target);
  void AdmMetadata(Job& job,
                   const Config& config,
                   const std::string& command,
                   const std::vector<Target>& targets);
  std::vector<Action> PlanAdjust(const std::string& node,
                                 const ResFile& file,
                                 const std::string& only_peer);
  void PlanNew(std::vector<Action>& plan, Node& node, const ResFile& file);
  void PlanPeerVolumes(std::vector<Action>& plan,
                       Node& node,
                       const ResFile& file,
                       const Connection& connection);
  void PlanPeers(std::vector<Action>& plan,
                 Node& node,
                 const ResFile& file,
                 const std::string& only_peer);
  void PlanDisks(std::vector<Action>& plan, Node& node, const ResFile& file);
  void PlanRemovals(std::vector<Action>& plan, Node& node, const ResFile& file);
  void QueueActions(Job& job, std::vector<Action> actions, bool stop_at_error);
  void RunAction(Job& job, const Action& action);

  // drbdsetup (cmd_drbdsetup.cc)
  void Drbdsetup(Job& job);
  void SetupChange(Job& job, const std::string& command);
  void SetupConnection(Job& job, Resource& resource, const std::string& command);
  void SetupNetOptions(Job& job, const End& end);
  [[nodiscard]] End NamedEnd(const std::string& node, Resource& resource, const std::string& word);
  void SetupStatus(Job& job);
  void SetupEvents(Job& job, const std::string& resource);
  [[nodiscard]] Time StartTime(const Job& job);
  void SetupShow(Job& job);
  void SetupXmlHelp(Job& job);
  void SetupMinor(Job& job, const std::string& command);
  void QueueSuspend(Job& job, const std::string& resource, int minor);
  void WaitStandAlone(Job& job, const std::string& resource, int peer_id);

  // everything else (cmd_files.cc, cmd_ss.cc)
  void CatOrHead(Job& job);
  void Stat(Job& job);
  void Ls(Job& job);
  // A folder that a node of this kind has.
  [[nodiscard]] bool HasDirectory(const Job& job, const std::string& path);
  void Ss(Job& job);
  bool ReadFile(const Job& job, const std::string& path, std::string& text);

  World& world_;
  Kernel& kernel_;
  Writers& writers_;
  EventFeed& feed_;
  std::vector<CommandFault> faults_;
  std::deque<TraceEntry> trace_;
  std::uint64_t trace_forgotten_ = 0;
};

}  // namespace breakwater::sim
