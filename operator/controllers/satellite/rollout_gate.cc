#include "operator/controllers/satellite/rollout_gate.h"

#include "operator/controllers/common/status_tools.h"

namespace breakwater::controllers {

bool IsSettled(const api::Object& daemon_set) {
  const std::int64_t wanted = IntegerAt(daemon_set, {"status", "desiredNumberScheduled"}, 0);
  return IntegerAt(daemon_set, {"status", "observedGeneration"}, 0) >= daemon_set.generation() &&
         IntegerAt(daemon_set, {"status", "updatedNumberScheduled"}, 0) >= wanted &&
         IntegerAt(daemon_set, {"status", "numberReady"}, 0) >= wanted;
}

bool RolloutGate::Changing(const SatelliteState& state) const {
  if (changed_.contains(state.node)) {
    return true;
  }
  // Generation 1 that is not ready is a new satellite, not one that a change has broken.
  return state.node_up && state.daemon_set && state.daemon_set->generation() > 1 &&
         (!IsSettled(*state.daemon_set) || !state.linstor_online);
}

std::string RolloutGate::Blocked(const std::string& node,
                                 const std::vector<SatelliteState>& others) {
  const std::lock_guard lock(mutex_);
  return BlockedLocked(node, others);
}

std::string RolloutGate::Begin(const std::string& node, const std::vector<SatelliteState>& others) {
  const std::lock_guard lock(mutex_);
  std::string reason = BlockedLocked(node, others);
  if (reason.empty()) {
    changed_[node] = -1;
  }
  return reason;
}

void RolloutGate::Leave(const std::string& node) {
  const std::lock_guard lock(mutex_);
  waiting_.erase(node);
}

std::string RolloutGate::Next() const {
  const std::lock_guard lock(mutex_);
  return waiting_.empty() ? std::string() : *waiting_.begin();
}

std::string RolloutGate::BlockedLocked(const std::string& node,
                                       const std::vector<SatelliteState>& others) {
  std::vector<std::string> changing;
  for (const SatelliteState& other : others) {
    if (other.daemon_set) {
      NoteSettled(other.node, *other.daemon_set);
    }
    if (other.node != node && Changing(other)) {
      changing.push_back(other.node);
    }
  }
  if (static_cast<int>(changing.size()) < max_unavailable_) {
    waiting_.erase(node);
    return "";
  }
  waiting_.insert(node);
  return *waiting_.begin() == node
             ? "waiting for the satellite on " + JoinBounded(changing, 200) + " to be ready first"
             : "waiting for its turn: satellites restart one after the other";
}

void RolloutGate::End(const std::string& node, std::int64_t generation) {
  const std::lock_guard lock(mutex_);
  const auto begun = changed_.find(node);
  if (begun == changed_.end()) {
    return;
  }
  if (generation > 0) {
    begun->second = generation;
  } else if (begun->second < 0) {
    changed_.erase(begun);
  }
}

void RolloutGate::Settled(const std::string& node, const api::Object& daemon_set) {
  const std::lock_guard lock(mutex_);
  NoteSettled(node, daemon_set);
}

void RolloutGate::NoteSettled(const std::string& node, const api::Object& daemon_set) {
  const auto made = changed_.find(node);
  if (made != changed_.end() && made->second >= 0 && daemon_set.generation() >= made->second &&
      IsSettled(daemon_set)) {
    changed_.erase(made);
  }
}

void RolloutGate::Forget(const std::string& node) {
  const std::lock_guard lock(mutex_);
  changed_.erase(node);
  waiting_.erase(node);
}

}  // namespace breakwater::controllers
