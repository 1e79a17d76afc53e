#pragma once

/// SessionLedger: since when, and with how much traffic, each connection has had its session keys
/// (REVIEW-2 M8). A value; no clock; not thread-safe.
///
/// Sockets have no age. Who saw a session begin knows it: this ledger, or the agents of both nodes,
/// which outlive a leader. Nobody's word makes a session older that was seen to begin here, so a
/// node cannot have a connection reconnected again and again by its clock.

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "operator/base/clock.h"
#include "operator/core/replication/volume/observation.h"

namespace breakwater::controllers {

struct Session {
  std::string name{};  ///< EndView::session of the pair's first node
  SystemTime since{};  ///< it is at least so old
  bool seen_to_begin = false;
  std::int64_t gib = 0;  ///< that one of its sockets has carried one way

  bool operator==(const Session&) const = default;
};

struct RekeyRules {
  std::optional<std::chrono::nanoseconds> max_age{};
  std::optional<std::int64_t> max_gib{};
};

class SessionLedger {
 public:
  /// Younger ones are never due, whatever a node says of their traffic.
  static constexpr std::chrono::minutes kYoung{10};

  using Sessions = std::map<replication::Pair, Session>;

  /// Silence, and a connection that is down, change nothing; plaintext ends a session.
  void Observe(const replication::ResourceObservation& seen, SystemTime now);
  void KeepOnly(const std::set<std::string>& resources);

  /// Sessions that are too old or have carried too much, by resource: VolumeGoal::rekey.
  std::map<std::string, std::map<replication::Pair, std::string>> Due(const RekeyRules& rules,
                                                                      SystemTime now) const;

  const std::map<std::string, Sessions>& all() const { return sessions_; }

 private:
  std::map<std::string, Sessions> sessions_;
};

}  // namespace breakwater::controllers
