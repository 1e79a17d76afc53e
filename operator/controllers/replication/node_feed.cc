#include "operator/controllers/replication/node_feed.h"

#include <utility>

#include "operator/core/replication/node/text.h"

namespace breakwater::controllers {

using replication::NodeReport;
using replication::NodeSlice;

namespace {

// The nodes that a report names as peers.
void AddPeers(const NodeSlice& slice, std::set<std::string>* names) {
  if (slice.report == nullptr) {
    return;
  }
  for (const replication::DrbdConnection& connection : slice.report->status.connections) {
    if (replication::IsSafeName(connection.peer)) {
      names->insert(connection.peer);
    }
  }
}

}  // namespace

void NodeFeed::SetNodes(const std::set<std::string>& all, const std::set<std::string>& with_agent) {
  const std::lock_guard lock(mutex_);
  all_ = all;
  with_agent_ = with_agent;
  std::erase_if(exec_reports_, [&](const auto& item) {
    return with_agent.contains(item.first) || !all.contains(item.first);
  });
}

bool NodeFeed::HasAgent(const std::string& node) const {
  const std::lock_guard lock(mutex_);
  return with_agent_.contains(node);
}

std::set<std::string> NodeFeed::nodes() const {
  const std::lock_guard lock(mutex_);
  return all_;
}

std::set<std::string> NodeFeed::SetExecReport(const std::string& node,
                                              std::optional<NodeReport> report) {
  const std::lock_guard lock(mutex_);
  std::set<std::string> concerned;
  if (const auto old = exec_reports_.find(node); old != exec_reports_.end()) {
    for (const auto& [name, resource] : old->second.resources) {
      concerned.insert(name);
    }
  }
  exec_reports_.erase(node);
  if (report && all_.contains(node) && !with_agent_.contains(node)) {
    for (const auto& [name, resource] : report->resources) {
      concerned.insert(name);
    }
    exec_reports_[node] = *std::move(report);
  }
  return concerned;
}

std::optional<NodeSlice> NodeFeed::SliceOf(const std::string& node,
                                           const std::string& resource) const {
  {
    const std::lock_guard lock(mutex_);
    if (!with_agent_.contains(node)) {
      const auto report = exec_reports_.find(node);
      return report == exec_reports_.end()
                 ? std::nullopt
                 : std::optional(replication::SliceOf(report->second, resource));
    }
  }
  return agents_.Slice(node, resource);
}

replication::ResourceObservation NodeFeed::Observe(const std::string& resource,
                                                   const std::set<std::string>& members,
                                                   const replication::ResourceLevels& levels,
                                                   const replication::TlsMinimum& minimum) const {
  std::set<std::string> names = members;
  names.merge(agents_.NodesOf(resource));
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [node, report] : exec_reports_) {
      if (report.resources.contains(resource)) {
        names.insert(node);
      }
    }
  }
  std::map<std::string, NodeSlice> slices;
  std::set<std::string> asked;
  while (!names.empty()) {
    const std::string node = *names.begin();
    names.erase(names.begin());
    if (!asked.insert(node).second) {
      continue;
    }
    if (std::optional<NodeSlice> slice = SliceOf(node, resource)) {
      AddPeers(*slice, &names);
      slices[node] = *std::move(slice);
    }
  }
  return BuildObservation(resource, members, slices, levels, minimum);
}

std::map<std::string, NodeReport> NodeFeed::Reports() const {
  std::map<std::string, NodeReport> reports;
  std::set<std::string> with_agent;
  {
    const std::lock_guard lock(mutex_);
    reports = exec_reports_;
    with_agent = with_agent_;
  }
  for (const std::string& node : with_agent) {
    if (std::optional<NodeReport> report = agents_.Report(node)) {
      reports[node] = *std::move(report);
    }
  }
  return reports;
}

std::map<std::string, std::map<std::string, NodeSlice>> SlicesByResource(
    const std::map<std::string, NodeReport>& reports) {
  std::map<std::string, std::map<std::string, NodeSlice>> slices;
  for (const auto& [node, report] : reports) {
    for (const auto& [name, resource] : report.resources) {
      if (replication::IsSafeName(name)) {
        slices[name][node] = {report.complete, resource, report.tls_stat};
      }
    }
  }
  return slices;
}

void AddAnswering(const std::map<std::string, NodeReport>& reports,
                  const std::set<std::string>& members,
                  std::map<std::string, NodeSlice>* slices) {
  std::set<std::string> names = members;
  for (const auto& [node, slice] : *slices) {
    AddPeers(slice, &names);
  }
  for (const std::string& node : names) {
    const auto report = reports.find(node);
    if (!slices->contains(node) && report != reports.end()) {
      (*slices)[node] = {report->second.complete, nullptr, report->second.tls_stat};
    }
  }
}

}  // namespace breakwater::controllers
