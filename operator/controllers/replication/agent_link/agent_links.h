#pragma once

/// AgentLinks: one stream per node to its breakwater-agent, over one exec each. Keeps what the
/// agents report, hands requests over, tells who must look again. Reconnects with back-off; a
/// stream that is gone is no event for a running transaction.
///
/// A node is linked to when it has exactly one satellite pod (by owner chain) that runs the
/// container `breakwater-agent`. Other nodes are not in here: they are observed by exec
/// (node_observer.h).

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "operator/base/clock.h"
#include "operator/base/error.h"
#include "operator/base/log.h"
#include "operator/base/result.h"
#include "operator/controllers/replication/agent_link/agent_hub.h"
#include "operator/core/replication/plan/volume_plan.h"
#include "operator/core/replication/protocol/messages.h"
#include "operator/core/replication/volume/observation.h"
#include "operator/kube/pod_exec.h"

namespace breakwater::controllers {

/// What the links tell; called from their threads without a lock held, must return soon.
struct AgentEvents {
  std::function<void(const std::string& resource)> resource_changed{};
  std::function<void(const std::string& node)> node_changed{};  ///< facts, link up or down
  std::function<void(const std::string& node, const replication::ResultMessage&)> result{};
  /// The node's clock has moved against ours: by half a minute or more, seldom said.
  std::function<void(const std::string& node)> clock_moved{};
};

struct AgentLinksOptions {
  std::string version{};  ///< of the operator, for the hello
  std::chrono::milliseconds first_retry{1000};
  std::chrono::milliseconds max_retry{
      60000};  ///< G5: 100 nodes that always fail: < 60 a minute together
  /// All nodes together start at most so many execs per minute after the first try of each.
  int retries_per_minute = 30;
  std::chrono::milliseconds ping_interval{20000};
  std::chrono::milliseconds silence_limit{60000};  ///< without a line: the stream is dead
  /// Kept per node; beyond it the node is unknown. A thousand resources with three replicas are
  /// 3 MiB, and a hostile node's reports are in memory two to three times for a moment (T6).
  std::size_t max_node_bytes = 16U << 20U;
  std::size_t max_total_bytes = 48U << 20U;
};

/// Thread safety: all methods from any thread. References must outlive it. Stop() ends all threads;
/// not to be called from an event.
///
/// A transaction that an agent does not know any more, after a stream that began later than it was
/// asked for, ends with a result of code "Lost": kRefused when the agent never said that it began
/// (it did not), kUndone when it had begun (the pod was replaced; what became of it shows in the
/// reports). A node without a target keeps its transactions for ten minutes, then they are lost.
/// Should a request have been late only, its progress is shown again.
class AgentLinks final : public AgentHub {
 public:
  AgentLinks(kube::PodExec& exec,
             const Clock& clock,
             const Logger& log,
             AgentEvents events,
             const AgentLinksOptions& options);
  ~AgentLinks() override;
  AgentLinks(const AgentLinks&) = delete;
  AgentLinks& operator=(const AgentLinks&) = delete;

  void SetTargets(const std::vector<AgentTarget>& targets, std::int64_t epoch) override;
  void Stop() override;

  std::map<std::string, replication::AgentView> Agents() const override;
  std::string ProblemOf(const std::string& node) const override;
  std::optional<replication::NodeSlice> Slice(const std::string& node,
                                              const std::string& resource) const override;
  std::optional<replication::NodeReport> Report(const std::string& node) const override;
  std::set<std::string> NodesOf(const std::string& resource) const override;
  std::vector<replication::RunningTransaction> Running(const std::string& resource) const override;
  std::set<std::string> Busy() const override;

  Result<void, Error> Ask(const std::string& node,
                          const replication::TransactionRequest& request) override;
  Result<void, Error> Cancel(const std::string& node, const std::string& id) override;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace breakwater::controllers
