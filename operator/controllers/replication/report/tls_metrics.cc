#include "operator/controllers/replication/report/tls_metrics.h"

#include <algorithm>
#include <chrono>
#include <utility>
#include <vector>

namespace breakwater::controllers {
namespace {

constexpr const char* kLastFreeze = "breakwater_tls_last_suspension_seconds";
constexpr const char* kLastCut = "breakwater_tls_last_cut_seconds";
constexpr const char* kAgents = "breakwater_agents";
constexpr const char* kSessionStart = "breakwater_tls_session_start_time_seconds";
constexpr const char* kSessionBytes = "breakwater_tls_session_bytes";
constexpr double kGib = 1024.0 * 1024 * 1024;

double Seconds(std::chrono::milliseconds time) {
  return std::chrono::duration<double>(time).count();
}

/// Around what a reconnect takes (F18, F29, F31), up to the longest suspendTimeout.
const std::vector<double>& SwitchBuckets() {
  static const std::vector<double> kBuckets{0.1, 0.25, 0.5, 1, 1.5, 2, 3, 5, 10, 20, 30, 60};
  return kBuckets;
}

}  // namespace

void TlsMetrics::SetStatus(const api::ReplicationTlsStatus& status, const Dangers& dangers) {
  const auto connections = [&](const char* state, std::int64_t value) {
    metrics_
        .Gauge("breakwater_tls_connections", "DRBD connections by what their sockets prove",
               {{"state", state}})
        .Set(static_cast<double>(value));
  };
  connections("encrypted", status.connections.encrypted);
  connections("plaintext", status.connections.plaintext);
  connections("below_minimum", status.connections.below_minimum);
  connections("unknown", status.connections.unknown);
  const auto resources = [&](const char* state, std::int64_t value) {
    metrics_
        .Gauge("breakwater_tls_resources", "DRBD resources by state of their migration",
               {{"state", state}})
        .Set(static_cast<double>(value));
  };
  resources("migrated", status.resources.migrated);
  resources("migrating", status.resources.migrating);
  resources("pending", status.resources.pending);
  resources("failed", status.resources.failed);
  metrics_
      .Gauge("breakwater_drbd_stale_peers",
             "Peers that look connected but do not get all writes (silent divergence ahead)")
      .Set(static_cast<double>(dangers.stale));
  metrics_
      .Gauge("breakwater_drbd_diverged_peers",
             "Peers that missed writes and were reconnected before they were healed")
      .Set(static_cast<double>(dangers.diverged));
  metrics_.Gauge("breakwater_drbd_suspended_resources", "Resources with user-suspended I/O")
      .Set(static_cast<double>(dangers.suspended));
}

void TlsMetrics::SetAgents(const std::map<std::string, replication::AgentView>& agents) {
  std::map<std::string, int> by_version;
  int up = 0;
  for (const auto& [node, agent] : agents) {
    up += agent.connected ? 1 : 0;
    if (!agent.version.empty()) {
      ++by_version[agent.version];
    }
  }
  const std::lock_guard lock(mutex_);
  for (const std::string& version : versions_) {
    if (!by_version.contains(version)) {
      metrics_.RemoveGauge(kAgents, {{"version", version}});
    }
  }
  versions_.clear();
  for (const auto& [version, count] : by_version) {
    metrics_.Gauge(kAgents, "Node agents by their version", {{"version", version}}).Set(count);
    versions_.insert(version);
  }
  metrics_
      .Gauge("breakwater_agent_streams", "Nodes with an agent by state of the stream to it",
             {{"state", "up"}})
      .Set(up);
  metrics_
      .Gauge("breakwater_agent_streams", "Nodes with an agent by state of the stream to it",
             {{"state", "down"}})
      .Set(static_cast<double>(agents.size()) - up);
}

void TlsMetrics::SetSessions(const std::map<std::string, SessionLedger::Sessions>& sessions) {
  struct Shown {
    const std::string* resource;
    const replication::Pair* pair;
    const Session* session;
  };

  std::vector<Shown> shown;
  for (const auto& [resource, by_pair] : sessions) {
    for (const auto& [pair, session] : by_pair) {
      shown.push_back({&resource, &pair, &session});
    }
  }
  if (shown.size() > kSessionsShown) {
    std::nth_element(
        shown.begin(), shown.begin() + kSessionsShown, shown.end(),
        [](const Shown& x, const Shown& y) { return x.session->since < y.session->since; });
    shown.resize(kSessionsShown);
  }
  std::set<runtime::MetricLabels> now;
  for (const Shown& item : shown) {
    runtime::MetricLabels labels = VolumeLabels(claims_, *item.resource);
    labels.emplace("connection", item.pair->ToString());
    metrics_
        .Gauge(kSessionStart, "Since when at least a connection has had its session keys", labels)
        .Set(std::chrono::duration<double>(item.session->since.time_since_epoch()).count());
    metrics_
        .Gauge(kSessionBytes,
               "What one direction of a connection has carried with its session keys, in whole GiB",
               labels)
        .Set(static_cast<double>(item.session->gib) * kGib);
    now.insert(std::move(labels));
  }
  const std::lock_guard lock(mutex_);
  for (const runtime::MetricLabels& labels : sessions_) {
    if (!now.contains(labels)) {
      metrics_.RemoveGauge(kSessionStart, labels);
      metrics_.RemoveGauge(kSessionBytes, labels);
    }
  }
  sessions_ = std::move(now);
}

void TlsMetrics::CountResult(const replication::ResultMessage& message) {
  const replication::TransactionResult& result = message.result;
  metrics_
      .Counter("breakwater_tls_transactions_total",
               "Transactions of node agents by kind and result",
               {{"kind", std::string(ToString(message.kind))},
                {"result", std::string(ToString(result.outcome))}})
      .Increment();
  if (result.frozen.count() > 0) {
    metrics_
        .Histogram("breakwater_tls_suspension_seconds", "How long I/O of a volume was suspended",
                   {}, SwitchBuckets())
        .Observe(Seconds(result.frozen));
  }
  if (result.cut.count() > 0) {
    metrics_
        .Histogram("breakwater_tls_cut_seconds", "How long a connection was down for its switch",
                   {}, SwitchBuckets())
        .Observe(Seconds(result.cut));
  }
  if (result.frozen.count() > 0 || result.cut.count() > 0) {
    ShowLast(message.resource, Seconds(result.frozen), Seconds(result.cut));
  }
}

void TlsMetrics::ShowLast(const std::string& resource, double frozen, double cut) {
  const std::lock_guard lock(mutex_);
  const auto forget = [&](const runtime::MetricLabels& labels) {
    metrics_.RemoveGauge(kLastFreeze, labels);
    metrics_.RemoveGauge(kLastCut, labels);
  };
  const runtime::MetricLabels labels = VolumeLabels(claims_, resource);
  std::erase_if(shown_, [&](const runtime::MetricLabels& shown) {
    const bool same = shown.at("resource") == resource;
    if (same && shown != labels) {
      forget(shown);  // it had another claim, or none yet
    }
    return same;
  });
  shown_.push_back(labels);
  metrics_.Gauge(kLastFreeze, "How long I/O was suspended in a volume's last switch", labels)
      .Set(frozen);
  metrics_.Gauge(kLastCut, "How long a connection was down in a volume's last switch", labels)
      .Set(cut);
  while (shown_.size() > kVolumesShown) {
    forget(shown_.front());
    shown_.pop_front();
  }
}

void TlsMetrics::CountRefusedDowngrade() {
  metrics_
      .Counter("breakwater_tls_downgrades_refused_total",
               "Values in LINSTOR that would have lowered encryption and were pinned back")
      .Increment();
}

void TlsMetrics::CountRun(replication::Strategy strategy, const std::string& result) {
  metrics_
      .Counter("breakwater_tls_runs_total", "Migrations of volumes by strategy and result",
               {{"strategy", std::string(ToString(strategy))}, {"result", result}})
      .Increment();
}

}  // namespace breakwater::controllers
