#include "operator/controllers/replication/testing/sim_hub.h"

#include <utility>

namespace breakwater::controllers {

using replication::NodeReport;
using replication::ResourceReport;
using replication::RunningTransaction;

void SimHub::SetConnected(const std::string& node, bool connected) {
  if (connected) {
    cut_off_.erase(node);
  } else {
    cut_off_.insert(node);
    reports_.erase(node);
  }
  events_.node_changed(node);
}

void SimHub::SetTargets(const std::vector<AgentTarget>& targets, std::int64_t) {
  targets_.clear();
  for (const AgentTarget& target : targets) {
    targets_.insert(target.node);
  }
}

// events2: the kernel's log has a line for every event; and the slow look beside it (F25).
bool SimHub::Due(const std::string& node) {
  const auto& dmesg = cluster_.world().GetNode(node).dmesg;
  auto& [last, at] = looked_[node];
  const std::string now = dmesg.empty() ? "" : dmesg.back();
  if (now == last && cluster_.now() - at < sim::Millis(1000)) {
    return false;
  }
  last = now;
  at = cluster_.now();
  return true;
}

NodeReport SimHub::Read(const std::string& node) {
  NodeReport report;
  report.node = node;
  report.ended = true;
  report.complete = true;
  report.versions = {.module = "9.3.3", .utils = "9.34.0", .loaded = true};
  report.tls_module = true;
  report.handshake_family = true;
  report.usermode_helper = "disabled";
  report.sockets_reliable = true;
  const auto run = [&](const std::vector<std::string>& argv) {
    std::optional<std::string> out;
    cluster_.Start(node, sim::kSatelliteContainer, argv,
                   [&out](const sim::ExecResult& result) { out = result.out; });
    // The agents go on while a program of theirs runs.
    (void)agents_.WaitFor([&out] { return out.has_value(); }, sim::Millis(5000));
    return out.value_or("");
  };
  Parsed& parsed = parsed_[node];
  const auto& status =
      parsed.status.Of(run({"drbdsetup", "status", "--json"}), replication::ParseStatus);
  const auto& show = parsed.show.Of(run({"drbdsetup", "show", "--json", "--show-defaults"}),
                                    replication::ParseShow);
  const auto& sockets = parsed.sockets.Of(run({"ss", "-tniH"}), replication::ParseSockets);
  report.any_socket = !sockets.sockets.empty();
  for (const auto& [name, one] :
       status.value_or(std::map<std::string, replication::DrbdStatus>{})) {
    auto resource = std::make_shared<ResourceReport>();
    resource->status = one;
    if (show && show->contains(name)) {
      resource->show = show->at(name);
    }
    resource->sockets = sockets;
    if (on_sockets) {
      on_sockets(&resource->sockets);
    }
    resource->res = read_res_(node, name);
    report.resources[name] = std::move(resource);
  }
  return report;
}

void SimHub::Pump() {
  for (const std::string& node : std::set<std::string>(targets_)) {
    if (!Linked(node) || !agents_[node].running()) {
      if (reports_.erase(node) > 0) {
        events_.node_changed(node);
      }
      continue;
    }
    if (const std::int64_t ahead = cluster_.world().GetNode(node).clock_ahead_s;
        std::exchange(clock_ahead_[node], ahead) != ahead) {
      events_.clock_moved(node);
    }
    const auto before = reports_.find(node);
    NodeReport now = before == reports_.end() || Due(node) ? Read(node) : before->second;
    std::set<std::string> changed;
    for (const auto& [name, resource] : now.resources) {
      const bool same = before != reports_.end() && before->second.resources.contains(name) &&
                        *before->second.resources.at(name) == *resource;
      if (!same) {
        changed.insert(name);
      }
    }
    const bool first = before == reports_.end();
    reports_[node] = std::move(now);
    if (first) {
      events_.node_changed(node);
    }
    for (const std::string& name : changed) {
      events_.resource_changed(name);
    }
    const std::vector<replication::ResultMessage> results = agents_[node].result_log;
    for (std::size_t& at = results_seen_[node]; at < results.size();) {
      const replication::ResultMessage& message = results[at++];
      asked_.erase(message.id);
      events_.result(node, message);
    }
  }
}

std::map<std::string, replication::AgentView> SimHub::Agents() const {
  std::map<std::string, replication::AgentView> views;
  for (const std::string& node : targets_) {
    views[node] = {.connected = reports_.contains(node),
                   .protocol = replication::kProtocolVersion,
                   .version = "1.0.0"};
  }
  return views;
}

std::string SimHub::ProblemOf(const std::string& node) const {
  return reports_.contains(node) || !targets_.contains(node) ? "" : "cut off";
}

std::optional<replication::NodeSlice> SimHub::Slice(const std::string& node,
                                                    const std::string& resource) const {
  const auto report = reports_.find(node);
  return report == reports_.end() ? std::nullopt
                                  : std::optional(replication::SliceOf(report->second, resource));
}

std::optional<NodeReport> SimHub::Report(const std::string& node) const {
  const auto report = reports_.find(node);
  return report == reports_.end() ? std::nullopt : std::optional(report->second);
}

std::set<std::string> SimHub::NodesOf(const std::string& resource) const {
  std::set<std::string> nodes;
  for (const auto& [node, report] : reports_) {
    if (report.resources.contains(resource)) {
      nodes.insert(node);
    }
  }
  return nodes;
}

std::vector<RunningTransaction> SimHub::Running(const std::string& resource) const {
  std::map<std::string, RunningTransaction> running;
  for (const auto& [id, transaction] : asked_) {
    if (transaction.progress.resource == resource) {
      running[id] = transaction;
    }
  }
  for (const std::string& node : targets_) {
    agent::testing::SimAgent& agent = agents_[node];
    if (!reports_.contains(node) || agent.runner() == nullptr) {
      continue;
    }
    for (const replication::ProgressMessage& progress : agent.runner()->Progress()) {
      if (progress.resource == resource) {
        running[progress.id] = {node, progress, std::nullopt};
      }
    }
  }
  std::vector<RunningTransaction> list;
  for (auto& [id, transaction] : running) {
    list.push_back(std::move(transaction));
  }
  return list;
}

std::set<std::string> SimHub::Busy() const {
  std::set<std::string> names;
  for (const auto& [node, report] : reports_) {
    for (const auto& [name, resource] : report.resources) {
      if (!Running(name).empty()) {
        names.insert(name);
      }
    }
  }
  return names;
}

Result<void, Error> SimHub::Ask(const std::string& node,
                                const replication::TransactionRequest& request) {
  if (on_ask) {
    on_ask(request);
  }
  if (!reports_.contains(node) || agents_[node].runner() == nullptr) {
    return Unexpected{Error{ErrorClass::kTransient, "no stream to " + node}};
  }
  asks.push_back(std::string(ToString(request.kind)) + " " + node + " " + request.resource);
  replication::ProgressMessage progress;
  progress.id = request.id;
  progress.kind = request.kind;
  progress.resource = request.resource;
  progress.peers = request.peers;
  progress.tls = request.tls;
  asked_[request.id] = {node, progress, std::nullopt};
  agents_[node].runner()->Handle(request);
  return {};
}

Result<void, Error> SimHub::Cancel(const std::string& node, const std::string& id) {
  if (!reports_.contains(node) || agents_[node].runner() == nullptr) {
    return Unexpected{Error{ErrorClass::kTransient, "no stream to " + node}};
  }
  agents_[node].runner()->Cancel(id);
  return {};
}

}  // namespace breakwater::controllers
