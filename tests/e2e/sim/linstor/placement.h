#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "tests/e2e/sim/linstor/model.h"

namespace breakwater::sim {

struct PlaceQuestion {
  std::vector<std::string> online;     // names of nodes that can be used
  int place_count = 2;                 // replicas in the end, those that exist included
  int additional = 0;                  // > 0: exactly so many more, whatever place_count says
  std::vector<std::string> pools;      // empty: any
  std::vector<std::string> nodes;      // empty: any
  std::vector<std::string> providers;  // empty: any
  // Properties of nodes, "key" or "key=value", that replicas share or must not share.
  std::vector<std::string> same, different;
  std::map<std::string, int> different_counts;  // so many replicas may share a value; default 1
  std::vector<std::string> not_with;            // nodes that have one of these resources are out
  std::string not_with_regex;                   // or one whose whole name matches; without case
  bool diskless_on_remaining = false;
  std::string replaces;  // the diskless resource of this node may become a replica
  std::int64_t size_kib = 0;
};

/// Reads a resource group's or request's select_filter; the second wins over the first.
PlaceQuestion ReadFilter(const nlohmann::json& group, const nlohmann::json& request);

/// Replicas with data that are to stay.
int CountReplicas(const Definition& definition);

/// How many replicas are to be made; below 0 when there are more than the question wants.
int MissingReplicas(const Definition& definition, const PlaceQuestion& question);

/// The largest volume that LINSTOR puts into a pool: free space, for thin pools
/// min(free x ratio, total x ratio - what is promised already). Ratios are properties of the pool
/// or the controller, else 20.
std::int64_t CapacityKib(const State& state, const StorPool& pool);

/// Nodes for `count` new replicas, most free space first, then by name: (node, pool) pairs. Fewer
/// when there are not enough. Pure.
std::vector<std::pair<std::string, std::string>> Choose(const State& state,
                                                        const Definition& definition,
                                                        const PlaceQuestion& question,
                                                        int count);

/// Should the definition have a tiebreaker? An even number of replicas and nobody else without a
/// disk. Resources with the flag DELETE do not count.
bool WantsTiebreaker(const State& state, const Definition& definition);

/// The node on which LINSTOR would put a tiebreaker that is missing. Empty when none is needed or
/// possible.
std::string TiebreakerNode(const State& state,
                           const Definition& definition,
                           const std::vector<std::string>& online);

/// Nodes with a tiebreaker that should not be there.
std::vector<std::string> NeedlessTiebreakers(const State& state, const Definition& definition);

/// auto-add-quorum-tiebreaker as it holds for the definition: its own value, its group's, the
/// controller's.
bool TiebreakersEnabled(const State& state, const Definition& definition);

}  // namespace breakwater::sim
