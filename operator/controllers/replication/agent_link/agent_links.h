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
#include "operator/core/replication/plan/volume_plan.h"
#include "operator/core/replication/protocol/messages.h"
#include "operator/core/replication/volume/observation.h"
#include "operator/kube/pod_exec.h"

namespace breakwater::controllers {

/// Where the agent of a node is.
struct AgentTarget {
  std::string node{};
  std::string ns{};
  std::string pod{};
  std::string pod_uid{};
  std::string container{};
  int restarts = 0;  ///< of the container: another one is worth a try at once

  bool operator==(const AgentTarget&) const = default;
};

/// What the links tell; called from their threads without a lock held, must return soon.
struct AgentEvents {
  std::function<void(const std::string& resource)> resource_changed{};
  std::function<void(const std::string& node)> node_changed{};  ///< facts, link up or down
  std::function<void(const std::string& node, const replication::ResultMessage&)> result{};
};

struct AgentLinksOptions {
  std::string version{};  ///< of the operator, for the hello
  std::chrono::milliseconds first_retry{1000};
  std::chrono::milliseconds max_retry{60000};  ///< G5: 100 nodes that always fail: < 60 a minute together
  /// All nodes together start at most so many execs per minute after the first try of each.
  int retries_per_minute = 50;
  std::chrono::milliseconds ping_interval{20000};
  std::chrono::milliseconds silence_limit{60000};  ///< without a line: the stream is dead
  std::size_t max_node_bytes = 32U << 20U;         ///< kept per node; beyond it the node is unknown
  std::size_t max_total_bytes = 64U << 20U;
};

/// Thread safety: all methods from any thread. References must outlive it. Stop() ends all threads.
class AgentLinks {
 public:
  AgentLinks(kube::PodExec& exec,
             const Clock& clock,
             const Logger& log,
             AgentEvents events,
             AgentLinksOptions options);
  ~AgentLinks();
  AgentLinks(const AgentLinks&) = delete;
  AgentLinks& operator=(const AgentLinks&) = delete;

  /// The nodes to be linked to, all of them; others are closed. `epoch`: of our lease.
  void SetTargets(const std::vector<AgentTarget>& targets, std::int64_t epoch);
  void Stop();

  std::map<std::string, replication::AgentView> Agents() const;
  /// Why a node has no stream now, for people; "" when it has one or is no target.
  std::string ProblemOf(const std::string& node) const;

  /// What the node says about a resource; nothing when there is no synced stream (unknown).
  std::optional<replication::NodeSlice> Slice(const std::string& node,
                                              const std::string& resource) const;
  /// Facts of a node, with all its resources (pointers are shared, cheap); nothing as above.
  std::optional<replication::NodeReport> Report(const std::string& node) const;
  /// Nodes whose agents report the resource.
  std::set<std::string> NodesOf(const std::string& resource) const;

  /// Transactions on this resource that agents report or that were asked for and are not answered.
  std::vector<replication::RunningTransaction> Running(const std::string& resource) const;
  /// All resources with a running transaction.
  std::set<std::string> Busy() const;

  /// Sends a request once. kTransient: no stream, nothing was sent. An unknown outcome (the stream
  /// broke after it was sent) shows when the agent reports the transaction, its result, or neither:
  /// then it never began.
  Result<void, Error> Ask(const std::string& node, const replication::TransactionRequest& request);
  Result<void, Error> Cancel(const std::string& node, const std::string& id);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace breakwater::controllers
