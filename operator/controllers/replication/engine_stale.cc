#include <utility>

#include "operator/base/rfc3339.h"
#include "operator/controllers/replication/engine.h"

namespace breakwater::controllers {

using replication::ResourceObservation;
using replication::StaleChange;
using replication::StaleRecord;

namespace {

constexpr std::chrono::seconds kWriteTimeout{5};

std::vector<api::StaleConnection> ToStatus(const std::vector<StaleRecord>& records) {
  std::vector<api::StaleConnection> result;
  for (const StaleRecord& record : records) {
    result.push_back({record.resource, record.viewer, record.peer, record.volume,
                      FormatRfc3339(record.since), record.session, record.diverged});
  }
  return result;
}

std::string Where(const StaleRecord& record) {
  return "Volume " + record.resource + ": " + record.viewer + " does not send writes to " +
         record.peer + " although they are connected";
}

std::string DivergedText(const StaleRecord& record) {
  return "the connection of " + record.viewer + " and " + record.peer +
         " was interrupted while writes were missing on " + record.peer +
         ": the copies may differ although every state looks clean. Run `drbdadm invalidate " +
         record.resource + "` on " + record.peer +
         ", wait until it is UpToDate, then annotate the LinstorCluster with " +
         std::string(kResyncedAnnotation) + "=" + NameOf(record);
}

}  // namespace

void Engine::LoadStale() {
  std::vector<StaleRecord> records;
  for (const api::StaleConnection& entry : cluster_->status->stale()) {
    records.push_back({entry.resource, entry.node, entry.peer, static_cast<int>(entry.volume),
                       ParseRfc3339(entry.since).value_or(SystemTime{}), entry.sockets,
                       entry.diverged});
  }
  const std::lock_guard lock(mutex_);
  stale_ = {};
  stale_.Load(records);
}

// Called with every look at a volume, by the loop and by the drivers. Written down at once: a new
// leader must know of it even if all states are clean by then.
void Engine::NoteObservation(const ResourceObservation& seen) {
  std::vector<StaleChange> changes;
  std::vector<StaleRecord> records;
  {
    const std::lock_guard lock(mutex_);
    changes = stale_.Observe(seen, deps_.services.clock.SystemNow());
    records = stale_.records();
  }
  if (changes.empty()) {
    return;
  }
  for (const StaleChange& change : changes) {
    const StaleRecord& record = change.record;
    switch (change.kind) {
      case StaleChange::Kind::kStale:
        reporter_.Event(cluster_->name, record.resource, true, "StalePeer",
                        Where(record) + "; do not reconnect them");
        break;
      case StaleChange::Kind::kHealed:
        reporter_.Event(cluster_->name, record.resource, false, "StalePeerHealed",
                        "Volume " + record.resource + ": " + record.peer + " has all writes again");
        break;
      case StaleChange::Kind::kDiverged:
        reporter_.Event(cluster_->name, record.resource, true, "Diverged",
                        "Volume " + record.resource + ": " + DivergedText(record));
        break;
    }
  }
  const Context ctx = Context(std::stop_token{}, deps_.services.clock).WithTimeout(kWriteTimeout);
  if (const auto written = cluster_->status->SetStale(ctx, ToStatus(records)); !written) {
    log_.Warn("stale peers could not be written down", {{"error", written.error().message}});
  }
}

// `known`: all resources that there are, when that is certain.
void Engine::TidyStale(const Context& ctx,
                       const std::set<std::string>& released,
                       const std::set<std::string>* known) {
  std::vector<StaleRecord> records;
  {
    const std::lock_guard lock(mutex_);
    stale_.Release(released);
    if (known != nullptr) {
      stale_.KeepOnly(*known);
    }
    records = stale_.records();
  }
  if (const auto written = cluster_->status->SetStale(ctx, ToStatus(records)); !written) {
    log_.Warn("stale peers could not be written down", {{"error", written.error().message}});
  }
}

std::vector<api::MigrationFailure> Engine::StaleFailures() const {
  std::vector<api::MigrationFailure> shown;
  const std::lock_guard lock(mutex_);
  for (const StaleRecord& record : stale_.records()) {
    shown.push_back(
        {record.resource, record.peer, record.diverged ? "Diverged" : "StalePeer",
         record.diverged ? DivergedText(record) : Where(record) + "; do not reconnect them",
         FormatRfc3339(record.since)});
  }
  return shown;
}

}  // namespace breakwater::controllers
