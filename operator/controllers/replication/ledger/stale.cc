#include "operator/controllers/replication/ledger/stale.h"

#include "operator/base/rfc3339.h"
#include "operator/controllers/replication/cluster_settings.h"

namespace breakwater::controllers {
namespace {

using replication::StaleChange;
using replication::StaleRecord;

std::string Where(const StaleRecord& record) {
  const std::string start = "Volume " + record.resource + ": " + record.viewer;
  if (record.secondary) {
    return start + " takes the copy of " + record.peer +
           " for outdated although they are connected, and would not send it writes as Primary";
  }
  return start + " does not send writes to " + record.peer + " although they are connected";
}

std::string DivergedText(const StaleRecord& record) {
  return "the connection of " + record.viewer + " and " + record.peer +
         " was interrupted while writes were missing on " + record.peer +
         ": the copies may differ although every state looks clean. Run `drbdadm invalidate " +
         record.resource + "` on " + record.peer +
         ", wait until it is UpToDate, then annotate the LinstorCluster with " +
         std::string(kResyncedAnnotation) + "=" + NameOf(record);
}

Notice ToNotice(const StaleChange& change) {
  const StaleRecord& record = change.record;
  switch (change.kind) {
    case StaleChange::Kind::kStale:
      return {record.resource, true, "StalePeer", Where(record) + "; do not reconnect them"};
    case StaleChange::Kind::kHealed:
      return {record.resource, false, "StalePeerHealed",
              "Volume " + record.resource + ": " + record.peer + " has all writes again"};
    case StaleChange::Kind::kDiverged:
      break;
  }
  return {record.resource, true, "Diverged",
          "Volume " + record.resource + ": " + DivergedText(record)};
}

}  // namespace

void StaleBook::Load(const std::vector<api::StaleConnection>& written) {
  std::vector<StaleRecord> records;
  for (const api::StaleConnection& entry : written) {
    records.push_back({entry.resource, entry.node, entry.peer, static_cast<int>(entry.volume),
                       ParseRfc3339(entry.since).value_or(SystemTime{}), entry.sockets,
                       entry.diverged, entry.secondary});
  }
  ledger_ = {};
  ledger_.Load(records);
}

std::vector<Notice> StaleBook::Observe(const replication::ResourceObservation& seen,
                                       SystemTime now) {
  std::vector<Notice> notices;
  for (const StaleChange& change : ledger_.Observe(seen, now)) {
    notices.push_back(ToNotice(change));
  }
  return notices;
}

void StaleBook::NoteHeal(const std::string& resource, const replication::Pair& pair) {
  ledger_.NoteHeal(resource, pair);
}

void StaleBook::Release(const std::set<std::string>& names) {
  (void)ledger_.Release(names);
}

void StaleBook::KeepOnly(const std::set<std::string>& known) {
  (void)ledger_.KeepOnly(known);
}

std::vector<api::StaleConnection> StaleBook::ToStatus() const {
  std::vector<api::StaleConnection> result;
  for (const StaleRecord& record : ledger_.records()) {
    result.push_back({record.resource, record.viewer, record.peer, record.volume,
                      FormatRfc3339(record.since), record.session, record.diverged, "",
                      record.secondary});
  }
  return result;
}

std::vector<api::MigrationFailure> StaleBook::Failures() const {
  std::vector<api::MigrationFailure> shown;
  for (const StaleRecord& record : ledger_.records()) {
    shown.push_back(
        {record.resource, record.peer, record.diverged ? "Diverged" : "StalePeer",
         record.diverged ? DivergedText(record) : Where(record) + "; do not reconnect them",
         FormatRfc3339(record.since)});
  }
  return shown;
}

std::map<replication::Pair, std::string> StaleBook::Unproven(const std::string& resource) const {
  return ledger_.Unproven(resource);
}

std::set<replication::Pair> StaleBook::PairsOf(const std::string& resource) const {
  return ledger_.PairsOf(resource);
}

}  // namespace breakwater::controllers
