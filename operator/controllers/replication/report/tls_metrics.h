#pragma once

/// TlsMetrics: the numbers of replication TLS at /metrics (docs/reference/replication-tls.md).

#include <cstddef>
#include <list>
#include <map>
#include <mutex>
#include <set>
#include <string>

#include "operator/api/replication_tls.h"
#include "operator/controllers/replication/ledger/sessions.h"
#include "operator/controllers/replication/report/claim_names.h"
#include "operator/core/replication/plan/volume_plan.h"
#include "operator/core/replication/protocol/messages.h"
#include "operator/runtime/metrics.h"

namespace breakwater::controllers {

/// What alerts are made of.
struct Dangers {
  std::size_t stale = 0;
  std::size_t diverged = 0;
  std::size_t suspended = 0;
};

/// Thread safety: all methods may be called from any thread.
class TlsMetrics {
 public:
  /// Volumes whose last freeze and cut are shown: those that were switched last.
  static constexpr std::size_t kVolumesShown = 50;
  /// Connections whose session is shown: the oldest.
  static constexpr std::size_t kSessionsShown = 3000;

  /// Both must outlive this.
  TlsMetrics(runtime::Metrics& metrics, const ClaimBoard& claims)
      : metrics_(metrics), claims_(claims) {}

  void SetStatus(const api::ReplicationTlsStatus& status, const Dangers& dangers);
  void SetAgents(const std::map<std::string, replication::AgentView>& agents);
  /// By resource.
  void SetSessions(const std::map<std::string, SessionLedger::Sessions>& sessions);
  /// A transaction came to its end.
  void CountResult(const replication::ResultMessage& message);
  /// Somebody wrote a "no" below the floor into LINSTOR.
  void CountRefusedDowngrade();
  /// The migration of a volume came to its end: "done", "rolled_back" or "blocked".
  void CountRun(replication::Strategy strategy, const std::string& result);

 private:
  void ShowLast(const std::string& resource, double frozen, double cut);

  runtime::Metrics& metrics_;
  const ClaimBoard& claims_;
  std::mutex mutex_;
  std::list<runtime::MetricLabels> shown_;    // guarded by mutex_; oldest first
  std::set<std::string> versions_;            // guarded by mutex_; of agents, as shown
  std::set<runtime::MetricLabels> sessions_;  // guarded by mutex_; as shown
};

}  // namespace breakwater::controllers
