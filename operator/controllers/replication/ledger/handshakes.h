#pragma once

/// HandshakeLedger: between which nodes switches to TLS failed although their preflight is clean
/// (tlshd hangs, its container Ready; REVIEW-1 R5). One proven bad node holds back the others at
/// once, instead of every volume being cut and rolled back in turn. A value; no clock; not
/// thread-safe.

#include <map>
#include <optional>
#include <string>

#include "operator/base/clock.h"
#include "operator/core/replication/volume/observation.h"

namespace breakwater::controllers {

class HandshakeLedger {
 public:
  /// A switch of this connection to TLS failed. `guilty`: the end that gave up, when that was seen:
  /// DRBD goes StandAlone where its own handshake failed (F6).
  void Failed(const replication::Pair& pair,
              const std::optional<std::string>& guilty,
              SteadyTime now);
  /// A switch of this connection to TLS succeeded: both ends can do it.
  void Succeeded(const replication::Pair& pair);
  /// Something was changed on the node: its pod, its handshake daemon, its Secret.
  void Forgive(const std::string& node);

  /// Nodes that gave up, with the next step for a person; nothing is tried with them now. The time
  /// until the next try doubles from 1 min to 1 h.
  std::map<std::string, std::string> BadNodes(SteadyTime now) const;
  /// Pairs whose next try waits (ClusterInput::failed_pairs), as long.
  std::map<replication::Pair, std::string> FailedPairs(SteadyTime now) const;

 private:
  struct Entry {
    int count = 0;
    SteadyTime until{};
  };

  static void Blame(Entry* entry, SteadyTime now);

  std::map<std::string, Entry> nodes_;
  std::map<replication::Pair, Entry> pairs_;
};

}  // namespace breakwater::controllers
