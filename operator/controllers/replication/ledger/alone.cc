#include "operator/controllers/replication/ledger/alone.h"

#include "operator/base/rfc3339.h"
#include "operator/controllers/replication/cluster_settings.h"

namespace breakwater::controllers {
namespace {

using replication::ConnectionView;
using replication::Pair;

constexpr std::chrono::seconds kShownAfter{30};

const std::string* AloneEnd(const ConnectionView& connection) {
  const bool tls = connection.a.tls.value_or(false) || connection.b.tls.value_or(false);
  if (!tls || !connection.BothKnown()) {
    return nullptr;
  }
  return connection.a.stand_alone()   ? &connection.pair.a
         : connection.b.stand_alone() ? &connection.pair.b
                                      : nullptr;
}

}  // namespace

bool AloneLedger::Observe(const replication::ResourceObservation& seen, bool ours, SystemTime now) {
  const bool first = looked_.insert(seen.resource).second;
  bool news = false;
  std::set<Pair> alone;
  for (const auto& [pair, connection] : seen.connections) {
    const std::string* node = AloneEnd(connection);
    const auto key = std::pair(seen.resource, pair);
    const auto before = entries_.find(key);
    if (before != entries_.end() && (node != nullptr || !connection.BothKnown())) {
      alone.insert(pair);
    } else if (node != nullptr) {
      entries_[key] = {*node, now, !first, ours};
      alone.insert(pair);
      news = true;
    }
  }
  std::erase_if(entries_, [&](const auto& item) {
    return item.first.first == seen.resource && !alone.contains(item.first.second);
  });
  return news;
}

std::map<Pair, std::string> AloneLedger::Holds(const std::string& resource,
                                               const HoldRules& rules,
                                               const CauseLedger& causes) const {
  std::map<Pair, std::string> holds;
  const auto from = entries_.lower_bound({resource, Pair{}});
  for (auto it = from; it != entries_.end() && it->first.first == resource; ++it) {
    const Pair& pair = it->first.second;
    const Entry& entry = it->second;
    const auto explained = [&](const std::string& node) {
      return causes.Explains(node, entry.since, entry.since_known, rules.slack);
    };
    if (rules.by_person) {
      holds[pair] = "held by the annotation " + std::string(kHoldAnnotation);
    } else if (rules.stale.contains(pair)) {
      holds[pair] = "its peer lacks writes, and a reconnect would erase the record of them";
    } else if (!entry.ours && !explained(pair.a) && !explained(pair.b)) {
      holds[pair] =
          "no fault of TLS explains it; if nobody is at work on it, run `drbdadm connect " +
          resource + ":" + pair.Other(entry.node) + "` on " + entry.node;
    }
  }
  return holds;
}

std::vector<api::MigrationFailure> AloneLedger::Failures(const std::string& resource,
                                                         const std::map<Pair, std::string>& holds,
                                                         SystemTime now) const {
  std::vector<api::MigrationFailure> shown;
  for (const auto& [pair, why] : holds) {
    const auto entry = entries_.find({resource, pair});
    if (entry != entries_.end() && now - entry->second.since >= kShownAfter) {
      shown.push_back({resource, entry->second.node, "StandAlone",
                       "connection " + pair.ToString() + " is StandAlone: " + why,
                       FormatRfc3339(entry->second.since)});
    }
  }
  return shown;
}

std::set<std::string> AloneLedger::Resources() const {
  std::set<std::string> names;
  for (const auto& [key, entry] : entries_) {
    names.insert(key.first);
  }
  return names;
}

void AloneLedger::KeepOnly(const std::set<std::string>& known) {
  std::erase_if(entries_, [&](const auto& item) { return !known.contains(item.first.first); });
  std::erase_if(looked_, [&](const auto& name) { return !known.contains(name); });
}

}  // namespace breakwater::controllers
