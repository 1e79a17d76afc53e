#pragma once

/// StaleBook: replication::StaleLedger in the words of the status: which connections look
/// established although the peer does not get all writes (F12), what people are told about them,
/// and what a new leader finds written down. A value; no clock; not thread-safe.

#include <map>
#include <set>
#include <string>
#include <vector>

#include "operator/api/replication_tls.h"
#include "operator/base/clock.h"
#include "operator/controllers/replication/ledger/notice.h"
#include "operator/core/replication/volume/observation.h"
#include "operator/core/replication/volume/stale_ledger.h"

namespace breakwater::controllers {

class StaleBook {
 public:
  void Load(const std::vector<api::StaleConnection>& written);

  /// Takes in one look; what people must hear about it. Not empty: ToStatus() has changed.
  std::vector<Notice> Observe(const replication::ResourceObservation& seen, SystemTime now);
  /// We told DRBD to heal this peer.
  void NoteHeal(const std::string& resource, const replication::Pair& pair);
  /// A person says that the copies are equal: "<resource>@<since>" each.
  void Release(const std::set<std::string>& names);
  /// Forgets resources that are gone everywhere.
  void KeepOnly(const std::set<std::string>& known);

  std::vector<api::StaleConnection> ToStatus() const;
  std::vector<api::MigrationFailure> Failures() const;
  /// VolumeGoal::unproven.
  std::map<replication::Pair, std::string> Unproven(const std::string& resource) const;
  /// Pairs that must not be reconnected: that would erase the record of what differs.
  std::set<replication::Pair> PairsOf(const std::string& resource) const;

 private:
  replication::StaleLedger ledger_;
};

}  // namespace breakwater::controllers
