#pragma once

/// Supervisor: process 1 of the agent's container. Starts the worker, starts it again when it dies
/// or hangs, and is the guardian of what the worker has suspended: when the time that was said for
/// a suspension is over and the worker has not released it, the worker is killed, `drbdsetup
/// resume-io` is run here, and a new worker finishes the rest from its journal. Safe without a
/// look: the worker cuts gracefully only, so the Primary keeps quorum and data (F26.4). It reads
/// nothing of the node and decides nothing: the less it does, the less can be wrong in it.

#include <chrono>
#include <string>
#include <vector>

namespace breakwater::agent {

struct SupervisorOptions {
  /// The program and the arguments of the worker; "--guard-fd N" is added.
  std::string worker_program = "/proc/self/exe";
  std::vector<std::string> worker_arguments{"breakwater-agent", "worker"};
  /// How long after the end of a suspension's time the worker is given to say that it has ended.
  std::chrono::milliseconds grace{500};
  /// A worker that says nothing for so long hangs: while something is suspended, and else. The
  /// latter bounds for how long a connection stays cut that its Lead has just cut.
  std::chrono::milliseconds hung_armed{3000};
  std::chrono::milliseconds hung{10000};
  /// From SIGTERM until the worker is killed; the pod's grace period is 30 s.
  std::chrono::milliseconds stop{25000};
};

/// How often a worker says "alive": while something is suspended, and else.
inline constexpr std::chrono::milliseconds kAliveArmed{1000};
inline constexpr std::chrono::milliseconds kAlive{3000};

/// Until SIGTERM or SIGINT. Returns the exit code: 0 when the worker came to its safe end.
int RunSupervisor(const SupervisorOptions& options);

}  // namespace breakwater::agent
