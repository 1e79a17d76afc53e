#include <algorithm>

#include "operator/core/tls_migration/planner.h"

namespace breakwater::tls_migration {
namespace {

std::optional<std::string> PairByPairObstacle(const ResourceObservation& seen,
                                              const std::vector<Pair>& pairs) {
  for (const Pair& pair : pairs) {
    if (std::optional<std::string> obstacle = CutObstacle(seen, pair)) {
      return obstacle;
    }
  }
  return std::nullopt;
}

std::optional<std::string> SuspendObstacle(const ResourceObservation& seen) {
  const std::vector<std::string> primaries = seen.Primaries();
  if (primaries.size() > 1) {
    return "it has more than one Primary";
  }
  for (const auto& [name, node] : seen.nodes) {
    if (node.on_no_quorum != "suspend-io") {  // I4; unknown counts as dangerous
      return "on-no-quorum is " + (node.on_no_quorum.empty() ? "unknown" : node.on_no_quorum) +
             " on " + name + ", so the application could get I/O errors or lose writes";
    }
  }
  for (const std::string& name : primaries) {
    const NodeView& primary = seen.nodes.at(name);
    if (!primary.AllUpToDate() && primary.on_no_data != "suspend-io") {
      return "the Primary " + name + " has no disk of its own and on-no-data-accessible is " +
             (primary.on_no_data.empty() ? "unknown" : primary.on_no_data);
    }
  }
  return std::nullopt;
}

}  // namespace

StrategyPlan ChooseStrategy(const ResourceObservation& seen, const Goal& goal) {
  const std::vector<Pair> pairs = PairsToSwitch(seen, goal.wanted);
  const std::optional<std::string> pair_obstacle = PairByPairObstacle(seen, pairs);
  const bool no_primary = seen.Primaries().empty();
  // Without a Primary there is no I/O to suspend, and every cut is harmless.
  if (goal.strategy == StrategyChoice::kPairByPair || no_primary ||
      (goal.strategy == StrategyChoice::kAuto && !pair_obstacle)) {
    if (pair_obstacle) {
      return {Strategy::kNone, "PairByPair is not possible: " + *pair_obstacle};
    }
    return {Strategy::kPairByPair, "every single cut leaves quorum and an up-to-date copy"};
  }
  if (const std::optional<std::string> obstacle = SuspendObstacle(seen)) {
    const std::string first =
        pair_obstacle ? "PairByPair is not possible: " + *pair_obstacle + "; " : "";
    return {Strategy::kNone, first + "SuspendIO is not possible: " + *obstacle};
  }
  return {Strategy::kSuspendIo, pair_obstacle.value_or("chosen by the user")};
}

}  // namespace breakwater::tls_migration
