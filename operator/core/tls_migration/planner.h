#pragma once

/// The planner of one resource: (observation, goal, run state) -> (one action, new run state, why).
///
/// Pure and total: no hidden state, no time but `now`. What must survive a crash is in the
/// journalled part of RunState; the caller writes it to the API server *before* it does an acting
/// decision whose journal differs from the last one written. Next() continues from any observation
/// with any journal entry, also when the entry is older than what the nodes show (killed after the
/// act) or newer (killed before it). Rules and their sources: DESIGN 4.4 and the facts F1..F24 of
/// DRBD, L15..L27 of LINSTOR. Thread safety: pure functions.

#include <chrono>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "operator/base/clock.h"
#include "operator/core/tls_migration/actions.h"
#include "operator/core/tls_migration/gate.h"
#include "operator/core/tls_migration/observation.h"

namespace breakwater::tls_migration {

enum class Strategy { kNone, kPairByPair, kSuspendIo };
/// What the user allows; kAuto prefers PairByPair.
enum class StrategyChoice { kAuto, kPairByPair, kSuspendIo };

enum class Step {
  kIdle,       ///< no run
  kCut,        ///< PairByPair: `pair` is about to be cut and reconfigured
  kReconnect,  ///< `pair` is cut or reconnecting; ends when the gate holds
  kPrepare,    ///< SuspendIO: waiting for the gate; nothing of ours is suspended yet
  kSuspend,    ///< SuspendIO: from arming the watchdog until all connections are back
  kResume,     ///< I/O is about to be resumed, then the gate, then the watchdog is disarmed
  kFinish,     ///< the nodes are done; LINSTOR's values follow
  kHeal,       ///< `pair` has a stale end (F12)
};

std::string_view ToString(Strategy strategy);
/// The name in the journal; "RollBack" in front of it while rolling back.
std::string StepName(Step step, bool rolling_back);
std::optional<Strategy> ParseStrategy(std::string_view text);
/// False when the text is no step.
bool ParseStep(std::string_view text, Step* step, bool* rolling_back);

/// Limits; the defaults come from the facts named beside them.
struct Timing {
  std::chrono::milliseconds reconnect{30000};  ///< F18: most are back after 15 s, wait at least 30
  std::chrono::milliseconds stuck{30000};      ///< F4.9: WFBitMapT that does not end
  std::chrono::milliseconds suspend_timeout{
      10000};  ///< spec.replicationTLS.migration.suspendTimeout
  std::chrono::milliseconds rollback_margin{
      4500};  ///< time kept to roll back within suspend_timeout
  std::chrono::milliseconds first_backoff{1000};
  std::chrono::milliseconds max_backoff{30000};
  /// F2.7: a suspension that was given up can still complete; that long it is waited for.
  std::chrono::milliseconds late_suspension{60000};
  int cut_attempts = 12;  ///< refused cuts (F4.4) before the run gives up
};

/// What is wanted for a resource.
struct Goal {
  std::map<Pair, bool> wanted{};  ///< TLS per connection
  StrategyChoice strategy = StrategyChoice::kAuto;
  bool heal_stale = true;
  /// A suspension that is not ours has lasted so long that nobody can be at work on it (LINSTOR
  /// suspends for a second or two while it takes a snapshot). Before that it is never resumed.
  bool may_resume_leftover = false;
  /// StandAlone connections that are not reconnected without a run: a person disconnected them, or
  /// a reconnect would erase what is known of a stale peer.
  std::set<Pair> hold{};
  /// Not LINSTOR's resource: a stale peer is healed, nothing else is touched.
  bool heal_only = false;
  /// Nodes that fail preflight, with the reason: nothing is switched to TLS on them.
  std::map<std::string, std::string> unfit{};
  /// No new cut, no new suspension; what is under way is brought to a safe end.
  bool paused = false;
  Timing timing{};
};

/// The journal: exactly what status.replicationTLS.inFlight holds.
struct Journal {
  Strategy strategy = Strategy::kNone;
  Step step = Step::kIdle;
  bool rolling_back = false;
  std::optional<Pair> pair{};
  SystemTime started_at{};  ///< of the step; survives a change of leader

  bool operator==(const Journal&) const = default;
};

/// Journal plus what may be forgotten in a crash.
struct RunState {
  Journal journal{};
  int attempts = 0;         ///< acts in this step
  SystemTime not_before{};  ///< no act before (backoff)
  std::map<StalePeer, SystemTime> stale_since{};
  std::optional<SystemTime> stuck_since{};
  std::string failure{};  ///< why a roll-back began
  bool disarmed = false;  ///< the watchdog of this run was told to end

  bool running() const { return journal.step != Step::kIdle; }
};

struct Decision {
  Action action = Wait{};
  RunState run{};
  std::string why{};
  std::chrono::milliseconds poll{1000};  ///< when to observe again
};

/// The next action. `policy` is kEnforce everywhere but in one test of the simulator.
Decision Next(const ResourceObservation& seen,
              const Goal& goal,
              const RunState& run,
              SystemTime now,
              GatePolicy policy = GatePolicy::kEnforce);

/// The strategy for this resource, or why none is possible.
struct StrategyPlan {
  Strategy strategy = Strategy::kNone;
  std::string reason{};  ///< why it was chosen, or what stands in the way
};

StrategyPlan ChooseStrategy(const ResourceObservation& seen, const Goal& goal);

/// Connections whose kernel configuration is not as wanted, in the order in which they are to be
/// switched: with a Primary first, diskless peers after diskful ones, Secondary-Secondary last
/// (F4.3).
std::vector<Pair> PairsToSwitch(const ResourceObservation& seen,
                                const std::map<Pair, bool>& wanted);

}  // namespace breakwater::tls_migration
