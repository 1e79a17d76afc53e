#pragma once

/// NodeFeed: what the nodes say now, whoever brings it: an agent's stream, or an exec on a node
/// without one. The one place that knows the difference.

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "operator/controllers/replication/agent_link/agent_hub.h"
#include "operator/controllers/replication/node_observer.h"
#include "operator/core/replication/volume/observation.h"

namespace breakwater::controllers {

/// Thread safety: all methods from any thread.
class NodeFeed {
 public:
  /// `agents` must outlive the feed.
  explicit NodeFeed(const AgentHub& agents) : agents_(agents) {}

  /// The nodes that have an agent, by their pods: what was seen there by exec is forgotten. Nodes
  /// that are not in `all` are forgotten altogether.
  void SetNodes(const std::set<std::string>& all, const std::set<std::string>& with_agent);
  bool HasAgent(const std::string& node) const;
  std::set<std::string> nodes() const;

  /// What an exec saw, or nothing: the node did not answer. Returns the resources that it concerns.
  std::set<std::string> SetExecReport(const std::string& node,
                                      std::optional<replication::NodeReport> report);

  /// The volume as its nodes show it now. `members`: LINSTOR's list; `minimum`: of TLS that counts.
  replication::ResourceObservation Observe(const std::string& resource,
                                           const std::set<std::string>& members,
                                           const replication::ResourceLevels& levels,
                                           const replication::TlsMinimum& minimum) const;

  /// The last report of every node that has given one.
  std::map<std::string, replication::NodeReport> Reports() const;

 private:
  std::optional<replication::NodeSlice> SliceOf(const std::string& node,
                                                const std::string& resource) const;

  const AgentHub& agents_;
  mutable std::mutex mutex_;
  std::set<std::string> all_;                                    // guarded by mutex_
  std::set<std::string> with_agent_;                             // guarded by mutex_
  std::map<std::string, replication::NodeReport> exec_reports_;  // guarded by mutex_
};

/// All resources of the reports, and which nodes say what about them: for a look at everything at
/// once.
std::map<std::string, std::map<std::string, replication::NodeSlice>> SlicesByResource(
    const std::map<std::string, replication::NodeReport>& reports);

/// The slices of one resource completed by those of nodes that answer and do not have it.
void AddAnswering(const std::map<std::string, replication::NodeReport>& reports,
                  const std::set<std::string>& members,
                  std::map<std::string, replication::NodeSlice>* slices);

}  // namespace breakwater::controllers
