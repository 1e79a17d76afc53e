#pragma once

/// Children: starts programs by name (PATH) and argument vector, never by a shell. Each is a
/// process group of its own and dies with this process (PR_SET_PDEATHSIG): a command that outlives
/// who asked for it would act on a node that has moved on.
/// Thread safety: none, runs in the loop's thread.

#include <chrono>
#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <sys/types.h>

#include "operator/agent/process/fd.h"
#include "operator/agent/process/loop.h"

namespace breakwater::agent {

struct ChildResult {
  /// Exit code; -1: not started, ended by a signal, or by the time limit. 127: no such program.
  int exit_code = -1;
  std::string output{};  ///< standard output
  std::string error{};   ///< standard error, at most kMaxErrorBytes
  bool timed_out = false;
  bool truncated = false;  ///< there was more output than allowed; what is here is its begin
};

inline constexpr std::size_t kMaxErrorBytes = 4096;

struct ChildLimits {
  std::chrono::milliseconds time{10000};  ///< then SIGKILL for the whole process group
  std::size_t output_bytes = std::size_t{32} << 20U;
};

class Children {
 public:
  using Done = std::function<void(ChildResult result)>;

  /// Takes over SIGCHLD of the loop.
  explicit Children(Loop* loop);
  /// Kills what is left.
  ~Children();
  Children(const Children&) = delete;
  Children& operator=(const Children&) = delete;

  /// Runs a program to its end. `done` is called from the loop, once.
  void Run(const std::vector<std::string>& arguments, const ChildLimits& limits, Done done);

  /// Runs a program that goes on: `on_bytes` gets its output as it comes. `done` as above, without
  /// output; there is no limit of time. Returns a handle for Kill.
  int Stream(const std::vector<std::string>& arguments,
             std::function<void(std::string_view bytes)> on_bytes,
             Done done);

  /// SIGKILL for its process group; its `done` comes as usual.
  void Kill(int handle);

  /// Programs that have not ended.
  std::size_t running() const { return children_.size(); }

 private:
  struct Child;

  Child* Start(const std::vector<std::string>& arguments);
  void Read(int handle, bool error);
  void Reap();
  void FinishIfComplete(int handle);
  void Finish(int handle);
  void KillGroup(const Child& child) const;

  Loop* const loop_;
  int next_handle_ = 0;
  std::map<int, std::unique_ptr<Child>> children_;
};

/// Starts a program: own process group, signals as a fresh process has them, /dev/null as standard
/// input, SIGKILL when this process ends. `output` and `error` become its standard streams (-1: as
/// ours). Returns the process id, -1 when the kernel refuses.
pid_t Spawn(const std::vector<std::string>& arguments, int output, int error);

}  // namespace breakwater::agent
