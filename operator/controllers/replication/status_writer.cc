#include "operator/controllers/replication/status_writer.h"

#include <algorithm>
#include <utility>

#include "operator/api/resources.h"
#include "operator/base/rfc3339.h"

namespace breakwater::controllers {

using replication::Journal;

api::InFlightMigration ToInFlight(const std::string& resource, const Journal& journal) {
  api::InFlightMigration entry;
  entry.resource = resource;
  entry.strategy = replication::ToString(journal.strategy);
  entry.step = replication::StepName(journal.step, journal.rolling_back);
  entry.pair = journal.pair ? journal.pair->ToString() : "";
  entry.started_at = FormatRfc3339(journal.started_at);
  return entry;
}

std::optional<Journal> FromInFlight(const api::InFlightMigration& entry) {
  Journal journal;
  const std::optional<replication::Strategy> strategy =
      replication::ParseStrategy(entry.strategy);
  if (!strategy || !replication::ParseStep(entry.step, &journal.step, &journal.rolling_back)) {
    return std::nullopt;
  }
  journal.strategy = *strategy;
  journal.pair = replication::Pair::Parse(entry.pair);
  const bool needs_pair =
      journal.step == replication::Step::kCut || journal.step == replication::Step::kReconnect;
  if (needs_pair && !journal.pair) {
    return std::nullopt;
  }
  journal.started_at = ParseRfc3339(entry.started_at).value_or(SystemTime{});
  return journal;
}

StatusWriter::StatusWriter(kube::KubeClient& client, std::string cluster)
    : client_(client), cluster_(std::move(cluster)) {}

Result<std::map<std::string, Journal>, Error> StatusWriter::Load(
    const Context& ctx, std::vector<std::string>* unknown) {
  const std::lock_guard lock(mutex_);
  kube::KubeResult<api::Json> object =
      client_.Get(ctx, api::kLinstorCluster, {.ns = "", .name = cluster_});
  if (!object) {
    return Unexpected{object.error().ToError().WithContext("read the journal")};
  }
  std::map<std::string, Journal> runs;
  const api::Json* json = api::FindPath(*object, {"status", "replicationTLS"});
  if (json == nullptr) {
    return runs;
  }
  status_ = api::ReplicationTlsStatusFromJson(*json);
  stale_ = status_.stale_peers;
  const std::vector<api::Condition> conditions = api::ConditionsFromJson(*object);
  if (const api::Condition* condition =
          api::FindCondition(conditions, api::kConditionReplicationEncrypted)) {
    condition_ = *condition;
  }
  written_ = true;
  for (const api::InFlightMigration& entry : status_.in_flight) {
    if (const std::optional<Journal> journal = FromInFlight(entry)) {
      runs[entry.resource] = *journal;
    } else {
      unknown->push_back(entry.resource);
    }
  }
  return runs;
}

Result<void, Error> StatusWriter::SetJournal(const Context& ctx,
                                             const std::string& resource,
                                             const std::optional<Journal>& journal) {
  // Behind a slow report: a driver must not wait longer than it said.
  std::unique_lock lock(mutex_, std::defer_lock);
  if (!lock.try_lock_for(ctx.Remaining(std::chrono::minutes(1)))) {
    return Unexpected{Error{ErrorClass::kTransient, "another write of the status takes too long"}};
  }
  api::ReplicationTlsStatus status = status_;
  status.stale_peers = stale_;
  const auto entry = std::find_if(status.in_flight.begin(), status.in_flight.end(),
                                  [&](const auto& item) { return item.resource == resource; });
  if (entry != status.in_flight.end()) {
    status.in_flight.erase(entry);
  }
  if (journal) {
    status.in_flight.push_back(ToInFlight(resource, *journal));
  }
  std::sort(status.in_flight.begin(), status.in_flight.end(),
            [](const auto& a, const auto& b) { return a.resource < b.resource; });
  if (written_ && status == status_) {
    return {};
  }
  return Write(ctx, status, condition_);
}

Result<void, Error> StatusWriter::SetStale(const Context& ctx,
                                           std::vector<api::StaleConnection> stale) {
  std::unique_lock lock(mutex_, std::defer_lock);
  if (!lock.try_lock_for(ctx.Remaining(std::chrono::minutes(1)))) {
    return Unexpected{Error{ErrorClass::kTransient, "another write of the status takes too long"}};
  }
  stale_ = std::move(stale);
  if (stale_ == status_.stale_peers) {
    return {};
  }
  api::ReplicationTlsStatus status = status_;
  status.stale_peers = stale_;
  return Write(ctx, status, condition_);
}

std::vector<api::StaleConnection> StatusWriter::stale() const {
  const std::lock_guard lock(mutex_);
  return stale_;
}

Result<void, Error> StatusWriter::Update(const Context& ctx,
                                         api::ReplicationTlsStatus status,
                                         const api::Condition& condition) {
  const std::lock_guard lock(mutex_);
  status.in_flight = status_.in_flight;
  status.stale_peers = stale_;
  api::Condition next = condition;
  if (condition_.type == next.type && condition_.status == next.status) {
    next.last_transition_time = condition_.last_transition_time;
  }
  if (written_ && status == status_ && next == condition_) {
    return {};
  }
  return Write(ctx, status, next);
}

Result<void, Error> StatusWriter::Write(const Context& ctx,
                                        const api::ReplicationTlsStatus& status,
                                        const api::Condition& condition) {
  api::Json object = {{"apiVersion", api::kLinstorCluster.ApiVersion()},
                      {"kind", api::kLinstorCluster.kind},
                      {"metadata", {{"name", cluster_}}},
                      {"status", {{"replicationTLS", api::ToJson(status)}}}};
  if (!condition.type.empty()) {
    object["status"]["conditions"] = api::Json::array({api::ToJson(condition)});
  }
  kube::ApplyOptions options;
  options.field_manager = kReplicationTlsFieldManager;
  options.subresource = "status";
  const kube::KubeResult<api::Json> reply =
      client_.Apply(ctx, api::kLinstorCluster, {.ns = "", .name = cluster_}, object, options);
  if (!reply) {
    return Unexpected{reply.error().ToError().WithContext("write status.replicationTLS")};
  }
  status_ = status;
  condition_ = condition;
  written_ = true;
  return {};
}

std::vector<api::InFlightMigration> StatusWriter::in_flight() const {
  const std::lock_guard lock(mutex_);
  return status_.in_flight;
}

}  // namespace breakwater::controllers
