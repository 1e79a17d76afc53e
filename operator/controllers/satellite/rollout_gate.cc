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
  const auto made = changed_.find(state.node);
  if (made != changed_.end() &&
      (made->second < 0 || !state.daemon_set || state.daemon_set->generation() < made->second)) {
    return true;
  }
  // Generation 1 that is not ready is a new satellite, not one that a change has broken.
  return state.daemon_set && state.daemon_set->generation() > 1 &&
         (!IsSettled(*state.daemon_set) || !state.linstor_online);
}

std::string RolloutGate::Begin(const std::string& node, const std::vector<SatelliteState>& others) {
  const std::lock_guard lock(mutex_);
  std::vector<std::string> changing;
  for (const SatelliteState& other : others) {
    if (other.node != node && Changing(other)) {
      changing.push_back(other.node);
    }
  }
  if (static_cast<int>(changing.size()) >= max_unavailable_) {
    return "waiting for the satellite on " + JoinBounded(changing, 200) + " to be ready first";
  }
  changed_[node] = -1;
  return "";
}

void RolloutGate::End(const std::string& node, std::int64_t generation) {
  const std::lock_guard lock(mutex_);
  if (generation == 0) {
    changed_.erase(node);
  } else {
    changed_[node] = generation;
  }
}

}  // namespace breakwater::controllers
