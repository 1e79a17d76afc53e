#include "operator/controllers/replication/ledger/since.h"

#include <algorithm>

namespace breakwater::controllers {
namespace {

using replication::StalePeer;

// How much is out of sync changes all the time; who is stale does not.
bool Same(const StalePeer& x, const StalePeer& y) {
  return x.pair == y.pair && x.primary == y.primary && x.peer == y.peer && x.volume == y.volume &&
         x.out_of_sync == y.out_of_sync;
}

}  // namespace

void SinceLedger::Observe(const replication::ResourceObservation& seen, SteadyTime now) {
  if (seen.SuspendedUser()) {
    suspended_.emplace(seen.resource, now);
  } else if (seen.AllKnown()) {
    suspended_.erase(seen.resource);
  }
  std::map<StalePeer, SteadyTime> stale;
  const auto before = stale_.find(seen.resource);
  for (const StalePeer& peer : FindStale(seen)) {
    SteadyTime since = now;
    if (before != stale_.end()) {
      const auto old = std::find_if(before->second.begin(), before->second.end(),
                                    [&](const auto& item) { return Same(item.first, peer); });
      since = old == before->second.end() ? now : old->second;
    }
    stale[peer] = since;
  }
  if (stale.empty()) {
    stale_.erase(seen.resource);
  } else {
    stale_[seen.resource] = std::move(stale);
  }
}

std::map<StalePeer, SteadyTime> SinceLedger::StaleSince(const std::string& resource) const {
  const auto it = stale_.find(resource);
  return it == stale_.end() ? std::map<StalePeer, SteadyTime>{} : it->second;
}

std::optional<SteadyTime> SinceLedger::SuspendedSince(const std::string& resource) const {
  const auto it = suspended_.find(resource);
  return it == suspended_.end() ? std::nullopt : std::optional(it->second);
}

void SinceLedger::KeepOnly(const std::set<std::string>& known) {
  std::erase_if(stale_, [&](const auto& item) { return !known.contains(item.first); });
  std::erase_if(suspended_, [&](const auto& item) { return !known.contains(item.first); });
}

}  // namespace breakwater::controllers
