#pragma once

/// SinceLedger: since when a volume has been suspended, or a peer has looked stale. A moment of
/// either is normal (F14.1, snapshots), what lasts is not. A value; no clock; not thread-safe.

#include <map>
#include <optional>
#include <set>
#include <string>

#include "operator/base/clock.h"
#include "operator/core/replication/volume/gate.h"
#include "operator/core/replication/volume/observation.h"

namespace breakwater::controllers {

class SinceLedger {
 public:
  void Observe(const replication::ResourceObservation& seen, SteadyTime now);

  std::map<replication::StalePeer, SteadyTime> StaleSince(const std::string& resource) const;
  std::optional<SteadyTime> SuspendedSince(const std::string& resource) const;
  void KeepOnly(const std::set<std::string>& known);

 private:
  std::map<std::string, std::map<replication::StalePeer, SteadyTime>> stale_;
  std::map<std::string, SteadyTime> suspended_;
};

}  // namespace breakwater::controllers
