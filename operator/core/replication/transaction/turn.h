#pragma once

/// What all kinds of transactions share: one turn of a state machine, the view of one connection,
/// how a connection is driven to a value, healed, and waited for. Internal to this folder.

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "operator/core/replication/transaction/transaction.h"

namespace breakwater::replication {

/// F19.3: what is refused while a handshake runs gets through soon.
inline constexpr std::chrono::milliseconds kRetry{200};
/// Fallback of events2 (F25) while something is under way, while I/O is frozen, and while waiting
/// for others.
inline constexpr std::chrono::milliseconds kPoll{250};
inline constexpr std::chrono::milliseconds kFrozenPoll{100};
inline constexpr std::chrono::milliseconds kIdlePoll{500};
/// An older look does not count before a step that may do harm (REVIEW-1 C2).
inline constexpr std::chrono::milliseconds kFresh{2000};
/// F14.1; and in the freeze, where nobody writes (F27.3).
inline constexpr std::chrono::milliseconds kStaleWriting{2000};
inline constexpr std::chrono::milliseconds kStaleFrozen{200};
/// A resync after a switch took up to 15 s (F18).
inline constexpr std::chrono::milliseconds kSettle{30000};
/// The same when it was cancelled: the process may be about to end.
inline constexpr std::chrono::milliseconds kSettleCancelled{5000};
/// `ss` may be read while the second socket is being opened (REVIEW-1 R6).
inline constexpr std::chrono::milliseconds kProofWait{2000};
/// From the begin of the undo until both values are tried: twice the slowest reconnect of F29.
inline constexpr std::chrono::milliseconds kBeforeAlternation{5000};
/// A pending suspend-io (F2.7), or one whose agent died, may still come into effect.
inline constexpr std::chrono::milliseconds kLateSuspension{2000};
/// For how long a resource that is not up is waited for after the deadline.
inline constexpr std::chrono::milliseconds kGone{10000};
inline constexpr int kMaxRefusals = 4;  ///< of a disconnect, before it is given up
inline constexpr int kMaxRecuts =
    3;  ///< disconnects per connection: somebody else reconnects (F19)

/// One call of NextStep.
struct Turn {
  const LocalView& view;
  const DrbdStatus& status;  ///< *view.status
  TransactionState state;
  SteadyTime now;
  std::uint32_t random;

  TransactionDecision Wait(std::chrono::milliseconds time, std::string why) const;
  /// Enters the phase, then the command.
  TransactionDecision Run(DrbdCommand command, TransactionState::Phase phase, std::string why);
  TransactionDecision Finish(TransactionOutcome outcome, std::string code, std::string reason);
  /// Nothing was touched: refused.
  TransactionDecision Refuse(std::string code, std::string reason);

  bool Fresh() const { return now - view.at <= kFresh; }

  bool BackingOff() const { return state.not_before && *state.not_before > now; }
};

/// Heal, Reconnect and Resume leave it alone.
bool SetsTls(TransactionKind kind);

const DrbdConnection* FindConnection(const DrbdStatus& status, const std::string& peer);

inline bool IsConnected(const DrbdConnection& connection) {
  return connection.state == "Connected";
}

/// Nothing: not known.
std::optional<bool> ConfiguredTls(const LocalView& view, const DrbdConnection& connection);

/// Connected with this value.
bool IsReached(const LocalView& view, const DrbdConnection& connection, bool tls);
/// Every connection of the request is Connected, with the value that was asked for if `wanted`.
bool AllConnected(const Turn& turn, bool wanted);
/// A connection was cut by us, or has a value of ours.
bool Touched(const TransactionState& state);

/// Fills state.peers at the first turn. Code of what makes it impossible, or "".
std::string LearnPeers(Turn* turn);
/// Takes over from the view since when connections are down and stale.
void NoteConnections(Turn* turn);

/// Goes back to the old values, as far as the floor allows. A connection that is up with the new
/// value stays: setting it back would be one more cut.
void BeginUndo(Turn* turn, std::string code, std::string reason);
/// F30: after a while of undo both values in turn, at random periods, where the floor allows both.
void Alternate(Turn* turn);
/// The next command on the way to the targets: first all values, then all connects. Nothing:
/// everything is under way, or backing off.
std::optional<TransactionDecision> Drive(Turn* turn);
DrbdCommand DisconnectOf(const Turn& turn, const std::string& peer);

/// The heal of a connection that is stale for at least `after` (F14, F27.3), when this node is the
/// Primary and has the data itself.
std::optional<TransactionDecision> HealStale(Turn* turn, std::chrono::milliseconds after);

/// All connections are up: waits for the gate and the proof, heals, and ends. Done when all have
/// the value that was asked for, else undone.
TransactionDecision Settle(Turn* turn);

TransactionDecision FollowStep(Turn& turn);
TransactionDecision LeadStep(Turn& turn);
TransactionDecision SuspendedSwitchStep(Turn& turn);
TransactionDecision HealStep(Turn& turn);
TransactionDecision ReconnectStep(Turn& turn);
TransactionDecision ResumeStep(Turn& turn);

}  // namespace breakwater::replication
