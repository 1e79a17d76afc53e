#include "tests/e2e/sim/linstor/placement.h"

#include <algorithm>
#include <tuple>

namespace breakwater::sim {
namespace {

bool Contains(const std::vector<std::string>& list, const std::string& name) {
  return std::any_of(list.begin(), list.end(),
                     [&](const std::string& one) { return Key(one) == Key(name); });
}

void ReadList(const nlohmann::json& filter, const char* key, std::vector<std::string>& out) {
  const auto it = filter.find(key);
  if (it != filter.end() && it->is_array() && !it->empty()) {
    out = it->get<std::vector<std::string>>();
  }
}

}  // namespace

PlaceQuestion ReadFilter(const nlohmann::json& group, const nlohmann::json& request) {
  PlaceQuestion question;
  int additional = 0;
  for (const nlohmann::json& filter : {group, request}) {
    if (!filter.is_object()) {
      continue;
    }
    if (filter.contains("storage_pool") && filter.at("storage_pool").is_string()) {
      question.pools = {filter.at("storage_pool").get<std::string>()};
    }
    ReadList(filter, "storage_pool_list", question.pools);
    ReadList(filter, "node_name_list", question.nodes);
    question.wanted = filter.value("place_count", question.wanted);
    additional = filter.value("additional_place_count", 0);
  }
  question.wanted += additional;
  return question;
}

std::vector<std::pair<std::string, std::string>> Choose(const State& state,
                                                        const Definition& definition,
                                                        const PlaceQuestion& question) {
  using Candidate = std::tuple<std::int64_t, std::string, std::string>;  // -free, node, pool
  std::vector<Candidate> candidates;
  int have = 0;
  for (const auto& [key, resource] : definition.resources) {
    have += IsDiskless(resource) ? 0 : 1;
  }
  for (const auto& [key, pool] : state.pools) {
    const auto node = state.nodes.find(Key(pool.node));
    const auto existing = definition.resources.find(Key(pool.node));
    // A tiebreaker may become a replica, any other resource stays what it is.
    const bool taken =
        existing != definition.resources.end() && !HasFlag(existing->second.flags, "TIE_BREAKER");
    if (pool.kind == "DISKLESS" || node == state.nodes.end() || taken ||
        HasFlag(node->second.flags, "EVACUATE") || !Contains(question.online, pool.node) ||
        (!question.pools.empty() && !Contains(question.pools, pool.name)) ||
        (!question.nodes.empty() && !Contains(question.nodes, pool.node)) ||
        pool.free_kib < question.size_kib) {
      continue;
    }
    candidates.emplace_back(-pool.free_kib, pool.node, pool.name);
  }
  std::sort(candidates.begin(), candidates.end());
  std::vector<std::pair<std::string, std::string>> out;
  for (const auto& [free, node, pool] : candidates) {
    const bool used = std::any_of(out.begin(), out.end(),
                                  [&node = node](const auto& p) { return p.first == node; });
    if (have + static_cast<int>(out.size()) < question.wanted && !used) {
      out.emplace_back(node, pool);
    }
  }
  return out;
}

std::string TiebreakerNode(const State& state,
                           const Definition& definition,
                           const std::vector<std::string>& online) {
  int replicas = 0;
  for (const auto& [key, resource] : definition.resources) {
    if (HasFlag(resource.flags, "DELETE")) {
      continue;
    }
    if (IsDiskless(resource)) {
      return "";  // any diskless peer serves as one
    }
    ++replicas;
  }
  const auto wanted = state.controller.find("DrbdOptions/auto-add-quorum-tiebreaker");
  const auto own = definition.props.find("DrbdOptions/auto-add-quorum-tiebreaker");
  const auto& value = own != definition.props.end()      ? own->second
                      : wanted != state.controller.end() ? wanted->second
                                                         : std::string("True");
  if (replicas != 2 || Key(value) == "false" || Key(value) == "no") {
    return "";
  }
  for (const auto& [key, node] : state.nodes) {
    if (!definition.resources.contains(key) && Contains(online, node.name) &&
        !HasFlag(node.flags, "EVACUATE")) {
      return node.name;
    }
  }
  return "";
}

}  // namespace breakwater::sim
