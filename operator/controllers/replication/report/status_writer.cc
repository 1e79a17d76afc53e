#include "operator/controllers/replication/report/status_writer.h"

#include <algorithm>
#include <utility>

#include "operator/api/object.h"
#include "operator/api/resources.h"
#include "operator/runtime/schema_gaps.h"

namespace breakwater::controllers {
namespace {

template <typename Entries>
auto FindEntry(Entries& entries, const std::string& resource) {
  return std::find_if(entries.begin(), entries.end(),
                      [&](const auto& entry) { return entry.resource == resource; });
}

/// Added since the first version, and no part of the journal: a new leader goes on without them.
bool ForPeople(const std::string& field) {
  return field.ends_with(".claim") || field == "status.replicationTLS.stalePeers[].role" ||
         field == "status.replicationTLS.exempt" ||
         field.starts_with("status.replicationTLS.exempt[]") ||
         field == "status.replicationTLS.connections.belowMinimum";
}

kube::ApplyOptions Options() {
  kube::ApplyOptions options;
  options.field_manager = kReplicationTlsFieldManager;
  options.subresource = "status";
  return options;
}

}  // namespace

StatusWriter::StatusWriter(kube::KubeClient& client, const ClaimBoard& claims, std::string cluster)
    : client_(client), claims_(claims), cluster_(std::move(cluster)) {}

Result<void, Error> StatusWriter::Load(const Context& ctx) {
  kube::KubeResult<api::Json> object =
      client_.Get(ctx, api::kLinstorCluster, {.ns = "", .name = cluster_});
  if (!object) {
    return Unexpected{object.error().ToError().WithContext("read the journal")};
  }
  const std::lock_guard lock(mutex_);
  const api::Json* json = api::FindPath(*object, {"status", "replicationTLS"});
  if (json == nullptr) {
    return {};
  }
  wanted_.status = api::ReplicationTlsStatusFromJson(*json);
  const std::vector<api::Condition> conditions = api::ConditionsFromJson(*object);
  if (const api::Condition* condition =
          api::FindCondition(conditions, api::kConditionReplicationEncrypted)) {
    wanted_.condition = *condition;
  }
  written_ = wanted_;
  known_ = true;
  return {};
}

Result<void, Error> StatusWriter::SetJournal(const Context& ctx, api::InFlightMigration entry) {
  std::uint64_t version = 0;
  {
    const std::lock_guard lock(mutex_);
    const std::string resource = entry.resource;
    const std::string strategy = entry.strategy;
    const std::string pair = entry.pair;
    std::vector<api::InFlightMigration>& entries = wanted_.status.in_flight;
    if (const auto old = FindEntry(entries, resource); old != entries.end()) {
      entry.started_at = old->started_at;
      *old = std::move(entry);
    } else {
      entries.push_back(std::move(entry));
      std::sort(entries.begin(), entries.end(),
                [](const auto& a, const auto& b) { return a.resource < b.resource; });
    }
    NameClaims(claims_, &wanted_.status);
    version = ++wanted_version_;
    const auto there = FindEntry(written_.status.in_flight, resource);
    if (known_ && there != written_.status.in_flight.end() && there->strategy == strategy &&
        there->pair == pair) {
      return {};
    }
  }
  return Flush(ctx, version);
}

void StatusWriter::DropJournal(const std::string& resource) {
  const std::lock_guard lock(mutex_);
  std::vector<api::InFlightMigration>& entries = wanted_.status.in_flight;
  if (const auto old = FindEntry(entries, resource); old != entries.end()) {
    entries.erase(old);
    ++wanted_version_;
  }
}

Result<void, Error> StatusWriter::SetStale(const Context& ctx,
                                           std::vector<api::StaleConnection> stale) {
  std::uint64_t version = 0;
  {
    const std::lock_guard lock(mutex_);
    wanted_.status.stale_peers = std::move(stale);
    NameClaims(claims_, &wanted_.status);
    if (known_ && wanted_.status.stale_peers == written_.status.stale_peers) {
      return {};
    }
    version = ++wanted_version_;
  }
  return Flush(ctx, version);
}

Result<void, Error> StatusWriter::Update(const Context& ctx,
                                         const api::ReplicationTlsStatus& status,
                                         const api::Condition& condition) {
  std::uint64_t version = 0;
  {
    const std::lock_guard lock(mutex_);
    State next{status, condition};
    next.status.in_flight = wanted_.status.in_flight;
    next.status.stale_peers = wanted_.status.stale_peers;
    NameClaims(claims_, &next.status);
    if (wanted_.condition.type == condition.type && wanted_.condition.status == condition.status) {
      next.condition.last_transition_time = wanted_.condition.last_transition_time;
    }
    wanted_ = std::move(next);
    if (known_ && wanted_ == written_) {
      return {};
    }
    version = ++wanted_version_;
  }
  return Flush(ctx, version);
}

Result<void, Error> StatusWriter::Flush(const Context& ctx, std::uint64_t wanted) {
  // Behind a slow request: nobody waits longer than it said.
  std::unique_lock writing(write_mutex_, std::defer_lock);
  if (!writing.try_lock_for(ctx.Remaining(std::chrono::minutes(1)))) {
    return Unexpected{Error{ErrorClass::kTransient, "another write of the status takes too long"}};
  }
  State state;
  std::uint64_t version = 0;
  {
    const std::lock_guard lock(mutex_);
    if (known_ && written_version_ >= wanted) {
      return {};  // the request before took it along
    }
    state = wanted_;
    version = wanted_version_;
  }
  BREAKWATER_RETURN_IF_ERROR(Apply(ctx, state));
  const std::lock_guard lock(mutex_);
  written_ = std::move(state);
  written_version_ = version;
  known_ = true;
  return {};
}

Result<void, Error> StatusWriter::Apply(const Context& ctx, const State& state) {
  api::Json object = {{"apiVersion", api::kLinstorCluster.ApiVersion()},
                      {"kind", api::kLinstorCluster.kind},
                      {"metadata", {{"name", cluster_}}},
                      {"status", {{"replicationTLS", api::ToJson(state.status)}}}};
  if (!state.condition.type.empty()) {
    object["status"]["conditions"] = api::Json::array({api::ToJson(state.condition)});
  }
  const kube::KubeResult<api::Json> reply = ApplyWhatFits(ctx, object);
  if (reply) {
    return {};
  }
  if (!runtime::UndeclaredFields(reply.error().message()).empty() &&
      object["status"].erase("replicationTLS") > 0 && object["status"].contains("conditions")) {
    // Without a place for the journal nothing is switched, which somebody must be told.
    api::Condition condition = state.condition;
    condition.message +=
        "; status.replicationTLS cannot be written, and nothing is switched, because the "
        "CustomResourceDefinitions of this cluster are of another version: apply those of this "
        "one";
    object["status"]["conditions"] = api::Json::array({api::ToJson(condition)});
    (void)client_.Apply(ctx, api::kLinstorCluster, {.ns = "", .name = cluster_}, object, Options());
  }
  return Unexpected{reply.error().ToError().WithContext("write status.replicationTLS")};
}

kube::KubeResult<api::Json> StatusWriter::ApplyWhatFits(const Context& ctx,
                                                        const api::Json& object) {
  const SteadyTime now = ctx.clock().SteadyNow();
  const auto apply = [&] {
    return client_.Apply(ctx, api::kLinstorCluster, {.ns = "", .name = cluster_},
                         gaps_.Without(api::kLinstorCluster, object, now), Options());
  };
  kube::KubeResult<api::Json> reply = apply();
  if (reply) {
    return reply;
  }
  const std::string message = reply.error().message();
  const std::vector<std::string> missing = runtime::UndeclaredFields(message);
  if (!missing.empty() && std::all_of(missing.begin(), missing.end(), ForPeople) &&
      gaps_.Learn(api::kLinstorCluster, message, now)) {
    return apply();
  }
  return reply;
}

std::vector<api::InFlightMigration> StatusWriter::in_flight() const {
  const std::lock_guard lock(mutex_);
  return wanted_.status.in_flight;
}

bool StatusWriter::InFlight(const std::string& resource) const {
  const std::lock_guard lock(mutex_);
  const auto& entries = wanted_.status.in_flight;
  return FindEntry(entries, resource) != entries.end();
}

std::vector<api::StaleConnection> StatusWriter::stale() const {
  const std::lock_guard lock(mutex_);
  return wanted_.status.stale_peers;
}

}  // namespace breakwater::controllers
