#include "operator/core/replication/volume/stale_ledger.h"

#include <algorithm>
#include <iterator>

#include "operator/base/rfc3339.h"

namespace breakwater::replication {
namespace {

const EndView* EndOf(const ResourceObservation& seen,
                     const std::string& viewer,
                     const std::string& peer) {
  const ConnectionView* connection = seen.Connection(Pair::Of(viewer, peer));
  return connection == nullptr ? nullptr : &connection->End(viewer);
}

/// The only Primary, when it is neither end of the record.
std::string ThirdPrimary(const ResourceObservation& seen, const StaleRecord& record) {
  const std::vector<std::string> primaries = seen.Primaries();
  const bool third = primaries.size() == 1 && primaries.front() != record.viewer &&
                     primaries.front() != record.peer;
  return third ? primaries.front() : "";
}

bool IsPrimary(const ResourceObservation& seen, const std::string& name) {
  const NodeView* node = seen.Node(name);
  return node == nullptr || node->primary;
}

bool InSync(const EndView* end, int volume) {
  return end != nullptr && end->known && end->connected() &&
         std::any_of(end->devices.begin(), end->devices.end(), [volume](const PeerDevice& device) {
           return device.volume == volume && device.replication == "Established" &&
                  device.peer_disk == "UpToDate" && device.out_of_sync_kib == 0;
         });
}

// Proven otherwise only when both are visible.
bool IsAnother(const std::string& before, const std::string& now) {
  return !before.empty() && !now.empty() && before != now;
}

}  // namespace

void StaleLedger::Load(const std::vector<StaleRecord>& records) {
  for (const StaleRecord& record : records) {
    records_[{record.resource, record.viewer, record.peer, record.volume}] = record;
  }
}

std::vector<StaleChange> StaleLedger::Observe(const ResourceObservation& seen, SystemTime now) {
  std::vector<StaleChange> changes;
  std::set<Key> found;
  for (const StalePeer& stale : FindStale(seen)) {
    found.insert({seen.resource, stale.primary, stale.peer, stale.volume});
    Enter(seen, stale, now, &changes);
  }
  std::erase_if(candidates_, [&](const auto& item) {
    const auto& [resource, viewer, peer, volume] = item.first;
    const EndView* end = EndOf(seen, viewer, peer);
    return resource == seen.resource && !found.contains(item.first) &&
           (end == nullptr || end->known);
  });
  for (auto it = records_.begin(); it != records_.end();) {
    const bool judge =
        it->second.resource == seen.resource && !it->second.diverged && !found.contains(it->first);
    it = judge && Judge(seen, &it->second, &changes) ? records_.erase(it) : std::next(it);
  }
  ForgetRemovedCopies(seen, now);
  return changes;
}

// Deleting the replica is a cure. One look without it is no proof of that: an adjust after a reboot
// shows the same for a moment.
void StaleLedger::ForgetRemovedCopies(const ResourceObservation& seen, SystemTime now) {
  std::erase_if(records_, [&](const auto& item) {
    if (item.second.resource != seen.resource) {
      return false;
    }
    if (seen.nodes.contains(item.second.peer)) {
      gone_since_.erase(item.first);
      return false;
    }
    if (!seen.levels.known || !seen.AllKnown()) {
      return false;
    }
    const SystemTime since = gone_since_.emplace(item.first, now).first->second;
    if (now - since < kRemovedAfter) {
      return false;
    }
    gone_since_.erase(item.first);
    return true;
  });
}

void StaleLedger::Enter(const ResourceObservation& seen,
                        const StalePeer& stale,
                        SystemTime now,
                        std::vector<StaleChange>* changes) {
  const Key key{seen.resource, stale.primary, stale.peer, stale.volume};
  const std::string& session = EndOf(seen, stale.primary, stale.peer)->session;
  if (const auto record = records_.find(key); record != records_.end()) {
    StaleRecord& old = record->second;
    if (!old.diverged && IsAnother(old.session, session)) {
      old.diverged = true;  // it was reconnected in that state
      changes->push_back({StaleChange::Kind::kDiverged, old});
    }
    old.session = old.session.empty() ? session : old.session;
    old.secondary = old.secondary && !IsPrimary(seen, stale.primary);
    return;
  }
  auto candidate = candidates_.find(key);
  if (candidate == candidates_.end() || IsAnother(candidate->second.session, session)) {
    candidate = candidates_.insert_or_assign(key, Candidate{now, session}).first;
  }
  if (now - candidate->second.since < (stale.out_of_sync ? kOutOfSyncAfter : kStaleAfter)) {
    return;
  }
  healing_.erase({seen.resource, stale.pair});
  const StaleRecord record{
      seen.resource, stale.primary, stale.peer, stale.volume,
      now,           session,       false,      !IsPrimary(seen, stale.primary)};
  candidates_.erase(candidate);
  records_[key] = record;
  changes->push_back({StaleChange::Kind::kStale, record});
}

bool StaleLedger::PrimaryProves(const ResourceObservation& seen, const StaleRecord& record) const {
  const std::string primary = ThirdPrimary(seen, record);
  // What a Primary once showed of a copy is a doubt that a clean status of now does not remove.
  const bool doubt = std::any_of(records_.begin(), records_.end(), [&](const auto& item) {
    const StaleRecord& other = item.second;
    return other.resource == record.resource && other.volume == record.volume && !other.secondary;
  });
  return !doubt && InSync(EndOf(seen, primary, record.peer), record.volume) &&
         InSync(EndOf(seen, primary, record.viewer), record.volume);
}

bool StaleLedger::Judge(const ResourceObservation& seen,
                        StaleRecord* record,
                        std::vector<StaleChange>* changes) const {
  if (record->secondary && !ThirdPrimary(seen, *record).empty()) {
    if (PrimaryProves(seen, *record)) {
      changes->push_back({StaleChange::Kind::kHealed, *record});
      return true;
    }
    return false;
  }
  const EndView* end = EndOf(seen, record->viewer, record->peer);
  const auto diverged = [&] {
    record->diverged = true;
    changes->push_back({StaleChange::Kind::kDiverged, *record});
    return false;
  };
  if (end == nullptr) {  // taken down and, one day, connected anew; or deleted
    const bool down = seen.AllKnown() && seen.nodes.contains(record->peer);
    return down ? diverged() : false;
  }
  if (!end->known) {
    return false;
  }
  if (!end->connected() || IsAnother(record->session, end->session)) {
    return diverged();
  }
  const auto device = std::find_if(end->devices.begin(), end->devices.end(),
                                   [&](const auto& d) { return d.volume == record->volume; });
  if (device == end->devices.end() || device->replication != "Established" ||
      device->peer_disk != "UpToDate") {
    return false;  // it heals, or nobody can say
  }
  const bool by_us = healing_.contains({record->resource, Pair::Of(record->viewer, record->peer)});
  // Between Secondaries blocks stay recorded although the data is equal (F4.8, F14): there the heal
  // was complete when DRBD called the peer UpToDate.
  const NodeView* viewer = seen.Node(record->viewer);
  const bool counts = viewer == nullptr || viewer->primary || !by_us;
  if (counts && device->out_of_sync_kib != 0) {
    return false;
  }
  if (!record->session.empty() && end->session.empty()) {
    return false;  // the sockets will be seen again
  }
  if (record->session.empty() && !by_us) {
    return diverged();
  }
  changes->push_back({StaleChange::Kind::kHealed, *record});
  return true;
}

void StaleLedger::NoteHeal(const std::string& resource, const Pair& pair) {
  healing_.insert({resource, pair});
}

bool StaleLedger::Release(const std::set<std::string>& names) {
  return std::erase_if(records_, [&](const auto& item) {
           return item.second.diverged && names.contains(NameOf(item.second));
         }) > 0;
}

bool StaleLedger::KeepOnly(const std::set<std::string>& known) {
  return std::erase_if(records_,
                       [&](const auto& item) { return !known.contains(item.second.resource); }) > 0;
}

std::vector<StaleRecord> StaleLedger::records() const {
  std::vector<StaleRecord> result;
  for (const auto& [key, record] : records_) {
    result.push_back(record);
  }
  return result;
}

std::map<Pair, std::string> StaleLedger::Unproven(const std::string& resource) const {
  std::map<Pair, std::string> pairs;
  for (const auto& [key, record] : records_) {
    if (record.resource == resource && !record.diverged) {
      pairs[Pair::Of(record.viewer, record.peer)] = record.peer;
    }
  }
  return pairs;
}

std::set<Pair> StaleLedger::PairsOf(const std::string& resource) const {
  std::set<Pair> pairs;
  for (const auto& [key, record] : records_) {
    if (record.resource == resource) {
      pairs.insert(Pair::Of(record.viewer, record.peer));
    }
  }
  return pairs;
}

std::string NameOf(const StaleRecord& record) {
  return record.resource + "@" + FormatRfc3339(record.since);
}

}  // namespace breakwater::replication
