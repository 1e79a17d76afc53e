#include "operator/controllers/replication/agent_link/agent_links.h"

#include <mutex>
#include <utility>

#include "operator/controllers/replication/agent_link/agent_link.h"

namespace breakwater::controllers {

class AgentLinks::Impl {
 public:
  Impl(kube::PodExec& exec,
       const Clock& clock,
       const Logger& log,
       AgentEvents events,
       AgentLinksOptions options)
      : commons_{.exec = exec,
                 .clock = clock,
                 .log = log.Named("agents"),
                 .events = std::move(events),
                 .options = options,
                 .pacer = ExecPacer({.per_minute = options.retries_per_minute}),
                 .budget = MemoryBudget(options.max_total_bytes)} {
    commons_.drop = [this](const std::string& node, const std::string& why) {
      if (const auto link = Find(node)) {
        link->Drop(why);
      }
    };
  }

  ~Impl() { Stop(); }

  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  void SetTargets(const std::vector<AgentTarget>& targets, std::int64_t epoch) {
    std::map<std::string, AgentTarget> wanted;
    for (const AgentTarget& target : targets) {
      wanted.emplace(target.node, target);
    }
    Links gone;  // joined without the lock, and by nobody but us: a link's own thread may hold one
    Links links;
    {
      const std::lock_guard lock(mutex_);
      if (stopped_) {
        return;
      }
      for (const auto& [node, link] : links_) {
        if (!wanted.contains(node) && link->Idle()) {
          gone.emplace(node, link);
        }
      }
      for (const auto& [node, link] : gone) {
        links_.erase(node);
      }
      for (const auto& [node, target] : wanted) {
        std::shared_ptr<AgentLink>& link = links_[node];
        if (link == nullptr) {
          link = std::make_shared<AgentLink>(commons_, node);
        }
      }
      links = links_;
    }
    for (const auto& [node, link] : gone) {
      link->Join();
    }
    for (const auto& [node, link] : links) {
      const auto target = wanted.find(node);
      link->Retarget(target == wanted.end() ? std::nullopt : std::optional(target->second), epoch);
    }
  }

  void Stop() {
    Links links;
    {
      const std::lock_guard lock(mutex_);
      stopped_ = true;
      links.swap(links_);
    }
    commons_.pacer.Stop();  // else those that end make place for more
    for (const auto& [node, link] : links) {
      link->RequestStop();
    }
    for (const auto& [node, link] : links) {
      link->Join();
    }
  }

  std::shared_ptr<AgentLink> Find(const std::string& node) const {
    const std::lock_guard lock(mutex_);
    const auto found = links_.find(node);
    return found == links_.end() ? nullptr : found->second;
  }

  using Links = std::map<std::string, std::shared_ptr<AgentLink>>;

  Links All() const {
    const std::lock_guard lock(mutex_);
    return links_;
  }

 private:
  LinkCommons commons_;
  mutable std::mutex mutex_;
  bool stopped_ = false;
  Links links_;
};

AgentLinks::AgentLinks(kube::PodExec& exec,
                       const Clock& clock,
                       const Logger& log,
                       AgentEvents events,
                       AgentLinksOptions options)
    : impl_(std::make_unique<Impl>(exec, clock, log, std::move(events), std::move(options))) {}

AgentLinks::~AgentLinks() = default;

void AgentLinks::SetTargets(const std::vector<AgentTarget>& targets, std::int64_t epoch) {
  impl_->SetTargets(targets, epoch);
}

void AgentLinks::Stop() {
  impl_->Stop();
}

std::map<std::string, replication::AgentView> AgentLinks::Agents() const {
  std::map<std::string, replication::AgentView> agents;
  for (const auto& [node, link] : impl_->All()) {
    if (const auto view = link->View()) {
      agents.emplace(node, *view);
    }
  }
  return agents;
}

std::string AgentLinks::ProblemOf(const std::string& node) const {
  const auto link = impl_->Find(node);
  return link == nullptr ? "" : link->Problem();
}

std::optional<replication::NodeSlice> AgentLinks::Slice(const std::string& node,
                                                        const std::string& resource) const {
  const auto link = impl_->Find(node);
  return link == nullptr ? std::nullopt : link->Slice(resource);
}

std::optional<replication::NodeReport> AgentLinks::Report(const std::string& node) const {
  const auto link = impl_->Find(node);
  return link == nullptr ? std::nullopt : link->Report();
}

std::set<std::string> AgentLinks::NodesOf(const std::string& resource) const {
  std::set<std::string> nodes;
  for (const auto& [node, link] : impl_->All()) {
    if (link->Has(resource)) {
      nodes.insert(node);
    }
  }
  return nodes;
}

std::vector<replication::RunningTransaction> AgentLinks::Running(
    const std::string& resource) const {
  std::vector<replication::RunningTransaction> running;
  for (const auto& [node, link] : impl_->All()) {
    for (replication::RunningTransaction& one : link->Running(resource)) {
      running.push_back(std::move(one));
    }
  }
  return running;
}

std::set<std::string> AgentLinks::Busy() const {
  std::set<std::string> busy;
  for (const auto& [node, link] : impl_->All()) {
    busy.merge(link->Busy());
  }
  return busy;
}

Result<void, Error> AgentLinks::Ask(const std::string& node,
                                    const replication::TransactionRequest& request) {
  const auto link = impl_->Find(node);
  if (link == nullptr) {
    return Unexpected{Error{ErrorClass::kTransient, "node " + node + " has no agent"}};
  }
  return link->Ask(request);
}

Result<void, Error> AgentLinks::Cancel(const std::string& node, const std::string& id) {
  const auto link = impl_->Find(node);
  if (link == nullptr) {
    return Unexpected{Error{ErrorClass::kTransient, "node " + node + " has no agent"}};
  }
  return link->Cancel(id);
}

}  // namespace breakwater::controllers
