#pragma once

/// StatusWriter: the one writer of status.replicationTLS and of the condition ReplicationEncrypted
/// of a LinstorCluster, with a field manager of its own. Holds the journal.

#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "operator/api/condition.h"
#include "operator/api/object.h"
#include "operator/api/replication_tls.h"
#include "operator/base/context.h"
#include "operator/base/error.h"
#include "operator/base/result.h"
#include "operator/base/timed_mutex.h"
#include "operator/core/replication/plan/planner.h"
#include "operator/kube/client.h"

namespace breakwater::controllers {

inline constexpr std::string_view kReplicationTlsFieldManager = "breakwater.io/replication-tls";

api::InFlightMigration ToInFlight(const std::string& resource,
                                  const replication::Journal& journal);
/// Nothing when the entry cannot be understood (written by a newer version).
std::optional<replication::Journal> FromInFlight(const api::InFlightMigration& entry);

/// Thread safety: all methods may be called from any thread; writes wait for each other.
class StatusWriter {
 public:
  /// `client` must outlive the writer.
  StatusWriter(kube::KubeClient& client, std::string cluster);

  /// Reads the journal from the API server, not from a cache that may be old. Call before anything
  /// else. An entry that is not understood is kept in the status and reported in `unknown`.
  Result<std::map<std::string, replication::Journal>, Error> Load(
      const Context& ctx, std::vector<std::string>* unknown);

  /// Writes the entry of one resource (nothing: removes it). Returns when the API server has it:
  /// act only then. No request when it is there already.
  Result<void, Error> SetJournal(const Context& ctx,
                                 const std::string& resource,
                                 const std::optional<replication::Journal>& journal);

  /// Connections with a stale peer. No request when they are there already; after a failure they go
  /// with the next write of anything.
  Result<void, Error> SetStale(const Context& ctx, std::vector<api::StaleConnection> stale);
  /// As last set, or read by Load.
  std::vector<api::StaleConnection> stale() const;

  /// Everything but the journal and the stale peers. No request when nothing changed.
  Result<void, Error> Update(const Context& ctx,
                             api::ReplicationTlsStatus status,
                             const api::Condition& condition);

  /// Entries as last written.
  std::vector<api::InFlightMigration> in_flight() const;

 private:
  Result<void, Error> Write(const Context& ctx,
                            const api::ReplicationTlsStatus& status,
                            const api::Condition& condition);

  kube::KubeClient& client_;
  const std::string cluster_;

  mutable TimedMutex mutex_;                   // held during the write: one writer, in order
  api::ReplicationTlsStatus status_{};         // guarded by mutex_; as last written
  std::vector<api::StaleConnection> stale_{};  // guarded by mutex_; to be written
  api::Condition condition_{};                 // guarded by mutex_; as last written
  bool written_ = false;                       // guarded by mutex_
};

}  // namespace breakwater::controllers
