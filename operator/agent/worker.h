#pragma once

/// The worker: everything of the agent except the supervisor, in one loop.
///
///   events2 -> NodeWatch -> Server -> operator -> Server -> Runner -> DrbdKernel -> drbdsetup
///
/// What an earlier worker left in the journal is finished first of all.

#include <chrono>
#include <string>

namespace breakwater::agent {

struct WorkerOptions {
  std::string run_dir = "/run/breakwater";
  std::string res_dir = "/var/lib/linstor.d";
  std::string node{};
  int guard_fd = -1;  ///< the link to the supervisor; -1: none, and nothing may be suspended
  bool files_by_cat = false;
  std::chrono::milliseconds pace{60000};  ///< of the full status (F25)
};

/// Until SIGTERM, or until the supervisor is gone: then all transactions are brought to their safe
/// end. Returns the exit code: 0 when they came to it.
int RunWorker(const WorkerOptions& options);

}  // namespace breakwater::agent
