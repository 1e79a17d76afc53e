#include "operator/core/replication/transaction/transaction.h"

#include <algorithm>
#include <array>
#include <set>
#include <utility>

#include "operator/core/replication/node/text.h"
#include "operator/core/replication/transaction/turn.h"

namespace breakwater::replication {
namespace {

using Phase = TransactionState::Phase;
using Kind = TransactionKind;

template <typename T, std::size_t N>
using Names = std::array<std::pair<T, std::string_view>, N>;

constexpr Names<Kind, 6> kKinds{{{Kind::kFollow, "Follow"},
                                 {Kind::kLead, "Lead"},
                                 {Kind::kSuspendedSwitch, "SuspendedSwitch"},
                                 {Kind::kHeal, "Heal"},
                                 {Kind::kReconnect, "Reconnect"},
                                 {Kind::kResume, "Resume"}}};

constexpr Names<TransactionOutcome, 3> kOutcomes{{{TransactionOutcome::kDone, "Done"},
                                                  {TransactionOutcome::kUndone, "Undone"},
                                                  {TransactionOutcome::kRefused, "Refused"}}};

constexpr Names<Phase, 9> kPhases{{{Phase::kGuard, "Guard"},
                                   {Phase::kSuspend, "Suspend"},
                                   {Phase::kCut, "Cut"},
                                   {Phase::kSet, "Set"},
                                   {Phase::kConnect, "Connect"},
                                   {Phase::kHeal, "Heal"},
                                   {Phase::kResume, "Resume"},
                                   {Phase::kAlternate, "Alternate"},
                                   {Phase::kFinished, "Finished"}}};

template <typename T, std::size_t N>
std::string_view NameOf(const Names<T, N>& names, T value) {
  for (const auto& [item, name] : names) {
    if (item == value) {
      return name;
    }
  }
  return {};
}

template <typename T, std::size_t N>
std::optional<T> ValueOf(const Names<T, N>& names, std::string_view text) {
  for (const auto& [item, name] : names) {
    if (name == text) {
      return item;
    }
  }
  return std::nullopt;
}

constexpr std::size_t kMaxPeers = 32;  // DRBD's own limit
constexpr std::chrono::milliseconds kMaxWithin{std::chrono::hours(1)};
constexpr std::chrono::milliseconds kMinSuspension{1000};
constexpr std::chrono::milliseconds kMaxSuspension{std::chrono::minutes(5)};
constexpr int kMaxVolume = 65535;

std::optional<std::string> PeerProblem(const TransactionRequest& request) {
  const std::size_t count = request.peers.size();
  const bool right = request.kind == Kind::kResume            ? count == 0
                     : request.kind == Kind::kSuspendedSwitch ? count >= 1 && count <= kMaxPeers
                                                              : count == 1;
  if (!right) {
    return "it names " + std::to_string(count) + " peers";
  }
  for (const std::string& peer : request.peers) {
    if (!IsSafeName(peer)) {
      return "a peer's name is no name";
    }
  }
  if (std::set<std::string>(request.peers.begin(), request.peers.end()).size() != count) {
    return "it names a peer twice";
  }
  return std::nullopt;
}

// The tools answered and the resource is not up: nothing of ours can be left in the kernel, unless
// it is just being brought up again.
TransactionDecision Absent(Turn turn) {
  const std::string reason = "the resource is not up here";
  if (turn.state.phase == Phase::kGuard) {
    return turn.Refuse("NotUp", reason);
  }
  if (turn.now >= turn.state.until + kGone) {
    return turn.Finish(TransactionOutcome::kUndone, "NotUp", reason);
  }
  return turn.Wait(kPoll, reason);
}

// drbd-utils before 9.28 do not show tls in the status.
bool NeedsShow(const LocalView& view, const TransactionRequest& request) {
  return !view.show && SetsTls(request.kind) &&
         std::any_of(request.peers.begin(), request.peers.end(), [&](const std::string& peer) {
           const DrbdConnection* connection = FindConnection(*view.status, peer);
           return connection != nullptr && !connection->tls;
         });
}

TransactionDecision Step(Turn& turn) {
  switch (turn.state.request.kind) {
    case Kind::kFollow:
      return FollowStep(turn);
    case Kind::kLead:
      return LeadStep(turn);
    case Kind::kSuspendedSwitch:
      return SuspendedSwitchStep(turn);
    case Kind::kHeal:
      return HealStep(turn);
    case Kind::kReconnect:
      return ReconnectStep(turn);
    case Kind::kResume:
      return ResumeStep(turn);
  }
  return turn.Refuse("Invalid", "unknown kind");
}

TransactionState::Peer* PeerOf(TransactionState* state, int peer_id) {
  for (auto& [name, peer] : state->peers) {
    if (peer.peer_id == peer_id) {
      return &peer;
    }
  }
  return nullptr;
}

void AfterDisconnect(TransactionState* state,
                     TransactionState::Peer* peer,
                     int exit_code,
                     SteadyTime now) {
  if (exit_code == 0) {
    ++state->cuts;
    state->attempts = 0;
    if (peer != nullptr) {
      peer->ours = true;
      peer->cut = now;
    }
    return;
  }
  ++state->attempts;
  state->not_before = now + kRetry;
  state->failure = "the disconnect was refused, exit code " + std::to_string(exit_code);
  state->failure_code = "DisconnectFailed";
  if (exit_code == 11) {  // a peer declines it, for the moment (F4.4)
    state->failure_code = "Declined";
  } else if (exit_code == 17) {  // the last data, or two Primaries (F26.5): that does not pass
    state->failure_code = "LastCopy";
    state->attempts = kMaxRefusals;
  }
}

// Per connection, so that one does not wait for another.
void Pace(TransactionState::Peer* peer, SteadyTime now) {
  constexpr int kMaxDoublings = 4;  // 3.2 s
  if (peer != nullptr) {
    peer->not_before = now + kRetry * (1 << std::min(peer->tries, kMaxDoublings));
    ++peer->tries;
  }
}

}  // namespace

std::string_view ToString(TransactionKind kind) {
  return NameOf(kKinds, kind);
}

std::optional<TransactionKind> ParseTransactionKind(std::string_view text) {
  return ValueOf(kKinds, text);
}

std::string_view ToString(TransactionOutcome outcome) {
  return NameOf(kOutcomes, outcome);
}

std::optional<TransactionOutcome> ParseTransactionOutcome(std::string_view text) {
  return ValueOf(kOutcomes, text);
}

std::string_view ToString(TransactionState::Phase phase) {
  return NameOf(kPhases, phase);
}

std::optional<TransactionState::Phase> ParseTransactionPhase(std::string_view text) {
  return ValueOf(kPhases, text);
}

bool IsTransactionId(std::string_view id) {
  return !id.empty() && id.size() <= 64 && id.front() != '.' &&
         std::all_of(id.begin(), id.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '.' || c == '_' || c == '-';
         });
}

std::optional<std::string> RequestProblem(const TransactionRequest& request) {
  if (!IsTransactionId(request.id)) {
    return "its id is no id";
  }
  if (request.epoch < 0) {
    return "its epoch is negative";
  }
  if (!IsSafeName(request.resource)) {
    return "the resource's name is no name";
  }
  if (std::optional<std::string> problem = PeerProblem(request)) {
    return problem;
  }
  if (request.within <= std::chrono::milliseconds(0) || request.within > kMaxWithin) {
    return "its time is not between 0 and 1 hour";
  }
  if (request.kind == Kind::kSuspendedSwitch &&
      (request.within < kMinSuspension || request.within > kMaxSuspension)) {
    return "a suspension takes 1 s to 5 min";
  }
  if (SetsTls(request.kind) && request.floor_tls && !request.tls) {
    return "plaintext is asked for and not allowed";
  }
  if (request.rekey && (request.kind != Kind::kLead || !request.tls || !request.floor_tls)) {
    return "new keys come by a Lead that never ends in plaintext";
  }
  if (request.volume < 0 || request.volume > kMaxVolume) {
    return "its volume is no volume";
  }
  return std::nullopt;
}

std::vector<std::string> ToArguments(const DrbdCommand& command) {
  using Command = DrbdCommand::Kind;
  const std::string id = std::to_string(command.peer_id);
  switch (command.kind) {
    case Command::kSuspendIo:
      return {"drbdsetup", "suspend-io", std::to_string(command.minor)};
    case Command::kResumeIo:
      return {"drbdsetup", "resume-io", std::to_string(command.minor)};
    case Command::kDisconnect:
      return {"drbdsetup", "disconnect", command.resource, id};
    case Command::kNetOptions:
      return {"drbdsetup", "net-options", command.resource, id,
              command.tls ? "--tls=yes" : "--tls=no"};
    case Command::kConnect:
      return {"drbdsetup", "connect", command.resource, id};
    case Command::kInvalidateRemote:
      return {"drbdsetup",
              "invalidate-remote",
              command.resource,
              id,
              std::to_string(command.volume),
              "--reset-bitmap=no"};
  }
  return {};
}

TransactionState StartTransaction(const TransactionRequest& request, SteadyTime now) {
  TransactionState state;
  state.request = request;
  state.started = now;
  state.until = now + request.within;
  return state;
}

TransactionDecision NextStep(const LocalView& view,
                             const TransactionState& state,
                             SteadyTime now,
                             std::uint32_t random) {
  if (state.phase == Phase::kFinished) {
    return {TransactionFinished{state.result}, state, "finished"};
  }
  static const DrbdStatus kAbsent{};
  Turn turn{view, view.status ? *view.status : kAbsent, state, now, random};
  if (!view.status) {
    return Absent(turn);
  }
  if (NeedsShow(view, state.request) && !state.by_show) {
    turn.state.by_show = true;
    return turn.Wait(std::chrono::milliseconds(0), "reads the configuration too");
  }
  if (const std::string code = LearnPeers(&turn); !code.empty()) {
    return turn.Refuse(code, code == "NoPeer" ? "there is no such connection"
                                              : "the tools do not show whether TLS is set");
  }
  return Step(turn);
}

TransactionState AfterCommand(TransactionState state,
                              const DrbdCommand& command,
                              int exit_code,
                              SteadyTime now) {
  using Command = DrbdCommand::Kind;
  const bool ok = exit_code == 0;
  TransactionState::Peer* peer = PeerOf(&state, command.peer_id);
  switch (command.kind) {
    case Command::kSuspendIo:
      if (ok) {
        state.suspended_at = now;
      } else {
        state.suspend_pending = true;
        state.failure = "exit code " + std::to_string(exit_code);
      }
      return state;
    case Command::kResumeIo:
      if (!ok) {
        state.not_before = now + kRetry;
        return state;
      }
      if (state.suspended_at) {
        state.result.frozen +=
            std::chrono::duration_cast<std::chrono::milliseconds>(now - *state.suspended_at);
        state.suspended_at.reset();
      }
      if (state.request.kind == Kind::kResume) {
        state.minors.push_back(command.minor);
      }
      return state;
    case Command::kDisconnect:
      AfterDisconnect(&state, peer, exit_code, now);
      return state;
    case Command::kNetOptions:
      if (!ok) {
        Pace(peer, now);
        if (peer != nullptr) {
          peer->not_before =
              now + kRetry;  // refused while a handshake runs: never for long (F19.3)
        }
      } else if (peer != nullptr) {
        peer->last_set = command.tls;
      }
      return state;
    case Command::kConnect:
      // Also after success: it may end StandAlone again at once (F6).
      Pace(peer, now);
      return state;
    case Command::kInvalidateRemote:
      if (ok) {
        ++state.result.healed;
        if (peer != nullptr) {
          peer->stale.reset();
        }
      } else {
        state.not_before = now + kRetry;
      }
      return state;
  }
  return state;
}

LookScope ScopeOf(const TransactionState& state) {
  const Kind kind = state.request.kind;
  const bool guards =
      (kind == Kind::kLead && (state.phase == Phase::kGuard || state.phase == Phase::kCut)) ||
      (kind == Kind::kSuspendedSwitch && state.phase == Phase::kGuard);
  return {.show = state.by_show || kind == Kind::kResume || (guards && !state.undoing),
          .sockets = state.proving};
}

TransactionState AfterRestart(TransactionState state) {
  state.restarted = state.restarted || !state.undoing;
  if (state.phase == Phase::kSuspend) {
    state.suspend_pending = true;
    state.failure = "the agent ended while it suspended";
  }
  state.not_before.reset();
  return state;
}

TransactionState Cancel(TransactionState state) {
  state.cancelled = true;
  return state;
}

bool Armed(const TransactionState& state) {
  return state.request.kind == Kind::kFollow && !state.peers.empty() && !state.undoing &&
         !state.cancelled && state.phase != Phase::kFinished;
}

std::vector<int> GuardedMinors(const TransactionState& state) {
  const bool suspended = state.request.kind == Kind::kSuspendedSwitch && state.suspended_at &&
                         !state.no_data && state.phase != Phase::kFinished;
  return suspended ? state.minors : std::vector<int>{};
}

SteadyTime GuardedUntil(const TransactionState& state) {
  // Once it is being resumed it has come into effect.
  return state.suspend_pending && state.phase != Phase::kResume
             ? state.until + kLateSuspension + kRetry
             : state.until;
}

}  // namespace breakwater::replication
