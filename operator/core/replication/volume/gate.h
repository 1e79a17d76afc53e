#pragma once

/// The gate (DESIGN 4.4): may a connection of this resource be cut, may I/O be resumed, is a
/// reconnected connection good again? "All Connected" is not enough (F12): the Primary may believe
/// a peer Outdated, send it nothing, and forget that at the next reconnect. Pure functions.

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "operator/core/replication/volume/observation.h"

namespace breakwater::replication {

struct GateResult {
  enum class Kind {
    kOk,
    kUnknown,    ///< a node or an end could not be observed
    kSuspended,  ///< suspended-user where it must not be
    kNotConnected,
    kNotConfigured,  ///< the ends are configured differently
    kNoProof,        ///< TLS wanted, but not proven by the sockets
    kDisk,           ///< a disk is not UpToDate
    kResync,         ///< a resync (or its preparation) runs
    kStuck,          ///< WFBitMap* between Secondaries (F4.9)
    kStale,          ///< Established with an Outdated peer disk (F12)
    kOutOfSync,      ///< Established with blocks recorded as out of sync
    kQuorum,
  };

  Kind kind = Kind::kOk;
  std::string reason{};  ///< for people: which pair, which end, what
  std::optional<Pair> pair{};
  std::string node{};  ///< whose view it is

  bool ok() const { return kind == Kind::kOk; }
};

struct GateCheck {
  bool may_be_suspended = false;
  /// Connections that go to plaintext: that they are encrypted need not be proven, or a node whose
  /// sockets cannot be seen could not be rolled back.
  std::set<Pair> plaintext{};
};

GateResult CheckGate(const ResourceObservation& seen, const GateCheck& check);

/// A connection that looks established while the peer does not get everything.
struct StalePeer {
  Pair pair{};
  std::string primary{};  ///< the end that shows it: the Primary, or the one that was it before
  std::string peer{};
  int volume = 0;
  bool out_of_sync =
      false;  ///< false: peer disk Outdated (F12); true: UpToDate with blocks out of sync
  std::uint64_t kib = 0;  ///< recorded as out of sync

  auto operator<=>(const StalePeer&) const = default;
};

/// Candidates at this moment, seen from every end: the state outlives the Primary that shows it.
/// F12's state must last more than kStaleAfter to count: an Outdated peer is normal for a moment
/// after every reconnect.
std::vector<StalePeer> FindStale(const ResourceObservation& seen);

inline constexpr std::chrono::milliseconds kStaleAfter{2000};  // F14.1
inline constexpr std::chrono::milliseconds kOutOfSyncAfter{
    5000};  // no fact; above any write latency

/// May it be healed now (F14.2)? Another good copy and quorum must be there without the peer,
/// because it is Inconsistent while it heals. Returns why not, or nothing.
std::optional<std::string> HealObstacle(const ResourceObservation& seen, const StalePeer& stale);

/// What a Primary has left while these connections of it are cut in an orderly way (F26.2).
struct AfterCut {
  bool quorum = false;
  int copies = 0;         ///< up-to-date copies in reach, its own included
  int copies_before = 0;  ///< the same with every connection
};

AfterCut LookAfterCut(const ResourceObservation& seen,
                      const std::string& primary,
                      const std::set<Pair>& lost);

/// More than one node is, or may be, Primary: nothing is cut. Returns what is wrong, or nothing.
struct PrimaryProblem {
  std::string reason{};
  bool passing = false;  ///< the nodes do not agree yet: look again
};

std::optional<PrimaryProblem> FindPrimaryProblem(const ResourceObservation& seen);

/// May this connection be cut in an orderly way, under I/O, without losing quorum or data (I2)?
/// `allow_single_copy`: the user accepts that the Primary is alone with its copy meanwhile. Looks
/// at the topology only, not at the gate. Returns why not, or nothing.
std::optional<std::string> CutObstacle(const ResourceObservation& seen,
                                       const Pair& pair,
                                       bool allow_single_copy);

}  // namespace breakwater::replication
