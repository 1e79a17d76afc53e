#include "operator/controllers/replication/served_cluster.h"

namespace breakwater::controllers {

bool OutcomeBoard::Note(const std::string& resource, VolumeOutcome outcome) {
  const std::lock_guard lock(mutex_);
  const auto before = outcomes_.find(resource);
  const bool news = before == outcomes_.end() || before->second.done != outcome.done ||
                    before->second.busy != outcome.busy || before->second.why != outcome.why ||
                    before->second.waiting_since.has_value() != outcome.waiting_since.has_value();
  if (before != outcomes_.end() && before->second.waiting_since && outcome.waiting_since) {
    outcome.waiting_since = before->second.waiting_since;
  }
  outcomes_[resource] = std::move(outcome);
  return news;
}

std::map<std::string, VolumeOutcome> OutcomeBoard::All() const {
  const std::lock_guard lock(mutex_);
  return outcomes_;
}

void OutcomeBoard::Forget(const std::string& resource) {
  const std::lock_guard lock(mutex_);
  outcomes_.erase(resource);
  begun_.erase(resource);
}

bool OutcomeBoard::Begin(const std::string& resource) {
  const std::lock_guard lock(mutex_);
  return begun_.insert(resource).second;
}

bool OutcomeBoard::End(const std::string& resource) {
  const std::lock_guard lock(mutex_);
  return begun_.erase(resource) > 0;
}

}  // namespace breakwater::controllers
