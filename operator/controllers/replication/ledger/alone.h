#pragma once

/// AloneLedger: encrypted connections with a StandAlone end. DRBD gives up on TLS faults for good
/// (F6), and so does an admin's `drbdadm disconnect`: only what a fault explains, or what a
/// transaction of ours left behind, is reconnected. A value; no clock; not thread-safe.

#include <chrono>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "operator/api/replication_tls.h"
#include "operator/base/clock.h"
#include "operator/controllers/replication/ledger/causes.h"
#include "operator/core/replication/volume/observation.h"

namespace breakwater::controllers {

class AloneLedger {
 public:
  /// Takes in one look. `ours`: a transaction of ours is under way on the volume, or the journal
  /// says that one was. True: an end became StandAlone that was not before.
  bool Observe(const replication::ResourceObservation& seen, bool ours, SystemTime now);

  struct HoldRules {
    bool by_person = false;               ///< annotation breakwater.io/hold
    std::set<replication::Pair> stale{};  ///< pairs whose peer lacks writes
    std::chrono::seconds slack{};         ///< see CauseLedger::Explains
  };

  /// Which of the resource's connections are not reconnected, and why.
  std::map<replication::Pair, std::string> Holds(const std::string& resource,
                                                 const HoldRules& rules,
                                                 const CauseLedger& causes) const;

  /// For status: those that are held and have been StandAlone for a while. `now` for that.
  std::vector<api::MigrationFailure> Failures(const std::string& resource,
                                              const std::map<replication::Pair, std::string>& holds,
                                              SystemTime now) const;

  /// Resources with such a connection.
  std::set<std::string> Resources() const;
  void KeepOnly(const std::set<std::string>& known);

 private:
  struct Entry {
    std::string node{};        ///< one that is StandAlone
    SystemTime since{};        ///< first seen
    bool since_known = false;  ///< it was seen in another state before
    bool ours = false;
  };

  std::map<std::pair<std::string, replication::Pair>, Entry> entries_;
  std::set<std::string> looked_;  ///< resources that were seen before
};

}  // namespace breakwater::controllers
