#pragma once

/// StatusWriter: the one writer of status.replicationTLS and of the condition ReplicationEncrypted
/// of a LinstorCluster, with a field manager of its own. Holds the journal: which volumes have
/// transactions that were asked for.
///
/// Requests that come while one is under way are joined into the next one.

#include <cstdint>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "operator/api/condition.h"
#include "operator/api/replication_tls.h"
#include "operator/base/context.h"
#include "operator/base/error.h"
#include "operator/base/result.h"
#include "operator/base/timed_mutex.h"
#include "operator/controllers/replication/report/claim_names.h"
#include "operator/kube/client.h"
#include "operator/runtime/schema_gaps.h"

namespace breakwater::controllers {

inline constexpr std::string_view kReplicationTlsFieldManager = "breakwater.io/replication-tls";

/// Thread safety: all methods may be called from any thread.
class StatusWriter {
 public:
  /// `client` and `claims` must outlive the writer; entries are written with their claims.
  StatusWriter(kube::KubeClient& client, const ClaimBoard& claims, std::string cluster);

  /// Reads the status from the API server, not from a cache that may be old. Call before anything
  /// else.
  Result<void, Error> Load(const Context& ctx);

  /// Writes the entry of one resource. Returns when the API server has it: ask for a transaction
  /// only then. No request when it has an entry with the same strategy and pair: a new step of it
  /// goes with the next write. The time of an entry that is there already stays.
  Result<void, Error> SetJournal(const Context& ctx, api::InFlightMigration entry);
  /// Removes the entry of a resource with the next write of anything.
  void DropJournal(const std::string& resource);

  /// Connections with a stale peer, written at once; after a failure they go with the next write.
  Result<void, Error> SetStale(const Context& ctx, std::vector<api::StaleConnection> stale);

  /// Everything but the journal and the stale peers. No request when nothing changed, dropped
  /// entries included.
  Result<void, Error> Update(const Context& ctx,
                             const api::ReplicationTlsStatus& status,
                             const api::Condition& condition);

  /// Entries as they are to be.
  std::vector<api::InFlightMigration> in_flight() const;
  bool InFlight(const std::string& resource) const;
  /// As last set, or read by Load.
  std::vector<api::StaleConnection> stale() const;

 private:
  struct State {
    api::ReplicationTlsStatus status{};
    api::Condition condition{};

    bool operator==(const State&) const = default;
  };

  /// Writes what is wanted, unless the API server has version `wanted` already.
  Result<void, Error> Flush(const Context& ctx, std::uint64_t wanted);
  Result<void, Error> Apply(const Context& ctx, const State& state);
  /// Tries again without what is only for people, when definitions of another version do not have
  /// it.
  kube::KubeResult<api::Json> ApplyWhatFits(const Context& ctx, const api::Json& object);

  kube::KubeClient& client_;
  const ClaimBoard& claims_;
  const std::string cluster_;
  runtime::SchemaGaps gaps_;

  TimedMutex write_mutex_;  // held during a request; before mutex_
  mutable std::mutex mutex_;
  State wanted_{};                     // guarded by mutex_
  State written_{};                    // guarded by mutex_
  bool known_ = false;                 // guarded by mutex_; written_ is what the API server has
  std::uint64_t wanted_version_ = 0;   // guarded by mutex_
  std::uint64_t written_version_ = 0;  // guarded by mutex_
};

}  // namespace breakwater::controllers
