#pragma once

/// RolloutGate: lets satellites change one after the other.
///
/// Each satellite has its own DaemonSet, so a setting that concerns all of them would restart all
/// at once, and with them the tools that DRBD's handlers and LINSTOR need. A change of a running
/// satellite therefore waits until no other satellite of the cluster is changing or has failed to
/// come back: trouble stops the rollout. A satellite that is down anyway may always change, because
/// that is how a repair reaches it; a new one may always start. A satellite whose node is down is
/// no trouble of the rollout, or one dead machine would stop them all - unless the node went down
/// right after the rollout changed it.

#include <map>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "operator/api/object.h"

namespace breakwater::controllers {

/// How another satellite of the same cluster is doing.
struct SatelliteState {
  std::string node{};
  api::ObjectPtr daemon_set{};  ///< null: not made yet
  bool linstor_online = true;   ///< LINSTOR's word; true when LINSTOR cannot be asked
  bool node_up = true;          ///< false: Kubernetes says that the node is gone or not ready
};

/// Thread safety: all methods may be called from any thread.
class RolloutGate {
 public:
  explicit RolloutGate(int max_unavailable) : max_unavailable_(max_unavailable) {}

  /// "" when nothing stands in the way of `node`, else the reason to wait; it stands in line then.
  /// Only the first in line is told for whom it waits: the others' reason stays the same, so that
  /// a rollout of many nodes does not write all their conditions at every step.
  std::string Blocked(const std::string& node, const std::vector<SatelliteState>& others);

  /// As Blocked; "" lets `node` change now (then call End afterwards).
  std::string Begin(const std::string& node, const std::vector<SatelliteState>& others);

  /// `node` has nothing to change any more, or asks anew.
  void Leave(const std::string& node);

  /// Who stands first in line, "" when nobody waits.
  std::string Next() const;

  /// The change that Begin allowed was made and the DaemonSet has this generation now; 0 = nothing
  /// was changed. Without a Begin before it does nothing.
  void End(const std::string& node, std::int64_t generation);

  /// The satellite runs `daemon_set` as it is: when that is the change, it came back from it.
  void Settled(const std::string& node, const api::Object& daemon_set);

  /// The satellite is gone.
  void Forget(const std::string& node);

 private:
  bool Changing(const SatelliteState& state) const;
  std::string BlockedLocked(const std::string& node, const std::vector<SatelliteState>& others);
  void NoteSettled(const std::string& node, const api::Object& daemon_set);

  const int max_unavailable_;
  mutable std::mutex mutex_;
  /// What this process changed and what has not come back since. -1: the change is being made.
  std::map<std::string, std::int64_t> changed_;  // guarded by mutex_
  std::set<std::string> waiting_;                // guarded by mutex_
};

/// All pods that the DaemonSet wants run its current template and are ready.
bool IsSettled(const api::Object& daemon_set);

}  // namespace breakwater::controllers
