#pragma once

/// HandshakeLedger: which node is to blame when switches to TLS fail although its preflight is
/// clean (tlshd hangs, its container Ready; REVIEW-1 R5). One proven bad node holds back the
/// others at once, instead of every volume being cut and rolled back in turn. A value; no clock;
/// not thread-safe.

#include <map>
#include <optional>
#include <set>
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

  /// Nodes that nothing is tried with now, with the next step for a person. A node is bad when it
  /// gave up, or failed with two others and with none succeeded; the time until the next try
  /// doubles from 1 min to 1 h.
  std::map<std::string, std::string> Bad(SteadyTime now) const;

 private:
  struct Entry {
    std::set<std::string> failed_with{};
    int count = 0;  ///< how often it was found bad
    SteadyTime until{};
  };

  void Blame(Entry* entry, SteadyTime now) const;

  std::map<std::string, Entry> entries_;
};

}  // namespace breakwater::controllers
