#include "tests/e2e/sim/linstor/placement.h"

#include <algorithm>
#include <regex>
#include <tuple>

namespace breakwater::sim {
namespace {

constexpr double kDefaultRatio = 20;  // of oversubscription

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

/// Clients send null for what they do not care about.
template <typename T>
void Read(const nlohmann::json& filter, const char* key, T& out) {
  const auto it = filter.find(key);
  if (it != filter.end() && !it->is_null()) {
    it->get_to(out);
  }
}

std::string Value(const Props& props, const std::string& key) {
  const auto it = props.find(key);
  return it == props.end() ? "" : it->second;
}

bool IsNo(const std::string& value) {
  return Key(value) == "false" || Key(value) == "no";
}

bool EndsWith(const std::string& text, const std::string& end) {
  return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

/// `specific` before the older property for both ratios, the pool before the controller.
double Ratio(const State& state, const StorPool& pool, const std::string& specific) {
  for (const auto& key : {specific, std::string("MaxOversubscriptionRatio")}) {
    for (const Props* props : {&pool.props, &state.controller}) {
      if (const auto value = Value(*props, key); !value.empty()) {
        return std::stod(value);
      }
    }
  }
  return kDefaultRatio;
}

/// What the volumes of a pool may grow to, together.
std::int64_t PromisedKib(const State& state, const StorPool& pool) {
  std::int64_t sum = 0;
  for (const auto& [key, definition] : state.definitions) {
    const auto resource = definition.resources.find(Key(pool.node));
    if (resource == definition.resources.end()) {
      continue;
    }
    for (const auto& [number, volume] : resource->second.volumes) {
      sum += Key(volume.pool) == Key(pool.name) ? definition.volumes.at(number).size_kib : 0;
    }
  }
  return sum;
}

bool MatchesRegex(const std::string& pattern, const std::string& name) {
  try {
    return std::regex_match(name, std::regex(pattern, std::regex::icase));
  } catch (const std::regex_error&) {
    return false;
  }
}

/// Does a resource live on the node that the new one must not share a node with?
bool HasUnwanted(const State& state,
                 const Definition& self,
                 const PlaceQuestion& question,
                 const std::string& node) {
  if (question.not_with.empty() && question.not_with_regex.empty()) {
    return false;
  }
  return std::any_of(state.definitions.begin(), state.definitions.end(), [&](const auto& item) {
    const Definition& other = item.second;
    return Key(other.name) != Key(self.name) && other.resources.contains(Key(node)) &&
           (Contains(question.not_with, other.name) ||
            (!question.not_with_regex.empty() &&
             MatchesRegex(question.not_with_regex, other.name)));
  });
}

struct Candidate {
  std::string node, pool;
  const Props* props = nullptr;  // of the node
};

/// Every pool that may be used when it is looked at alone, the best first.
std::vector<Candidate> Candidates(const State& state,
                                  const Definition& definition,
                                  const PlaceQuestion& question) {
  std::vector<std::tuple<std::int64_t, std::string, std::string>> sorted;  // -free, node, pool
  for (const auto& [key, pool] : state.pools) {
    const auto node = state.nodes.find(Key(pool.node));
    const auto existing = definition.resources.find(Key(pool.node));
    // A tiebreaker may become a replica, any other resource stays what it is.
    const bool taken = existing != definition.resources.end() &&
                       !HasFlag(existing->second.flags, "TIE_BREAKER") &&
                       Key(question.replaces) != Key(pool.node);
    if (pool.kind == "DISKLESS" || node == state.nodes.end() || taken ||
        HasFlag(node->second.flags, "EVACUATE") ||
        IsNo(Value(node->second.props, "AutoplaceTarget")) ||
        !Contains(question.online, pool.node) ||
        (!question.pools.empty() && !Contains(question.pools, pool.name)) ||
        (!question.nodes.empty() && !Contains(question.nodes, pool.node)) ||
        (!question.providers.empty() && !Contains(question.providers, pool.kind)) ||
        HasUnwanted(state, definition, question, pool.node) ||
        CapacityKib(state, pool) < question.size_kib) {
      continue;
    }
    sorted.emplace_back(-pool.free_kib, pool.node, pool.name);
  }
  std::sort(sorted.begin(), sorted.end());
  std::vector<Candidate> out;
  for (const auto& [free, node, pool] : sorted) {
    out.push_back({node, pool, &state.nodes.at(Key(node)).props});
  }
  return out;
}

/// Searches pools that fit together: one per node, and what replicas must or must not share.
class Search {
 public:
  Search(std::vector<Candidate> candidates,
         std::vector<const Props*> placed,
         PlaceQuestion question)
      : candidates_(std::move(candidates)),
        placed_(std::move(placed)),
        question_(std::move(question)) {}

  /// The first selection of that size in the order of the candidates.
  bool Find(int count, std::size_t from = 0) {
    if (count <= 0) {
      return true;
    }
    for (std::size_t i = from; i < candidates_.size(); ++i) {
      if (!Fits(candidates_[i])) {
        continue;
      }
      chosen_.push_back(candidates_[i]);
      placed_.push_back(candidates_[i].props);
      if (Find(count - 1, i + 1)) {
        return true;
      }
      chosen_.pop_back();
      placed_.pop_back();
    }
    return false;
  }

  [[nodiscard]] const std::vector<Candidate>& chosen() const { return chosen_; }

 private:
  [[nodiscard]] bool Fits(const Candidate& candidate) const {
    const bool used = std::any_of(chosen_.begin(), chosen_.end(), [&](const Candidate& other) {
      return other.node == candidate.node;
    });
    return !used && SharesWhatItMust(*candidate.props) && DiffersWhereItMust(*candidate.props);
  }

  /// The value is that of the replicas that are there, else the one that is asked for, else free.
  [[nodiscard]] bool SharesWhatItMust(const Props& props) const {
    return std::all_of(question_.same.begin(), question_.same.end(), [&](const auto& rule) {
      const auto split = rule.find('=');
      const auto key = rule.substr(0, split);
      std::string wanted = split == std::string::npos ? "" : rule.substr(split + 1);
      for (const Props* other : placed_) {
        wanted = Value(*other, key).empty() ? wanted : Value(*other, key);
      }
      return wanted.empty() || Value(props, key) == wanted;
    });
  }

  /// "key=value": nowhere where the property has that value. A node without it is always fine.
  [[nodiscard]] bool DiffersWhereItMust(const Props& props) const {
    auto rules = question_.different_counts;
    for (const auto& rule : question_.different) {
      const auto split = rule.find('=');
      const auto key = rule.substr(0, split);
      if (split != std::string::npos && Value(props, key) == rule.substr(split + 1)) {
        return false;
      }
      rules.emplace(key, 1);
    }
    return std::all_of(rules.begin(), rules.end(), [&](const auto& rule) {
      const auto value = Value(props, rule.first);
      return value.empty() ||
             std::count_if(placed_.begin(), placed_.end(), [&](const Props* other) {
               return Value(*other, rule.first) == value;
             }) < rule.second;
    });
  }

  std::vector<Candidate> candidates_, chosen_;
  std::vector<const Props*> placed_;  // of the nodes that have a replica
  PlaceQuestion question_;
};

bool IsReplica(const Resource& resource) {
  return !IsDiskless(resource) && !HasFlag(resource.flags, "DELETE");
}

}  // namespace

PlaceQuestion ReadFilter(const nlohmann::json& group, const nlohmann::json& request) {
  PlaceQuestion question;
  for (const nlohmann::json& filter : {group, request}) {
    if (!filter.is_object()) {
      continue;
    }
    if (filter.contains("storage_pool") && filter.at("storage_pool").is_string()) {
      question.pools = {filter.at("storage_pool").get<std::string>()};
    }
    ReadList(filter, "storage_pool_list", question.pools);
    ReadList(filter, "node_name_list", question.nodes);
    ReadList(filter, "provider_list", question.providers);
    ReadList(filter, "replicas_on_same", question.same);
    ReadList(filter, "replicas_on_different", question.different);
    ReadList(filter, "not_place_with_rsc", question.not_with);
    Read(filter, "x_replicas_on_different_map", question.different_counts);
    Read(filter, "not_place_with_rsc_regex", question.not_with_regex);
    Read(filter, "diskless_on_remaining", question.diskless_on_remaining);
    Read(filter, "place_count", question.place_count);
    Read(filter, "additional_place_count", question.additional);
  }
  return question;
}

int CountReplicas(const Definition& definition) {
  return static_cast<int>(std::count_if(definition.resources.begin(), definition.resources.end(),
                                        [](const auto& item) { return IsReplica(item.second); }));
}

int MissingReplicas(const Definition& definition, const PlaceQuestion& question) {
  return question.additional > 0 ? question.additional
                                 : question.place_count - CountReplicas(definition);
}

std::int64_t CapacityKib(const State& state, const StorPool& pool) {
  if (!EndsWith(pool.kind, "_THIN")) {
    return pool.free_kib;
  }
  const double by_free = static_cast<double>(pool.free_kib) *
                         Ratio(state, pool, "MaxFreeCapacityOversubscriptionRatio");
  const double by_total = static_cast<double>(pool.total_kib) *
                              Ratio(state, pool, "MaxTotalCapacityOversubscriptionRatio") -
                          static_cast<double>(PromisedKib(state, pool));
  return static_cast<std::int64_t>(std::min(by_free, by_total));
}

std::vector<std::pair<std::string, std::string>> Choose(const State& state,
                                                        const Definition& definition,
                                                        const PlaceQuestion& question,
                                                        int count) {
  std::vector<const Props*> placed;
  for (const auto& [key, resource] : definition.resources) {
    const auto node = state.nodes.find(key);
    if (IsReplica(resource) && node != state.nodes.end() &&
        !HasFlag(node->second.flags, "EVACUATE")) {
      placed.push_back(&node->second.props);
    }
  }
  Search search(Candidates(state, definition, question), placed, question);
  while (count > 0 && !search.Find(count)) {
    --count;
  }
  std::vector<std::pair<std::string, std::string>> out;
  for (const Candidate& one : search.chosen()) {
    out.emplace_back(one.node, one.pool);
  }
  return out;
}

bool TiebreakersEnabled(const State& state, const Definition& definition) {
  const auto group = state.groups.find(Key(definition.group));
  static const Props kNone;
  for (const Props* props :
       {&definition.props, group == state.groups.end() ? &kNone : &group->second.props,
        &state.controller}) {
    if (const auto value = Value(*props, "DrbdOptions/auto-add-quorum-tiebreaker");
        !value.empty()) {
      return !IsNo(value);
    }
  }
  return true;
}

bool WantsTiebreaker(const State& state, const Definition& definition) {
  const int replicas = CountReplicas(definition);
  const bool other_diskless =
      std::any_of(definition.resources.begin(), definition.resources.end(), [](const auto& item) {
        return IsDiskless(item.second) && !HasFlag(item.second.flags, "DELETE") &&
               !HasFlag(item.second.flags, "TIE_BREAKER");
      });
  return HasLayer(definition, "DRBD") && TiebreakersEnabled(state, definition) && replicas >= 2 &&
         replicas % 2 == 0 && !other_diskless;
}

std::vector<std::string> NeedlessTiebreakers(const State& state, const Definition& definition) {
  std::vector<std::string> out;
  for (const auto& [key, resource] : definition.resources) {
    if (HasFlag(resource.flags, "TIE_BREAKER") && !WantsTiebreaker(state, definition)) {
      out.push_back(resource.node);
    }
  }
  return out;
}

std::string TiebreakerNode(const State& state,
                           const Definition& definition,
                           const std::vector<std::string>& online) {
  const bool has_one =
      std::any_of(definition.resources.begin(), definition.resources.end(), [](const auto& item) {
        return IsDiskless(item.second) && !HasFlag(item.second.flags, "DELETE");
      });
  if (has_one || !WantsTiebreaker(state, definition)) {
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
