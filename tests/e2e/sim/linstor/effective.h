#pragma once

#include <map>
#include <string>
#include <vector>

#include "tests/e2e/sim/linstor/model.h"

namespace breakwater::sim {

/// One level at which a DRBD option is set, named as LINSTOR's comments do: "RD (r1)", "C", ….
struct LevelValue {
  std::string level, value;
  bool operator==(const LevelValue&) const = default;
};

/// Option name ("tls") -> values, the winner first. Sorted by name, as in the .res files.
using EffectiveOptions = std::map<std::string, std::vector<LevelValue>>;

/// Options of a property namespace ("DrbdOptions/Net/") for the whole resource:
/// resource definition > resource group > controller.
EffectiveOptions ResourceOptions(const State& state,
                                 const Definition& definition,
                                 const std::string& prefix);

/// Options of one connection (L15):
/// resource connection > resource definition > node connection > resource group > controller.
EffectiveOptions ConnectionOptions(const State& state,
                                   const Definition& definition,
                                   const std::string& node_a,
                                   const std::string& node_b,
                                   const std::string& prefix);

}  // namespace breakwater::sim
