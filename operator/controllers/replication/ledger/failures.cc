#include "operator/controllers/replication/ledger/failures.h"

#include <algorithm>

#include "operator/base/rfc3339.h"

namespace breakwater::controllers {
namespace {

using std::chrono::seconds;

}  // namespace

bool FailureLedger::Failed(const VolumeFailure& failure, SystemTime now, SteadyTime steady) {
  const bool rolled_back = failure.kind == VolumeFailure::Kind::kRolledBack;
  Entry& entry = entries_[failure.resource];
  const seconds first = rolled_back ? seconds(30) : seconds(15);
  const seconds most = rolled_back ? seconds(3600) : seconds(300);
  entry.retry_at = steady + std::min(most, first * (1 << std::min(entry.count, 8)));
  ++entry.count;
  const std::string reason = rolled_back ? "RolledBack" : "Blocked";
  if (entry.shown.reason == reason && entry.shown.message == failure.message &&
      entry.shown.node == failure.node) {
    return false;
  }
  entry.shown = {failure.resource, failure.node, reason, failure.message, FormatRfc3339(now)};
  return true;
}

void FailureLedger::Succeeded(const std::string& resource) {
  entries_.erase(resource);
}

void FailureLedger::Retry(const std::string& resource) {
  if (const auto it = entries_.find(resource); it != entries_.end()) {
    it->second.retry_at = SteadyTime{};
  }
}

std::optional<SteadyTime> FailureLedger::NotBefore(const std::string& resource) const {
  const auto it = entries_.find(resource);
  return it == entries_.end() ? std::nullopt : std::optional(it->second.retry_at);
}

std::map<std::string, std::string> FailureLedger::BackingOff(SteadyTime now) const {
  std::map<std::string, std::string> waiting;
  for (const auto& [resource, entry] : entries_) {
    if (now < entry.retry_at) {
      waiting[resource] = entry.shown.message;
    }
  }
  return waiting;
}

std::vector<api::MigrationFailure> FailureLedger::Shown() const {
  std::vector<api::MigrationFailure> shown;
  for (const auto& [resource, entry] : entries_) {
    shown.push_back(entry.shown);
  }
  return shown;
}

}  // namespace breakwater::controllers
