#pragma once

/// Runner: does the transactions of this node. The pure state machines (core/replication/
/// transaction) say what comes next; the Runner looks right before every step, writes the journal
/// before the step, runs it, and looks again. It has no I/O, thread or timer of its own.
///
///   Runner runner(options, kernel, journal, guardian, clock, events, random);
///   runner.Restore();                  // what an earlier process left is finished or undone
///   loop: runner.Handle(request); runner.NoteChange("r1"); runner.Tick(); sleep to NextWake()
///
/// Rules that are its own (the rest is the state machines'):
/// - A request is done at most once: the same id again gets its progress, or the result it had.
/// - An epoch older than one that was seen is refused ("Epoch").
/// - One transaction per connection (F29.3); see MayRunTogether. Others are refused ("Busy").
/// - When the journal cannot be written, nothing begins ("Journal"), and what is under way is
///   brought to its safe end.
/// - Before a suspension the guardian knows of it, or there is none ("NoGuardian").
/// - What was done under another boot is dropped: that kernel is gone, and all we did with it.
/// Thread safety: none, one thread.

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "operator/agent/kernel.h"
#include "operator/base/clock.h"
#include "operator/core/replication/protocol/messages.h"
#include "operator/core/replication/transaction/transaction.h"

namespace breakwater::agent {

struct RunnerOptions {
  std::string boot{};                 ///< the kernel's boot id, now
  std::size_t max_transactions = 64;  ///< more at one time are refused ("Busy")
};

/// Two transactions on one resource of one node at one time: not on the same connection; a
/// SuspendedSwitch only alone; Lead, Heal only one of them (each needs all other connections to be
/// good); a Resume not with another Resume.
bool MayRunTogether(const replication::TransactionRequest& a,
                    const replication::TransactionRequest& b);

class Runner {
 public:
  /// The ports must outlive it; a callback that comes after its end does nothing.
  Runner(RunnerOptions options,
         Kernel* kernel,
         JournalStore* journal,
         Guardian* guardian,
         const Clock* clock,
         RunnerEvents* events,
         std::function<std::uint32_t()> random);
  ~Runner();
  Runner(const Runner&) = delete;
  Runner& operator=(const Runner&) = delete;

  /// Reads the journal and goes on with what is in it. Before anything else, once. An entry that is
  /// not understood is logged and left where it is.
  void Restore();

  void Handle(const replication::TransactionRequest& request);
  /// Brings it to its safe end; unknown ids are ignored. Remembered when it comes before its
  /// request (messages overtake each other when a stream is replaced).
  void Cancel(const std::string& id);
  /// Before the process ends: everything to its safe end, no new requests ("Stopping").
  void CancelAll();

  /// An event of this resource was seen: whoever waits looks again.
  void NoteChange(const std::string& resource);
  /// Something may have been missed: everybody looks again.
  void NoteChangeAll();

  /// Goes on with what is due.
  void Tick();
  /// When Tick is to be called next; nothing: not before another call or callback.
  std::optional<SteadyTime> NextWake() const;

  /// No transaction is under way.
  bool Idle() const { return running_.empty(); }

  /// Of all that is under way, for a new connection of the operator.
  std::vector<replication::ProgressMessage> Progress() const;

  /// The highest epoch seen, for the hello.
  std::int64_t epoch() const { return epoch_; }

  /// An operator said hello with this epoch.
  void NoteEpoch(std::int64_t epoch);

 private:
  struct Running;

  void Begin(replication::TransactionState state, bool restored);
  replication::TransactionResult Refusal(const replication::TransactionRequest& request) const;
  void Look(Running* running);
  void LookSoon(Running* running);
  void OnLook(const std::string& id, Result<replication::LocalView, Error> view);
  void Decide(Running* running, const replication::LocalView& view);
  void Act(Running* running, const replication::TransactionDecision& decision);
  bool Persist(Running* running, const replication::TransactionState& state);
  bool KeepGuard(Running* running, bool restored);
  void Execute(Running* running, const replication::DrbdCommand& command);
  void OnRun(const std::string& id,
             const replication::DrbdCommand& command,
             int exit_code,
             const std::string& error_text);
  void Finish(const std::string& id, const replication::TransactionResult& result);
  void Remember(const replication::ResultMessage& message, bool store);
  void RestoreEntry(const std::string& id, const std::string& text);
  void Tell(Running* running, const std::string& why);
  void Log(const Running& running, const std::string& text);
  Running* Find(const std::string& id);

  const RunnerOptions options_;
  Kernel* const kernel_;
  JournalStore* const journal_;
  Guardian* const guardian_;
  const Clock* const clock_;
  RunnerEvents* const events_;
  const std::function<std::uint32_t()> random_;

  bool stopping_ = false;
  std::int64_t epoch_ = 0;
  std::map<std::string, std::unique_ptr<Running>> running_;
  std::map<std::string, replication::ResultMessage> results_{};
  std::deque<std::string> result_order_{};
  std::deque<std::string> cancelled_early_{};
  /// Callbacks hold a weak reference: it ends with the Runner.
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace breakwater::agent
