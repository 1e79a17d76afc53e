#include "operator/controllers/replication/ledger/sessions.h"

#include <algorithm>
#include <utility>

#include "operator/core/replication/volume/evidence.h"

namespace breakwater::controllers {

using replication::Evidence;
using replication::Pair;

namespace {

// The earliest that an end says, and not what cannot be.
SystemTime Earliest(const replication::ConnectionView& connection, SystemTime now) {
  SystemTime since = now;
  for (const replication::EndView* end : {&connection.a, &connection.b}) {
    const SystemTime said{std::chrono::seconds(end->session_since)};
    if (end->session_since > 0 && said < since) {
      since = said;
    }
  }
  return since;
}

}  // namespace

void SessionLedger::Observe(const replication::ResourceObservation& seen, SystemTime now) {
  Sessions& known = sessions_[seen.resource];
  for (const auto& [pair, connection] : seen.connections) {
    const Evidence evidence = EvidenceOf(connection);
    if (evidence == Evidence::kPlaintext) {
      known.erase(pair);
    }
    if ((evidence != Evidence::kEncrypted && evidence != Evidence::kWeak) ||
        connection.a.session.empty()) {
      continue;
    }
    Session& session = known[pair];
    if (session.name != connection.a.session) {
      const bool another = !session.name.empty();
      session = {.name = connection.a.session,
                 .since = another ? now : Earliest(connection, now),
                 .seen_to_begin = another};
    } else if (!session.seen_to_begin) {
      session.since = std::min(session.since, Earliest(connection, now));
    }
    session.gib = std::max({session.gib, connection.a.session_gib, connection.b.session_gib});
  }
  std::erase_if(known, [&](const auto& item) {
    return seen.AllKnown() && !seen.connections.contains(item.first);
  });
}

void SessionLedger::KeepOnly(const std::set<std::string>& resources) {
  std::erase_if(sessions_, [&](const auto& item) { return !resources.contains(item.first); });
}

std::map<std::string, std::map<Pair, std::string>> SessionLedger::Due(const RekeyRules& rules,
                                                                      SystemTime now) const {
  std::map<std::string, std::map<Pair, std::string>> due;
  for (const auto& [resource, sessions] : sessions_) {
    for (const auto& [pair, session] : sessions) {
      const auto age = now - session.since;
      const bool old = rules.max_age && age >= *rules.max_age;
      const bool full = rules.max_gib && session.gib >= *rules.max_gib;
      if ((old || full) && (age >= kYoung || !session.seen_to_begin)) {
        due[resource][pair] = session.name;
      }
    }
  }
  return due;
}

}  // namespace breakwater::controllers
