#include "operator/controllers/replication/quiet_nodes.h"

namespace breakwater::controllers {

using replication::NodeReport;

std::set<std::string> QuietNodes::Due(const std::set<std::string>& nodes, SteadyTime now) const {
  std::set<std::string> due;
  for (const std::string& node : nodes) {
    const auto look = looks_.find(node);
    if (look == looks_.end() || now - look->second.at > kLookCounts) {
      due.insert(node);
    }
  }
  return due;
}

void QuietNodes::Note(const std::set<std::string>& asked,
                      const std::map<std::string, NodeReport>& reports,
                      SteadyTime now) {
  for (const std::string& node : asked) {
    const auto report = reports.find(node);
    if (report != reports.end() && report->second.complete && report->second.status.empty() &&
        report->second.show.empty()) {
      looks_[node] = {now, report->second};
    } else {
      looks_.erase(node);
    }
  }
}

void QuietNodes::Forget(const std::set<std::string>& nodes) {
  for (const std::string& node : nodes) {
    looks_.erase(node);
  }
}

void QuietNodes::AddTo(const std::set<std::string>& nodes,
                       std::map<std::string, NodeReport>* reports) const {
  for (const std::string& node : nodes) {
    if (const auto look = looks_.find(node); look != looks_.end()) {
      reports->try_emplace(node, look->second.report);
    }
  }
}

}  // namespace breakwater::controllers
