#include "operator/controllers/replication/report/picture.h"

#include <algorithm>
#include <optional>

#include "operator/core/replication/volume/evidence.h"

namespace breakwater::controllers {

using replication::Evidence;
using replication::PreflightFailure;
using replication::ResourceObservation;

namespace {

constexpr std::size_t kShownName = 48;  // LINSTOR's longest

bool Wants(const Picture& picture, const std::string& resource, const replication::Pair& pair) {
  const auto wanted = picture.plan.wanted.find(resource);
  if (wanted == picture.plan.wanted.end()) {
    return false;
  }
  const auto value = wanted->second.find(pair);
  return value != wanted->second.end() && value->second;
}

void Count(const replication::ConnectionView& connection, api::ConnectionCounts* counts) {
  ++counts->total;
  switch (EvidenceOf(connection)) {
    case Evidence::kEncrypted:
      ++counts->encrypted;
      break;
    case Evidence::kPlaintext:
      ++counts->plaintext;
      break;
    case Evidence::kWeak:
      ++counts->below_minimum;
      break;
    case Evidence::kUnknown:
      ++counts->unknown;
      break;
  }
}

/// A connection that is there and not up, by the word of one of its ends, or that nobody speaks of.
bool IsDown(const replication::ConnectionView& connection) {
  const replication::EndView& a = connection.a;
  const replication::EndView& b = connection.b;
  return (a.known && !a.connected()) || (b.known && !b.connected()) || (!a.known && !b.known);
}

/// All connections, told apart by whose word they follow. Every one is in `all`, and one that
/// nobody asked to be in plaintext can hide behind no other.
struct Counts {
  api::ConnectionCounts all{};
  api::ConnectionCounts wanted{};  ///< somebody wants them encrypted
  api::ConnectionCounts exempt{};  ///< Kubernetes says that they need not be
  api::ConnectionCounts nobody{};  ///< neither
  std::string first_exempt{};      ///< volume and by whose word, of one in plaintext
  std::string first_nobody{};      ///< volume, of one in plaintext
  int down = 0;
  std::string first_down{};  ///< volume and pair
  std::string first_weak{};  ///< volume, node, peer, and what was found
};

Counts CountConnections(const Picture& picture) {
  Counts counts;
  for (const ResourceObservation& seen : picture.resources) {
    const auto floor = picture.floors.find(seen.resource);
    const std::string exempt = floor == picture.floors.end() ? "" : floor->second.exempt;
    for (const auto& [pair, connection] : seen.connections) {
      const Evidence evidence = EvidenceOf(connection);
      const bool plaintext = evidence == Evidence::kPlaintext;
      if (evidence == Evidence::kWeak && counts.first_weak.empty()) {
        counts.first_weak = "volume " + seen.resource + ": " + WhyNotEncrypted(connection);
      }
      Count(connection, &counts.all);
      if (IsDown(connection)) {
        ++counts.down;
        if (counts.first_down.empty()) {
          counts.first_down = "volume " + seen.resource + " between " + pair.a + " and " + pair.b;
        }
      }
      if (Wants(picture, seen.resource, pair)) {
        Count(connection, &counts.wanted);
      } else if (!exempt.empty()) {
        Count(connection, &counts.exempt);
        if (plaintext && counts.first_exempt.empty()) {
          counts.first_exempt = seen.resource + ", " + exempt;
        }
      } else {
        Count(connection, &counts.nobody);
        if (plaintext && counts.first_nobody.empty()) {
          counts.first_nobody = seen.resource;
        }
      }
    }
  }
  return counts;
}

bool AnyTlsWanted(const Picture& picture) {
  if (picture.settings.tls.value_or(false)) {
    return true;
  }
  return std::any_of(picture.plan.wanted.begin(), picture.plan.wanted.end(), [](const auto& item) {
    return std::any_of(item.second.begin(), item.second.end(),
                       [](const auto& p) { return p.second; });
  });
}

bool AnyBlocker(const Picture& picture) {
  return std::any_of(picture.nodes.begin(), picture.nodes.end(),
                     [](const auto& item) { return FirstBlocker(item.second).has_value(); });
}

std::string Phase(const Picture& picture, const api::ReplicationTlsStatus& status) {
  if (!picture.migrating.empty()) {
    return "Migrating";
  }
  if (!picture.plan.problem.reason.empty()) {
    return "Blocked";
  }
  if (status.resources.pending > 0 || !picture.plan.push_held.empty()) {
    if (picture.settings.migration.policy == api::MigrationPolicy::kPaused) {
      return "Paused";
    }
    if (!picture.plan.start.empty() || !picture.plan.pins.empty() || picture.places_taken) {
      return "Migrating";
    }
    return AnyBlocker(picture) ? "Preflight" : "Blocked";
  }
  if (!AnyTlsWanted(picture)) {
    return "Idle";
  }
  const Counts counts = CountConnections(picture);
  if (picture.places_taken && counts.wanted.encrypted < counts.wanted.total) {
    return "Migrating";
  }
  // Nothing is left to do, but not everything is encrypted.
  const std::int64_t allowed = picture.settings.enforce ? 0 : counts.exempt.plaintext;
  // Nothing proves of a connection that is down that it will be encrypted, or come back at all.
  return counts.all.plaintext > allowed || counts.all.below_minimum > 0 || counts.down > 0
             ? "Partial"
             : "Complete";
}

int Rank(const api::MigrationFailure& failure) {
  if (failure.reason == "StalePeer" || failure.reason == "Diverged") {
    return 0;
  }
  return failure.reason == "Suspended" ? 1 : failure.reason == "RolledBack" ? 2 : 3;
}

}  // namespace

api::ReplicationTlsStatus BuildStatus(const Picture& picture) {
  api::ReplicationTlsStatus status;
  status.connections = CountConnections(picture).all;
  for (const ResourceObservation& seen : picture.resources) {
    const auto floor = picture.floors.find(seen.resource);
    if (floor != picture.floors.end() && !floor->second.exempt.empty() &&
        status.exempt.size() < kMaxExempt) {
      status.exempt.push_back({seen.resource, floor->second.exempt, ""});
    }
  }
  status.resources.total = static_cast<std::int64_t>(picture.resources.size());
  status.resources.pending = picture.plan.pending;
  status.resources.migrated = picture.plan.migrated;
  status.resources.migrating = static_cast<std::int64_t>(picture.migrating.size());
  std::set<std::string> failed;
  for (const api::MigrationFailure& failure : picture.failures) {
    if (!failure.resource.empty()) {
      failed.insert(failure.resource);
    }
  }
  status.resources.failed = static_cast<std::int64_t>(failed.size());
  status.failures = picture.failures;
  std::stable_sort(status.failures.begin(), status.failures.end(),
                   [](const auto& a, const auto& b) { return Rank(a) < Rank(b); });
  if (status.failures.size() > kMaxFailures) {
    status.failures.resize(kMaxFailures);
  }
  status.phase = Phase(picture, status);
  return status;
}

namespace {

/// What else a person should know, after the share: each begins with "; ".
std::string Remarks(const Picture& picture, const Counts& parts, bool wanted) {
  std::string text;
  if (wanted && parts.exempt.plaintext > 0) {
    text += "; " + std::to_string(parts.exempt.plaintext) +
            " of exempt volumes are in plaintext (" + parts.first_exempt + ")";
  }
  if (wanted && parts.nobody.plaintext > 0) {
    text += "; for " + std::to_string(parts.nobody.plaintext) +
            " in plaintext nobody asks for TLS (volume " + parts.first_nobody + ")";
  }
  if (wanted && parts.down > 0) {
    text += "; " + std::to_string(parts.down) +
            (parts.down == 1 ? " connection is" : " connections are") + " down (" +
            parts.first_down + ")";
  }
  if (!picture.ignored.empty()) {
    text += "; volume '" + picture.ignored.front().substr(0, kShownName) +
            "' is not looked at, because DRBD's tools do not take it for a name";
  }
  if (!picture.plan.rekey_held.empty()) {
    const auto& [resource, why] = *picture.plan.rekey_held.begin();
    text += "; session keys of volume " + resource + " are older than asked for (" + why + ")";
  }
  if (!picture.plan.problem.reason.empty()) {
    text += "; " + picture.plan.problem.message;
  }
  if (!picture.plan.push_held.empty()) {
    text += "; new volumes are not encrypted yet: " + picture.plan.push_held;
  }
  if (!picture.plan.held.empty()) {
    const auto& [resource, why] = *picture.plan.held.begin();
    text += "; waiting: " + resource + " (" + why + ")";
    if (picture.plan.held.size() > 1) {
      text += " and " + std::to_string(picture.plan.held.size() - 1) + " more";
    }
  }
  if (!picture.linstor_known) {
    text += "; LINSTOR cannot be reached: " + picture.linstor_error;
  }
  return text;
}

}  // namespace

api::Condition BuildCondition(const Picture& picture, const api::ReplicationTlsStatus& status) {
  api::Condition condition;
  condition.type = api::kConditionReplicationEncrypted;
  const bool wanted = AnyTlsWanted(picture);
  const Counts parts = CountConnections(picture);
  const api::ConnectionCounts& counts = parts.all;
  const std::int64_t allowed = picture.settings.enforce ? 0 : parts.exempt.plaintext;
  const auto share = [&] {
    return std::to_string(counts.encrypted) + " of " + std::to_string(counts.total) +
           " connections are encrypted";
  };
  for (const api::MigrationFailure& failure : status.failures) {
    if (Rank(failure) == 0) {
      condition.status = "False";
      condition.reason = failure.reason;
      condition.message = failure.message;
      return condition;
    }
  }
  if (picture.plan.problem.reason == "InvalidValue") {
    condition.status = "False";
    condition.reason = picture.plan.problem.reason;
    condition.message = picture.plan.problem.message + "; " + share();
    return condition;
  }
  if (!wanted) {
    condition.status = "False";
    condition.reason = "NotRequested";
    condition.message = "TLS is not requested; " + share();
  } else if (counts.encrypted == counts.total && !picture.linstor_known) {
    condition.status = "Unknown";
    condition.reason = "NotObserved";
    condition.message = share() + "; whether that is all is not known";
  } else if (counts.total == 0) {
    condition.status = "Unknown";
    condition.reason = "NoConnections";
    condition.message = "TLS is requested; there is no connection yet";
  } else if (counts.plaintext > allowed) {
    condition.status = "False";
    condition.reason = picture.settings.enforce ? "PlaintextForbidden" : status.phase;
    condition.message = share();
  } else if (counts.below_minimum > 0) {
    condition.status = "False";
    condition.reason = "BelowMinimum";
    condition.message = share() + "; " + std::to_string(counts.below_minimum) +
                        " have TLS that does not count (" + parts.first_weak + ")";
  } else if (counts.unknown > 0) {
    condition.status = "Unknown";
    condition.reason = "NotObserved";
    condition.message = share() + ", the rest could not be proven";
  } else if (!picture.plan.push_held.empty()) {
    condition.status = "False";
    condition.reason = status.phase;
    condition.message = share();
  } else if (!picture.ignored.empty()) {
    condition.status = "Unknown";
    condition.reason = "NotObserved";
    condition.message = share();
  } else {
    condition.status = "True";
    condition.reason = allowed > 0 ? "EncryptedExceptExempt" : "Encrypted";
    condition.message = allowed > 0
                            ? share()
                            : "all " + std::to_string(counts.total) + " connections are encrypted";
  }
  condition.message += Remarks(picture, parts, wanted);
  return condition;
}

api::Condition NodeCondition(const std::vector<PreflightFailure>& failures) {
  api::Condition condition;
  condition.type = api::kConditionReplicationTlsReady;
  const std::optional<PreflightFailure> first = FirstBlocker(failures);
  condition.status = first ? "False" : "True";
  condition.reason = first ? first->reason : "Ready";
  for (const PreflightFailure& failure : failures) {
    condition.message +=
        (condition.message.empty() ? "" : "; ") + failure.reason + ": " + failure.message;
  }
  if (condition.message.empty()) {
    condition.message = "the node can replicate with TLS";
  }
  return condition;
}

}  // namespace breakwater::controllers
