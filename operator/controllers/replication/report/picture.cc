#include "operator/controllers/replication/report/picture.h"

#include <algorithm>
#include <optional>

#include "operator/core/replication/volume/evidence.h"

namespace breakwater::controllers {

using replication::Evidence;
using replication::PreflightFailure;
using replication::ResourceObservation;

namespace {

bool Wants(const Picture& picture, const std::string& resource, const replication::Pair& pair) {
  const auto wanted = picture.plan.wanted.find(resource);
  if (wanted == picture.plan.wanted.end()) {
    return false;
  }
  const auto value = wanted->second.find(pair);
  return value != wanted->second.end() && value->second;
}

// `all`: also those that nobody wants encrypted.
api::ConnectionCounts CountConnections(const Picture& picture, bool all) {
  api::ConnectionCounts counts;
  for (const ResourceObservation& seen : picture.resources) {
    for (const auto& [pair, connection] : seen.connections) {
      if (!all && !Wants(picture, seen.resource, pair)) {
        continue;
      }
      ++counts.total;
      switch (EvidenceOf(connection)) {
        case Evidence::kEncrypted:
          ++counts.encrypted;
          break;
        case Evidence::kPlaintext:
          ++counts.plaintext;
          break;
        case Evidence::kUnknown:
          ++counts.unknown;
          break;
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
    if (!picture.plan.start.empty() || !picture.plan.pins.empty()) {
      return "Migrating";
    }
    return AnyBlocker(picture) ? "Preflight" : "Blocked";
  }
  return AnyTlsWanted(picture) ? "Complete" : "Idle";
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
  status.connections = CountConnections(picture, /*all=*/true);
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

api::Condition BuildCondition(const Picture& picture, const api::ReplicationTlsStatus& status) {
  api::Condition condition;
  condition.type = api::kConditionReplicationEncrypted;
  const bool wanted = AnyTlsWanted(picture);
  const api::ConnectionCounts counts =
      wanted ? CountConnections(picture, /*all=*/false) : status.connections;
  const std::string which =
      counts.total == status.connections.total ? " connections" : " connections that want TLS";
  const auto share = [&] {
    return std::to_string(counts.encrypted) + " of " + std::to_string(counts.total) + which +
           " are encrypted";
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
  } else if (counts.encrypted == counts.total && picture.plan.push_held.empty()) {
    condition.status = "True";
    condition.reason = "Encrypted";
    condition.message = "all " + std::to_string(counts.total) + which + " are encrypted";
  } else if (counts.plaintext == 0 && counts.unknown > 0) {
    condition.status = "Unknown";
    condition.reason = "NotObserved";
    condition.message = share() + ", the rest could not be proven";
  } else {
    condition.status = "False";
    condition.reason =
        picture.settings.enforce && counts.plaintext > 0 ? "PlaintextForbidden" : status.phase;
    condition.message = share();
  }
  if (!picture.plan.problem.reason.empty()) {
    condition.message += "; " + picture.plan.problem.message;
  }
  if (!picture.plan.push_held.empty()) {
    condition.message += "; new volumes are not encrypted yet: " + picture.plan.push_held;
  }
  if (!picture.plan.held.empty()) {
    const auto& [resource, why] = *picture.plan.held.begin();
    condition.message += "; waiting: " + resource + " (" + why + ")";
    if (picture.plan.held.size() > 1) {
      condition.message += " and " + std::to_string(picture.plan.held.size() - 1) + " more";
    }
  }
  if (!picture.linstor_known) {
    condition.message += "; LINSTOR cannot be reached: " + picture.linstor_error;
  }
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
