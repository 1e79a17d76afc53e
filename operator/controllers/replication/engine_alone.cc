// StandAlone connections with TLS. DRBD gives up on TLS faults for good (F6), and so does an
// admin's `drbdadm disconnect`: only what a fault explains is reconnected.

#include <algorithm>
#include <utility>

#include "operator/base/rfc3339.h"
#include "operator/controllers/replication/engine.h"

namespace breakwater::controllers {

using replication::Pair;
using replication::ResourceObservation;

namespace {

// DRBD gives up within seconds of the fault; the rest is for how seldom we look.
constexpr std::chrono::seconds kNear{120};
// A new leader does not know when an end became StandAlone: a fault so short ago may be the reason.
constexpr std::chrono::minutes kBeforeUs{10};

constexpr std::chrono::seconds kShownAfter{30};

const std::string* AloneEnd(const replication::ConnectionView& connection) {
  const bool tls = connection.a.tls.value_or(false) || connection.b.tls.value_or(false);
  if (!tls || !connection.BothKnown()) {
    return nullptr;
  }
  return connection.a.stand_alone()   ? &connection.pair.a
         : connection.b.stand_alone() ? &connection.pair.b
                                      : nullptr;
}

bool IsTlsFault(const std::string& reason) {
  return reason.starts_with("HandshakeDaemon") || reason.starts_with("Certificate");
}

std::vector<SystemTime> StartsOf(const api::Object& pod, const std::string& container) {
  std::vector<SystemTime> starts;
  const auto add = [&](const std::string& text) {
    if (const std::optional<SystemTime> time = ParseRfc3339(text)) {
      starts.push_back(*time);
    }
  };
  const api::Json* status = api::FindMember(pod.raw(), "status");
  if (status == nullptr) {
    return starts;
  }
  add(api::StringAt(*status, "startTime"));
  const api::Json* list = api::FindMember(*status, "containerStatuses");
  for (const api::Json& item : list != nullptr && list->is_array() ? *list : api::Json::array()) {
    const api::Json* running = api::FindPath(item, {"state", "running"});
    if (api::StringAt(item, "name") == container && running != nullptr) {
      add(api::StringAt(*running, "startedAt"));
    }
  }
  return starts;
}

}  // namespace

void Engine::TrackAlone(const std::vector<ResourceObservation>& resources) {
  const SystemTime now = deps_.services.clock.SystemNow();
  std::map<std::pair<std::string, Pair>, Alone> alone;
  for (const ResourceObservation& seen : resources) {
    for (const auto& [pair, connection] : seen.connections) {
      const std::string* node = AloneEnd(connection);
      const auto key = std::pair(seen.resource, pair);
      const auto before = alone_.find(key);
      if (before != alone_.end() && (node != nullptr || !connection.BothKnown())) {
        alone.insert(*before);
      } else if (node != nullptr) {
        alone[key] = {*node, now, !first_look_, ""};
        certificates_read_.reset();  // the fault may be gone soon
      }
    }
  }
  alone_ = std::move(alone);
  first_look_ = false;
}

void Engine::TrackCauses(
    const std::map<std::string, std::vector<replication::PreflightFailure>>& preflight) {
  const SystemTime now = deps_.services.clock.SystemNow();
  const auto note = [&](const std::string& node, SystemTime time) {
    Cause& cause = causes_[node];
    if (time > now || time <= cause.last) {
      return;
    }
    cause.first = time - cause.last > kNear ? time : cause.first;
    cause.last = time;
  };
  const auto pods = SatellitePods(deps_.pods, deps_.options.operator_namespace);
  for (const auto& [node, failures] : preflight) {
    if (const auto pod = pods.find(node); pod != pods.end()) {
      for (const SystemTime start : StartsOf(*pod->second, deps_.options.tlshd_container)) {
        note(node, start);
      }
    }
    if (const auto blocker = replication::FirstBlocker(failures);
        blocker && IsTlsFault(blocker->reason)) {
      note(node, now);
    }
  }
}

bool Engine::Explained(const std::string& node, SystemTime since, bool since_known) const {
  const auto cause = causes_.find(node);
  if (cause == causes_.end()) {
    return false;
  }
  const auto slack = kNear + deps_.options.observe_interval;
  if (!since_known) {
    return cause->second.last >= since - kBeforeUs;
  }
  return since >= cause->second.first - slack && since <= cause->second.last + slack;
}

void Engine::HoldAlone(const ClusterSettings& settings) {
  std::map<std::string, std::set<Pair>> hold;
  const std::lock_guard lock(mutex_);
  for (auto& [key, alone] : alone_) {
    const auto& [resource, pair] = key;
    alone.held.clear();
    if (settings.hold_all || settings.hold.contains(resource)) {
      alone.held = "held by the annotation " + std::string(kHoldAnnotation);
    } else if (stale_.PairsOf(resource).contains(pair)) {
      alone.held = "its peer lacks writes, and a reconnect would erase the record of them";
    } else if (!Explained(pair.a, alone.since, alone.since_known) &&
               !Explained(pair.b, alone.since, alone.since_known)) {
      alone.held =
          "no fault of TLS explains it; if nobody is at work on it, run `drbdadm connect " +
          resource + ":" + pair.Other(alone.node) + "` on " + alone.node;
    }
    if (!alone.held.empty()) {
      hold[resource].insert(pair);
    }
  }
  hold_ = std::move(hold);
}

std::vector<api::MigrationFailure> Engine::AloneFailures() const {
  std::vector<api::MigrationFailure> shown;
  const std::set<std::string> active = ActiveNames();
  const SystemTime now = deps_.services.clock.SystemNow();
  for (const auto& [key, alone] : alone_) {
    // A run of ours has such ends for a moment.
    if (!alone.held.empty() && !active.contains(key.first) && now - alone.since >= kShownAfter) {
      shown.push_back({key.first, alone.node, "StandAlone",
                       "connection " + key.second.ToString() + " is StandAlone: " + alone.held,
                       FormatRfc3339(alone.since)});
    }
  }
  return shown;
}

}  // namespace breakwater::controllers
