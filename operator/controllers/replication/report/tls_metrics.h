#pragma once

/// TlsMetrics: the numbers of replication TLS at /metrics (docs/reference/replication-tls.md).

#include <cstddef>
#include <list>
#include <map>
#include <mutex>
#include <set>
#include <string>

#include "operator/api/replication_tls.h"
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

  explicit TlsMetrics(runtime::Metrics& metrics) : metrics_(metrics) {}

  void SetStatus(const api::ReplicationTlsStatus& status, const Dangers& dangers);
  void SetAgents(const std::map<std::string, replication::AgentView>& agents);
  /// A transaction came to its end.
  void CountResult(const replication::ResultMessage& message);
  /// The migration of a volume came to its end: "done", "rolled_back" or "blocked".
  /// Somebody wrote a "no" below the floor into LINSTOR.
  void CountRefusedDowngrade();
  void CountRun(replication::Strategy strategy, const std::string& result);

 private:
  void ShowLast(const std::string& resource, double frozen, double cut);

  runtime::Metrics& metrics_;
  std::mutex mutex_;
  std::list<std::string> shown_;    // guarded by mutex_; oldest first
  std::set<std::string> versions_;  // guarded by mutex_; of agents, as shown
};

}  // namespace breakwater::controllers
