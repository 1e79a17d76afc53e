#include "operator/controllers/replication/reporter.h"

#include <algorithm>
#include <utility>

#include "operator/api/resources.h"
#include "operator/base/rfc3339.h"
#include "operator/controllers/replication/status_writer.h"
#include "operator/core/replication/volume/evidence.h"
#include "operator/runtime/metrics.h"

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
  if (!picture.in_flight.empty()) {
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
  status.resources.migrating = static_cast<std::int64_t>(picture.in_flight.size());
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

Reporter::Reporter(runtime::Services services,
                   kube::KubeClient& client,
                   const runtime::Store& clusters,
                   const runtime::Store& satellites,
                   EventSink events)
    : services_(services),
      client_(client),
      clusters_(clusters),
      satellites_(satellites),
      events_(std::move(events)) {}

void Reporter::ReportNodes(const Context& ctx,
                           const std::map<std::string, std::vector<PreflightFailure>>& nodes) {
  for (const auto& [node, failures] : nodes) {
    const api::ObjectPtr satellite = satellites_.Get({.ns = "", .name = node});
    if (satellite == nullptr) {
      continue;
    }
    api::Condition condition = NodeCondition(failures);
    condition.observed_generation = satellite->generation();
    const std::vector<api::Condition> live = api::ConditionsFromJson(satellite->raw());
    const api::Condition* old = api::FindCondition(live, condition.type);
    const bool same_status = old != nullptr && old->status == condition.status;
    condition.last_transition_time =
        same_status ? old->last_transition_time : FormatRfc3339(ctx.clock().SystemNow());
    if (old != nullptr && *old == condition) {
      continue;
    }
    const api::Json object = {{"apiVersion", api::kLinstorSatellite.ApiVersion()},
                              {"kind", api::kLinstorSatellite.kind},
                              {"metadata", {{"name", node}}},
                              {"status", {{"conditions", api::Json::array({ToJson(condition)})}}}};
    kube::ApplyOptions options;
    options.field_manager = kReplicationTlsFieldManager;
    options.subresource = "status";
    const auto reply =
        client_.Apply(ctx, api::kLinstorSatellite, {.ns = "", .name = node}, object, options);
    if (!reply) {
      services_.log.Warn(
          "condition could not be written",
          {{"kind", "LinstorSatellite"}, {"name", node}, {"error", reply.error().message()}});
    } else if (!same_status && events_) {
      const bool ready = condition.status == "True";
      events_({.regarding = kube::RefOf(*satellite),
               .action = "Preflight",
               .reason = ready ? "ReplicationTLSReady" : condition.reason,
               .note = condition.message,
               .warning = !ready});
    }
  }
}

void Reporter::SetMetrics(const api::ReplicationTlsStatus& status, const Dangers& dangers) {
  runtime::Metrics& metrics = services_.metrics;
  const auto connections = [&](const char* state, std::int64_t value) {
    metrics
        .Gauge("breakwater_tls_connections", "DRBD connections by what their sockets prove",
               {{"state", state}})
        .Set(static_cast<double>(value));
  };
  connections("encrypted", status.connections.encrypted);
  connections("plaintext", status.connections.plaintext);
  connections("unknown", status.connections.unknown);
  const auto resources = [&](const char* state, std::int64_t value) {
    metrics
        .Gauge("breakwater_tls_resources", "DRBD resources by state of their migration",
               {{"state", state}})
        .Set(static_cast<double>(value));
  };
  resources("migrated", status.resources.migrated);
  resources("migrating", status.resources.migrating);
  resources("pending", status.resources.pending);
  resources("failed", status.resources.failed);
  metrics
      .Gauge("breakwater_drbd_stale_peers",
             "Peers that look connected but do not get all writes (silent divergence ahead)")
      .Set(static_cast<double>(dangers.stale));
  metrics
      .Gauge("breakwater_drbd_diverged_peers",
             "Peers that missed writes and were reconnected before they were healed")
      .Set(static_cast<double>(dangers.diverged));
  metrics.Gauge("breakwater_drbd_suspended_resources", "Resources with user-suspended I/O")
      .Set(static_cast<double>(dangers.suspended));
}

void Reporter::CountRun(const RunResult& result) {
  const char* name = result.end == RunResult::End::kDone         ? "done"
                     : result.end == RunResult::End::kRolledBack ? "rolled_back"
                     : result.end == RunResult::End::kBlocked    ? "blocked"
                                                                 : "stopped";
  services_.metrics
      .Counter(
          "breakwater_tls_runs_total", "Runs of the migration by strategy and result",
          {{"strategy", std::string(replication::ToString(result.strategy))}, {"result", name}})
      .Increment();
  if (result.longest_suspension.count() > 0) {
    services_.metrics
        .Histogram("breakwater_tls_suspension_seconds", "How long I/O of a volume was suspended")
        .Observe(std::chrono::duration<double>(result.longest_suspension).count());
  }
}

void Reporter::Event(const std::string& cluster,
                     const std::string& resource,
                     bool warning,
                     const std::string& reason,
                     const std::string& note) {
  const api::ObjectPtr object = clusters_.Get({.ns = "", .name = cluster});
  if (object != nullptr && events_) {
    events_({.regarding = kube::RefOf(*object),
             .action = "Migrate",
             .reason = reason,
             .note = note,
             .part = resource,
             .warning = warning});
  }
}

}  // namespace breakwater::controllers
