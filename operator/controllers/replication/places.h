#pragma once

/// Places: which volumes may be switched now. PlanCluster says who may begin, within the limits;
/// who has begun keeps its place until it is done, has failed, or can only wait. Pure.

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "operator/base/clock.h"
#include "operator/core/replication/plan/volume_plan.h"

namespace breakwater::controllers {

/// What PlanVolume said about a volume last.
struct VolumeOutcome {
  std::uint64_t plan = 0;  ///< number of the published plan that it was asked with
  bool done = false;       ///< as wanted, nothing of ours left
  bool busy = false;       ///< a transaction is under way or was asked for
  bool cut = false;        ///< a connection is down
  replication::Strategy strategy = replication::Strategy::kNone;
  std::string step{};
  std::string why{};
  /// Since when it has only waited.
  std::optional<SteadyTime> waiting_since{};
};

class Places {
 public:
  /// A volume that only waits and is whole gives its place back after this time.
  static constexpr std::chrono::seconds kPatience{60};

  struct Left {
    std::string resource{};
    bool gave_up = false;  ///< it only waited; `why` says for what
    std::string why{};
    replication::Strategy strategy = replication::Strategy::kNone;
  };

  /// `names` may begin with plan number `plan`.
  void Give(const std::vector<std::string>& names, std::uint64_t plan);

  /// A former leader began with it.
  void Adopt(const std::string& name) { places_.emplace(name, 0); }

  /// Takes back the places of those that need none any more; `backing_off`: those that failed.
  std::vector<Left> Settle(const std::map<std::string, VolumeOutcome>& outcomes,
                           const std::map<std::string, std::string>& backing_off,
                           SteadyTime now);
  /// Forgets volumes that are gone.
  void KeepOnly(const std::set<std::string>& known);

  std::set<std::string> names() const;

  bool empty() const { return places_.empty(); }

 private:
  std::map<std::string, std::uint64_t> places_;  // and since which plan
};

}  // namespace breakwater::controllers
