#pragma once

#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "tests/e2e/sim/linstor/model.h"

namespace breakwater::sim {

struct PlaceQuestion {
  std::vector<std::string> online;  // names of nodes that can be used
  int wanted = 2;                   // replicas in the end, those that exist included
  std::vector<std::string> pools;   // empty: any
  std::vector<std::string> nodes;   // empty: any
  std::int64_t size_kib = 0;
};

/// Reads a resource group's or request's select_filter; the second wins over the first.
PlaceQuestion ReadFilter(const nlohmann::json& group, const nlohmann::json& request);

/// Nodes for new replicas, most free space first, then by name: (node, pool) pairs. Fewer than
/// wanted when there are not enough. Pure.
std::vector<std::pair<std::string, std::string>> Choose(const State& state,
                                                        const Definition& definition,
                                                        const PlaceQuestion& question);

/// The node on which LINSTOR would put a tiebreaker: two replicas with data, a third online node
/// without one. Empty when none is needed or possible.
std::string TiebreakerNode(const State& state,
                           const Definition& definition,
                           const std::vector<std::string>& online);

}  // namespace breakwater::sim
