#pragma once

/// UnsettledLedger: how long the nodes' .res files have lagged behind what LINSTOR says of a
/// resource (L33). What lasts is not on its way any more: the pin is written again. A value; no
/// clock; not thread-safe.

#include <chrono>
#include <map>
#include <set>
#include <string>

#include "operator/base/clock.h"

namespace breakwater::controllers {

class UnsettledLedger {
 public:
  /// LINSTOR retries a failed node after 15 s, 30 s, 1 min (L22).
  static constexpr std::chrono::minutes kPatience{2};

  /// `unsettled`: of the last plan, resource -> node.
  void Observe(const std::map<std::string, std::string>& unsettled, SteadyTime now) {
    std::erase_if(since_, [&](const auto& item) { return !unsettled.contains(item.first); });
    for (const auto& [resource, node] : unsettled) {
      since_.emplace(resource, now);
    }
  }

  /// Those whose pin is to be written again now; each waits anew afterwards.
  std::set<std::string> TakeOverdue(SteadyTime now) {
    std::set<std::string> overdue;
    for (auto& [resource, since] : since_) {
      if (now - since >= kPatience) {
        overdue.insert(resource);
        since = now;
      }
    }
    return overdue;
  }

 private:
  std::map<std::string, SteadyTime> since_;
};

}  // namespace breakwater::controllers
