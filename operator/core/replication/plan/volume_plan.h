#pragma once

/// PlanVolume: what to do about one volume now, as one pure function over everything seen. The
/// agents do the dangerous part in transactions that end by themselves (transaction/transaction.h);
/// this decides which transaction is asked for next, on which nodes, and which value of ours in
/// LINSTOR follows it. It keeps nothing: a new leader gets to the same next step from what the
/// nodes show and which transactions their agents report.
///
/// Whether a volume may be switched at all is decided in one place, PlanCluster (cluster_plan.h);
/// here `goal.may_switch` says so. Order for one connection: Follow on the far end -> it is armed ->
/// Lead (or SuspendedSwitch) on the near end -> result -> LINSTOR's value of the pair -> next pair ->
/// values of ours that are not needed any more go.
/// Thread safety: pure functions.

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
  StrategyChoice strategy = StrategyChoice::kAuto;
  bool allow_single_copy = false;  ///< spec.replicationTLS.migration.allowSingleCopy
  bool floor_tls = false;          ///< plaintext is not allowed, not even as undo
  bool heal_stale = true;
  /// StandAlone connections that are not reconnected, with the reason (a person's doing, a stale
  /// peer).
  std::map<Pair, std::string> hold{};
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
  std::string version{};
};

/// A transaction on this volume that is asked for or that an agent reports.
struct RunningTransaction {
  std::string node{};
  ProgressMessage progress{};

  bool operator==(const RunningTransaction&) const = default;
};

/// What was seen over time; kept by the ledgers of the controller, a new leader starts it anew.
struct VolumeMemory {
  std::map<StalePeer, SteadyTime> stale_since{};
  std::optional<SteadyTime> suspended_since{};
  std::optional<SteadyTime> not_before{};  ///< back-off after a failed transaction
};

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
    kNothing,  ///< as wanted, or not to be touched: `why` says which
    kWait,     ///< for a transaction, a node, a place
    kAsk,      ///< `asks`, after the journal has the entry
    kLinstor,  ///< `ops`
    kHealByExec,  ///< the node has no agent: heal by one guarded exec (AGENT.md, "Without an agent")
    kBlocked,  ///< cannot go on; `why` says what to do
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

}  // namespace breakwater::replication
