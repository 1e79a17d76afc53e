// How long pairs of replicas were not connected, for a report that can be trusted when nobody
// looks at the right moment.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "tests/e2e/sim/drbd/types.h"

namespace breakwater::sim {

// From when one end was no longer Connected until both were, or until now.
struct PairCut {
  std::string a;
  std::string b;
  Time from{0};
  Time to{0};

  [[nodiscard]] Time length() const { return to - from; }
};

// Counts only while both ends are configured on nodes that run: a crash, or a resource that goes
// away, ends the record of its pairs.
class CutLog {
 public:
  void Left(const std::string& resource, const std::string& x, const std::string& y, Time now);
  void Joined(const std::string& resource, const std::string& x, const std::string& y, Time now);
  // Ends of this node are gone: all of them, of one resource, or one connection.
  void Forget(const std::string& node,
              const std::optional<std::string>& resource = std::nullopt,
              const std::optional<std::string>& peer = std::nullopt);

  // Forgets those that have ended.
  void Reset() { ended_.clear(); }

  // Of a resource, oldest first; those that go on come last.
  [[nodiscard]] std::vector<PairCut> Of(const std::string& resource, Time now) const;

 private:
  using Key = std::tuple<std::string, std::string, std::string>;  // resource, nodes in order

  std::map<Key, Time> open_;
  std::map<std::string, std::vector<PairCut>> ended_;  // by resource
};

}  // namespace breakwater::sim
