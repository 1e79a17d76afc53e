#pragma once

/// AgentHub: the operator's side of all node agents, as the reconcilers see it. The real one is
/// AgentLinks (agent_links.h); tests put agents of their own behind it.

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "operator/base/error.h"
#include "operator/base/result.h"
#include "operator/core/replication/plan/volume_plan.h"
#include "operator/core/replication/transaction/transaction.h"
#include "operator/core/replication/volume/observation.h"

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

/// Thread safety: all methods from any thread.
class AgentHub {
 public:
  virtual ~AgentHub() = default;

  /// The nodes to be linked to, all of them; others are closed. `epoch`: of our lease.
  virtual void SetTargets(const std::vector<AgentTarget>& targets, std::int64_t epoch) = 0;
  /// Ends all links. Nothing is sent afterwards.
  virtual void Stop() = 0;

  virtual std::map<std::string, replication::AgentView> Agents() const = 0;
  /// Why a node has no stream now, for people; "" when it has one or is no target.
  virtual std::string ProblemOf(const std::string& node) const = 0;

  /// What the node says about a resource; nothing when there is no synced stream (unknown).
  virtual std::optional<replication::NodeSlice> Slice(const std::string& node,
                                                      const std::string& resource) const = 0;
  /// Facts of a node, with all its resources (pointers are shared, cheap); nothing as above.
  virtual std::optional<replication::NodeReport> Report(const std::string& node) const = 0;
  /// Nodes whose agents report the resource.
  virtual std::set<std::string> NodesOf(const std::string& resource) const = 0;

  /// Transactions on this resource that agents report or that were asked for and are not answered.
  virtual std::vector<replication::RunningTransaction> Running(
      const std::string& resource) const = 0;
  /// All resources with a running transaction.
  virtual std::set<std::string> Busy() const = 0;

  /// Sends a request once. kTransient: no stream, nothing was sent. An unknown outcome (the stream
  /// broke after it was sent) shows when the agent reports the transaction, its result, or neither:
  /// then it never began.
  virtual Result<void, Error> Ask(const std::string& node,
                                  const replication::TransactionRequest& request) = 0;
  virtual Result<void, Error> Cancel(const std::string& node, const std::string& id) = 0;
};

}  // namespace breakwater::controllers
