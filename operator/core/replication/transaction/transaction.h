#pragma once

/// Transactions: what one node does to the connections of one resource, with a guard, a deadline
/// and an undo. Pure state machines: (what this node shows, state, now) -> (one step, new state).
/// The agent looks right before every step, writes the state into its journal, does the step, and
/// looks again; so a transaction goes on, or back, from any point at which its process was killed.
///
/// | kind             | runs on        | does                                                     |
/// | ---------------- | -------------- | -------------------------------------------------------- |
/// | Follow           | the far end    | never cuts; when the connection is down: sets tls,       |
/// |                  |                | connects a StandAlone end (F29)                          |
/// | Lead             | the near end   | guard, graceful cut, set, connect, gate (F29)            |
/// | SuspendedSwitch  | the Primary    | guard, suspend, graceful cuts, set, connect, heal, gate, |
/// |                  |                | resume (F26, F27, F31)                                   |
/// | Heal             | who has writes | resyncs a peer that lacks writes (F14); never reconnects |
/// | Reconnect        | a StandAlone   | connects, never changes tls                              |
/// | Resume           | the suspended  | ends a suspension that a transaction of ours left behind |
///
/// Rules that hold in every state:
/// - `drbdsetup disconnect` without --force, always (F26.2: the Primary keeps quorum, so a resume
///   is safe whatever happens next).
/// - A suspension that was there before is never ended and nothing begins on one (F2.7, H4).
/// - tls is never set to plaintext when `floor_tls` is true (the floor of REVIEW-2).
/// - A connection that is Established with an Outdated peer disk is healed, never cut (F12, F14).
/// - Undo: old value, connect, then random alternation of the two values by Lead only (F30).
/// Thread safety: pure functions over values.

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "operator/base/clock.h"
#include "operator/core/replication/node/drbd_types.h"

namespace breakwater::replication {

enum class TransactionKind { kFollow, kLead, kSuspendedSwitch, kHeal, kReconnect, kResume };

/// "Follow", "Lead", ... as in the protocol, status and metrics.
std::string_view ToString(TransactionKind kind);
std::optional<TransactionKind> ParseTransactionKind(std::string_view text);

struct TransactionRequest {
  /// Names request and result: the same id again gets the result it had. See IsTransactionId.
  std::string id{};
  /// Grows with each change of the operator's leader; an agent refuses one older than it has seen.
  std::int64_t epoch = 0;
  TransactionKind kind = TransactionKind::kFollow;
  std::string resource{};
  /// DRBD connection names (= node names): one, several only for SuspendedSwitch, none for Resume.
  std::vector<std::string> peers{};
  bool tls = false;        ///< the value to be set; not used by Heal, Reconnect, Resume
  bool floor_tls = false;  ///< true: plaintext is not allowed, not even as undo or in alternation
  /// From the arrival at the agent until the undo begins. SuspendedSwitch: I/O flows again by then.
  std::chrono::milliseconds within{};
  /// The user accepts that the Primary is alone with its copy while a connection is switched.
  bool allow_single_copy = false;
  int volume = 0;          ///< Heal
  bool of_others = false;  ///< Resume: also a suspension that no transaction of ours made
  /// Lead to the value that runs: cuts once all the same, for new session keys (M8). With
  /// floor_tls.
  bool rekey = false;

  bool operator==(const TransactionRequest&) const = default;
};

/// Letters, digits, '.', '_', '-', 1 to 64 characters, no '.' in front: it becomes a file name.
bool IsTransactionId(std::string_view id);

/// Why a request cannot be one, or nothing. Checks names and sizes, nothing about the node.
std::optional<std::string> RequestProblem(const TransactionRequest& request);

/// One resource as this node alone sees it, read after the request arrived.
struct LocalView {
  SteadyTime at{};  ///< when reading began
  /// Nothing: the tools answered and the resource is not up here.
  std::optional<DrbdStatus> status{};
  std::optional<DrbdShow> show{};
  SocketTable sockets{};  ///< those of this resource
};

/// What a look must read besides the status.
struct LookScope {
  bool show = false;
  bool sockets = false;

  bool operator==(const LookScope&) const = default;
};

/// One run of `drbdsetup`. Idempotent enough to be repeated (F32).
struct DrbdCommand {
  enum class Kind {
    kSuspendIo,         ///< suspend-io MINOR
    kResumeIo,          ///< resume-io MINOR
    kDisconnect,        ///< disconnect RES ID, never --force
    kNetOptions,        ///< net-options RES ID --tls=yes|no
    kConnect,           ///< connect RES ID
    kInvalidateRemote,  ///< invalidate-remote RES ID VOLUME --reset-bitmap=no
  };

  Kind kind = Kind::kConnect;
  std::string resource{};
  int peer_id = -1;
  int minor = -1;
  int volume = 0;
  bool tls = false;

  bool operator==(const DrbdCommand&) const = default;
};

/// The argument vector, "drbdsetup" first.
std::vector<std::string> ToArguments(const DrbdCommand& command);

enum class TransactionOutcome {
  kDone,     ///< as asked, gate passed
  kUndone,   ///< everything is as before, or as far as the floor allows
  kRefused,  ///< the guard said no; nothing was touched
};

std::string_view ToString(TransactionOutcome outcome);
std::optional<TransactionOutcome> ParseTransactionOutcome(std::string_view text);

struct TransactionResult {
  TransactionOutcome outcome = TransactionOutcome::kDone;
  /// For people: what stood in the way, on which connection.
  std::string reason{};
  /// CamelCase, stable. The guard: NotUp, NoPeer, OldTools, NotConnected, Suspended, StalePeer,
  /// Resync, OutOfSync, Verify, OwnDisk, PeerDisk, NoQuorum, NoData, NoOwnData, TwoPrimaries,
  /// NotPrimary, PeerIsPrimary, LastCopy, IoError, Floor, Unknown. On the way: Declined,
  /// DisconnectFailed, SuspendFailed, SuspensionLost, ForeignChange, Timeout, Cancelled,
  /// Interrupted (instead of some of these, when the agent was restarted in the middle). The
  /// agent's own: Invalid, Epoch, Busy, Journal, NoGuardian, ToolsSilent, Stopping, Rebooted. Done
  /// with one of the guard's codes: switched, but the gate did not pass in time; with NoProof:
  /// switched, but the sockets do not prove it.
  std::string code{};
  std::chrono::milliseconds frozen{};  ///< I/O was suspended by us that long
  std::chrono::milliseconds cut{};     ///< longest time that a connection was down by us
  int healed = 0;                      ///< stale peers healed inside (F27)

  bool operator==(const TransactionResult&) const = default;
};

/// Everything that must survive the process: the journal entry. Times are of the node's monotonic
/// clock; the journal ends with the boot, because a kernel that booted has nothing of ours.
struct TransactionState {
  /// What has been entered so far. A phase is written to the journal before its first command.
  enum class Phase {
    kGuard,      ///< nothing touched yet
    kSuspend,    ///< suspend-io is about to be run, or was
    kCut,        ///< disconnects are about to be run, or were
    kSet,        ///< values are being set
    kConnect,    ///< connecting; waits for Connected and the gate
    kHeal,       ///< invalidate-remote was, or is about to be, run
    kResume,     ///< resume-io is about to be run, or was
    kAlternate,  ///< undo did not reconnect: tries both values in turn
    kFinished,
  };

  struct Peer {
    int peer_id = -1;
    bool before = false;              ///< tls before the transaction
    std::optional<SteadyTime> cut{};  ///< when it was cut by us, or found down; reset on Connected
    std::optional<bool> last_set{};   ///< value of our last net-options
    std::optional<SteadyTime> stale{};       ///< Established with peer disk Outdated since then
    bool target = false;                     ///< the value that it is being driven to
    std::optional<SteadyTime> not_before{};  ///< back-off of values and connects
    int tries = 0;                           ///< of these, since the last progress
    bool ours = false;  ///< a disconnect of ours was begun, or a value of ours set

    bool operator==(const Peer&) const = default;
  };

  TransactionRequest request{};
  Phase phase = Phase::kGuard;
  bool undoing = false;
  bool cancelled = false;  ///< brings to the safe end
  bool restarted = false;  ///< its process died before an undo began
  SteadyTime started{};
  SteadyTime until{};  ///< started + within
  std::map<std::string, Peer> peers{};
  /// What suspend-io was, or is about to be, run on. One is enough: the kernel's flag is per
  /// resource (F23), and what froze a file system must be what thaws it (F2.5).
  std::vector<int> minors{};
  /// When our suspension began: from before suspend-io until resume-io has succeeded.
  std::optional<SteadyTime> suspended_at{};
  /// suspend-io failed or was killed: it may still come into effect late (F2.7), and is ours then.
  bool suspend_pending = false;
  /// The kernel shows "no data" (F28): resume-io would give EIO, so the data is brought back first,
  /// and nobody may resume blindly.
  bool no_data = false;
  std::optional<SteadyTime> next_alternation{};
  /// Everything is connected; the gate is waited for until then.
  std::optional<SteadyTime> settle_until{};
  int cuts = 0;      ///< disconnects that succeeded
  int attempts = 0;  ///< commands that failed, or tries to connect, since the last progress
  std::optional<SteadyTime> not_before{};  ///< back-off after a failed command
  bool by_show = false;   ///< `status` has no tls (drbd-utils before 9.28): `show` is read too
  bool proving = false;   ///< only the proof by the sockets is missing
  std::string failure{};  ///< why the undo began
  std::string failure_code{};
  TransactionResult result{};  ///< valid in kFinished; freeze and cut are counted here

  bool operator==(const TransactionState&) const = default;
};

std::string_view ToString(TransactionState::Phase phase);
std::optional<TransactionState::Phase> ParseTransactionPhase(std::string_view text);

/// Nothing to do before this time, unless the node shows a change.
struct WaitUntil {
  SteadyTime time{};

  bool operator==(const WaitUntil&) const = default;
};

struct TransactionFinished {
  TransactionResult result{};

  bool operator==(const TransactionFinished&) const = default;
};

using TransactionStep = std::variant<DrbdCommand, WaitUntil, TransactionFinished>;

struct TransactionDecision {
  TransactionStep step{};
  TransactionState state{};  ///< to be in the journal before the step is done
  std::string why{};         ///< for the log and progress messages
};

TransactionState StartTransaction(const TransactionRequest& request, SteadyTime now);

/// The next step. `random` is a fresh random number, for the periods of F30. Total: any state with
/// any view gives a step; with `view.status` absent nothing is cut and nothing suspended is
/// forgotten.
TransactionDecision NextStep(const LocalView& view,
                             const TransactionState& state,
                             SteadyTime now,
                             std::uint32_t random);

/// Takes in how the command of the last decision ended, before the next look. Exit codes: F32.
/// -1: it was killed or not started.
TransactionState AfterCommand(TransactionState state,
                              const DrbdCommand& command,
                              int exit_code,
                              SteadyTime now);

/// What the next NextStep must see. A view that has less is taken as it is: what is not known is
/// never taken for good.
LookScope ScopeOf(const TransactionState& state);

/// After the death of the process that did it: a command that it had begun may still come into
/// effect.
TransactionState AfterRestart(TransactionState state);

/// Asks for the safe end: what is frozen flows again, what is cut is connected.
TransactionState Cancel(TransactionState state);

/// A Follow is armed, a Lead may begin: it has passed its guard and waits for the other end.
bool Armed(const TransactionState& state);

/// The minors that a guardian must resume if this agent is gone at `until`, or none.
std::vector<int> GuardedMinors(const TransactionState& state);
/// When that guardian acts.
SteadyTime GuardedUntil(const TransactionState& state);

}  // namespace breakwater::replication
