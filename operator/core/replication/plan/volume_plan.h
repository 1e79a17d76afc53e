#pragma once

/// PlanVolume: what to do about one volume now, as one pure function over everything seen. The
/// agents do the dangerous part in transactions that end by themselves (transaction/transaction.h);
/// this decides which transaction is asked for next, on which nodes, and which value of ours in
/// LINSTOR follows it. It keeps nothing: a new leader gets to the same next step from what the
/// nodes show and which transactions their agents report.
///
/// Whether a volume may be switched at all is decided in one place, PlanCluster (cluster_plan.h);
/// here `goal.may_switch` says so. Order for one connection: Follow on the far end -> it is armed
/// -> Lead (or SuspendedSwitch) on the near end -> result -> LINSTOR's value of the pair -> next
/// pair -> values of ours that are not needed any more go -> new session keys, where they are asked
/// for. Thread safety: pure functions.

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "operator/base/clock.h"
#include "operator/core/replication/plan/properties.h"
#include "operator/core/replication/protocol/messages.h"
#include "operator/core/replication/transaction/transaction.h"
#include "operator/core/replication/volume/gate.h"
#include "operator/core/replication/volume/observation.h"

namespace breakwater::replication {

enum class Strategy { kNone, kPairByPair, kSuspendIo };
/// What the user allows; kAuto prefers PairByPair.
enum class StrategyChoice { kAuto, kPairByPair, kSuspendIo };
std::string_view ToString(Strategy strategy);

/// What is wanted for a volume, from the cluster's plan and the user's settings.
struct VolumeGoal {
  std::map<Pair, bool> wanted{};  ///< TLS per connection
  bool may_switch = false;        ///< PlanCluster gave it a place; else only what is begun goes on
  /// It holds a place, though perhaps paused: its values in LINSTOR are PlanVolume's to write, not
  /// PlanCluster's.
  bool in_flight = false;
  StrategyChoice strategy = StrategyChoice::kAuto;
  bool allow_single_copy = false;  ///< spec.replicationTLS.migration.allowSingleCopy
  bool floor_tls = false;          ///< plaintext is not allowed, not even as undo
  bool heal_stale = true;
  /// Connections with TLS that are StandAlone and not reconnected, with the reason (a person's
  /// doing, a stale peer). One in plaintext is never reconnected: nothing of TLS explains it (F6).
  std::map<Pair, std::string> hold{};
  /// Connections whose peer lacked writes and is not proven to have them all again, with the peer
  /// (StaleLedger): none of the volume's is cut, because that would end the proof.
  std::map<Pair, std::string> unproven{};
  /// Connections whose session keys are too old (M8), with the session (EndView::session of pair.a)
  /// that is: another one is young.
  std::map<Pair, std::string> rekey{};
  /// Not LINSTOR's resource: a stale peer is healed, nothing else is touched.
  bool heal_only = false;
  std::map<std::string, std::string> unfit{};  ///< nodes that fail preflight, with the reason
  bool may_repair = true;                      ///< the cluster's budget of repairs has a place
  /// spec.replicationTLS.migration.resumeForeignSuspensionsAfter; nothing: never.
  std::optional<std::chrono::milliseconds> resume_foreign_after{};
  std::chrono::milliseconds suspend_timeout{10000};  ///< SuspendedSwitch.within
  std::chrono::milliseconds lead_timeout{10000};     ///< Lead.within
};

/// An agent of a node of the volume, as far as the operator knows.
struct AgentView {
  bool connected = false;  ///< a stream is open and synced
  bool too_old = false;    ///< speaks no protocol of ours
  int protocol = 0;        ///< its newest; 0 = never heard
  std::string version{};
};

/// A transaction on this volume that is asked for or that an agent reports.
struct RunningTransaction {
  std::string node{};
  ProgressMessage progress{};
  /// When it was asked for; nothing: by a former leader. A Follow that is armed for long is not
  /// used any more, because it could end in the middle of the Lead.
  std::optional<SteadyTime> asked_at{};

  bool operator==(const RunningTransaction&) const = default;
};

/// One volume of one end, as far as it tells who marked blocks as out of sync.
struct SyncWatch {
  enum class Phase { kUnclear, kClean, kMoving, kBehind };

  Phase phase = Phase::kUnclear;
  bool was_clean = false;  ///< we saw it without blocks out of sync
  bool verified = false;   ///< an online verify ran since it was clean
  bool arisen = false;     ///< kBehind: it came with a reconnect or resync that we saw
  std::string session{};   ///< of EndView

  bool operator==(const SyncWatch&) const = default;
};

/// What was seen over time. Kept by the controller, one per volume, and changed by Remember() only,
/// but for `not_before`; a new leader starts it anew, which only ever makes it more careful.
struct VolumeMemory {
  std::map<StalePeer, SteadyTime> stale_since{};  ///< keys without `kib`
  std::optional<SteadyTime> suspended_since{};
  std::optional<SteadyTime> not_before{};   ///< back-off after a failed transaction; the caller's
  std::map<Pair, SteadyTime> down_since{};  ///< connections that are to be repaired
  std::map<StalePeer, SyncWatch> sync{};    ///< keys without `kib` and `out_of_sync`
};

/// Takes in one look; to be called before each PlanVolume. Silence of a node changes nothing.
void Remember(const ResourceObservation& seen, SteadyTime now, VolumeMemory* memory);

/// Blocks that are out of sync on an established connection are healed only when we saw them arise.
/// What `drbdadm verify` found is a person's to judge: perhaps the Primary's disk is the bad one.
bool Arisen(const VolumeMemory& memory, const StalePeer& stale);

/// A connection must have been down for so long before it is repaired: shorter is DRBD's own doing,
/// or LINSTOR's, whose nodes change one after the other.
inline constexpr std::chrono::milliseconds kRepairAfter{3000};
/// A Follow lasts so much longer than the Lead or SuspendedSwitch that it serves ...
inline constexpr std::chrono::milliseconds kFollowSlack{5000};
/// ... which is asked for within this time, or not at all.
inline constexpr std::chrono::milliseconds kFollowFresh{4000};

/// `agents`: a node that is not in it has no agent; `memory`: after Remember().
struct VolumeInput {
  const ResourceObservation& seen;
  const VolumeGoal& goal;
  const std::map<std::string, AgentView>& agents;
  const std::vector<RunningTransaction>& running;
  const VolumeMemory& memory;
  SteadyTime now{};
};

struct AskNode {
  std::string node{};
  TransactionRequest request{};  ///< `id` and `epoch` are the caller's to fill in

  bool operator==(const AskNode&) const = default;
};

struct VolumeDecision {
  enum class Kind {
    kNothing,     ///< as wanted, or not to be touched: `why` says which
    kWait,        ///< for a transaction, a node, a place
    kAsk,         ///< `asks`, after the journal has the entry
    kLinstor,     ///< `ops`
    kHealByExec,  ///< the node has no agent: heal by one guarded exec (AGENT.md, "Without an
                  ///< agent")
    kBlocked,     ///< cannot go on; `why` says what to do
  };

  Kind kind = Kind::kNothing;
  std::vector<AskNode> asks{};
  std::vector<std::string> cancel{};  ///< ids of Follows that nobody needs any more
  std::vector<LinstorOp> ops{};
  std::optional<StalePeer> heal{};
  Strategy strategy = Strategy::kNone;
  std::optional<Pair> pair{};
  std::string step{};  ///< for status.inFlight: "Follow", "Lead", "SuspendedSwitch", "Heal", ...
  std::string why{};
  bool done = false;  ///< every connection is as wanted and nothing of ours is left in LINSTOR
  std::chrono::milliseconds poll{60000};
};

VolumeDecision PlanVolume(const VolumeInput& input);

/// The strategy for this volume, or why none is possible (kNone).
struct StrategyPlan {
  Strategy strategy = Strategy::kNone;
  std::string reason{};
};

StrategyPlan ChooseStrategy(const ResourceObservation& seen, const VolumeGoal& goal);

/// Connections whose kernel configuration is not as wanted, in the order in which they are to be
/// switched: with a Primary first, diskless peers after diskful ones, Secondary-Secondary last
/// (F4.3).
std::vector<Pair> PairsToSwitch(const ResourceObservation& seen,
                                const std::map<Pair, bool>& wanted);

/// What keeps a volume from being switched now; for PlanVolume, and for PlanCluster, which gives no
/// place to a volume that could not use it.
struct SwitchObstacle {
  std::string reason{};
  bool passing =
      false;  ///< ends by itself (a resync, a node that restarts); else somebody must act
};

std::optional<SwitchObstacle> FindSwitchObstacle(const ResourceObservation& seen,
                                                 const VolumeGoal& goal,
                                                 const std::map<std::string, AgentView>& agents);

/// The same for new session keys of one encrypted connection: it is cut like for a switch, with the
/// node agents of both ends, the gate, and another copy in reach, and never under suspended I/O.
std::optional<SwitchObstacle> FindRekeyObstacle(const ResourceObservation& seen,
                                                const VolumeGoal& goal,
                                                const std::map<std::string, AgentView>& agents,
                                                const Pair& pair);

/// A connection with TLS that does not come back by itself: its ends differ (F5), or one of them is
/// StandAlone (F6) and not held.
bool NeedsRepair(const ResourceObservation& seen, const std::map<Pair, std::string>& hold);

/// Why a node can do no transaction now, with the next step, or nothing.
std::optional<SwitchObstacle> AgentObstacle(const std::map<std::string, AgentView>& agents,
                                            const std::string& node);

}  // namespace breakwater::replication
