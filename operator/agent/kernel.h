#pragma once

/// What the acting part of the agent needs from the world: DRBD's tools, a place that outlives the
/// process, somebody who resumes when the process is gone, and somebody who is told. The real ones
/// are made in main.cc, the simulator's in testing/.
/// Thread safety: everything is called from the agent's one thread. A callback is called later from
/// the loop of that thread, never from inside the call that got it.

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "operator/base/clock.h"
#include "operator/base/error.h"
#include "operator/base/result.h"
#include "operator/core/replication/protocol/messages.h"
#include "operator/core/replication/transaction/transaction.h"

namespace breakwater::agent {

/// DRBD's tools on this node.
class Kernel {
 public:
  using LookDone = std::function<void(Result<replication::LocalView, Error>)>;
  /// What the program wrote on its standard error, cut to a bound. exit_code is -1 when it was not
  /// started or ended by a signal or by a time limit.
  using RunDone = std::function<void(int exit_code, std::string error_text)>;

  virtual ~Kernel() = default;

  /// Reads one resource anew: `drbdsetup status --json RES`, and what `scope` names. Nothing of an
  /// earlier look is used. `view.at` is taken before the first program starts. An error means that
  /// the tools did not answer; a resource that is not up is a view without status.
  virtual void Look(const std::string& resource, replication::LookScope scope, LookDone done) = 0;

  /// Runs ToArguments(command). A time limit of a few seconds is the implementation's: a program
  /// that hangs is ended and reported as -1.
  virtual void Run(const replication::DrbdCommand& command, RunDone done) = 0;
};

/// What was written earlier, by this process or by one before it.
struct StoredJournal {
  /// The kernel's boot id under which all of it was written, "" when nothing was ever written.
  std::string boot{};
  /// Transaction id -> text of EncodeJournal, in the order of the ids.
  std::map<std::string, std::string> entries{};
  /// Lines of Encode(ResultMessage), oldest first.
  std::vector<std::string> results{};
  /// The highest epoch that was noted.
  std::int64_t epoch = 0;
};

/// The journal: small files in a directory that outlives the process. A write is complete on return
/// (written aside and renamed) or an error; a reader never sees half of one.
class JournalStore {
 public:
  virtual ~JournalStore() = default;

  /// Everything; entries and results that cannot be read are left out and put aside.
  virtual Result<StoredJournal, Error> LoadAll() = 0;
  /// Forgets everything, from then on writes under this boot id.
  virtual Result<void, Error> Clear(const std::string& boot) = 0;
  /// Replaces the entry.
  virtual Result<void, Error> Write(const std::string& id, std::string_view text) = 0;
  virtual void Remove(const std::string& id) = 0;
  /// Keeps a result; drops the oldest ones above kMaxResults.
  virtual Result<void, Error> WriteResult(const std::string& id, std::string_view line) = 0;
  virtual Result<void, Error> WriteEpoch(std::int64_t epoch) = 0;
};

/// How many results are kept for repeated requests.
inline constexpr std::size_t kMaxResults = 512;

/// Resumes when this process cannot any more: the supervisor (DESIGN I1).
class Guardian {
 public:
  virtual ~Guardian() = default;

  /// Resume these minors a moment after `until` unless Release is called before. False: nobody
  /// listens; then nothing may be suspended. The same id again replaces what was said.
  virtual bool Guard(const std::string& id, const std::vector<int>& minors, SteadyTime until) = 0;
  /// The suspension has ended, or must not be ended blindly. Unknown ids are ignored.
  virtual void Release(const std::string& id) = 0;
};

/// Who is told what happens; the talking part sends it on. Called from inside the Runner's
/// functions: must not call the Runner.
class RunnerEvents {
 public:
  virtual ~RunnerEvents() = default;

  /// Phase, direction or arming changed.
  virtual void OnProgress(const replication::ProgressMessage& progress) = 0;
  /// Once per request, and again for a request whose id was seen before.
  virtual void OnResult(const replication::ResultMessage& result) = 0;
  /// For the log: what is done and why, in one line.
  virtual void OnLog(const std::string& line) = 0;
};

}  // namespace breakwater::agent
