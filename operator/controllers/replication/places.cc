#include "operator/controllers/replication/places.h"

#include <iterator>

namespace breakwater::controllers {

void Places::Give(const std::vector<std::string>& names, std::uint64_t plan) {
  for (const std::string& name : names) {
    places_.emplace(name, plan);
  }
}

std::vector<Places::Left> Places::Settle(const std::map<std::string, VolumeOutcome>& outcomes,
                                         const std::map<std::string, std::string>& backing_off,
                                         SteadyTime now) {
  std::vector<Left> left;
  for (auto it = places_.begin(); it != places_.end();) {
    const auto found = outcomes.find(it->first);
    if (found == outcomes.end() || found->second.plan < it->second || found->second.busy) {
      ++it;
      continue;
    }
    const VolumeOutcome& outcome = found->second;
    const bool patience =
        outcome.waiting_since && now - *outcome.waiting_since >= kPatience && !outcome.cut;
    const bool failed = backing_off.contains(it->first);
    if (!outcome.done && !failed && !patience) {
      ++it;
      continue;
    }
    left.push_back({it->first, !outcome.done && !failed, outcome.why, outcome.strategy});
    it = places_.erase(it);
  }
  return left;
}

void Places::KeepOnly(const std::set<std::string>& known) {
  std::erase_if(places_, [&](const auto& item) { return !known.contains(item.first); });
}

std::set<std::string> Places::names() const {
  std::set<std::string> names;
  for (const auto& [name, plan] : places_) {
    names.insert(name);
  }
  return names;
}

}  // namespace breakwater::controllers
