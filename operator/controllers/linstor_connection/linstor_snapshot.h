#pragma once

/// LinstorSnapshots: what LINSTOR knows, read once for all controllers.
///
/// A hundred satellites that each ask LINSTOR for their node, pools, volumes and snapshots every
/// minute are five hundred requests for what five lists say. One caller reads the lists, the others
/// wait for it or take what is there. What is read here is good for finding that nothing is to be
/// done, and for numbers; before a write the writer reads its object again.
///
/// A LINSTOR that does not answer costs a timeout. That is remembered: for a while nobody asks,
/// then one caller tries, and until it knows more the others get the remembered error at once.

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "operator/base/context.h"
#include "operator/controllers/linstor_connection/linstor_provider.h"

namespace breakwater::controllers {

/// Numbers for a status.
struct LinstorUsage {
  std::int64_t total_bytes = 0;
  std::int64_t free_bytes = 0;
  std::int64_t volumes = 0;  ///< resources; replicas when it is about one node
  std::int64_t snapshots = 0;
};

/// Capacity of pools: the diskless ones have none. Volumes and snapshots stay 0.
LinstorUsage CapacityOf(const std::vector<linstor::StoragePool>& pools);

/// What LINSTOR knows of one node.
struct LinstorNodeFacts {
  linstor::Node node{};
  std::vector<linstor::StoragePool> pools{};
  std::int64_t replicas = 0;
  std::int64_t snapshots = 0;
};

/// Immutable, hence safe to share.
struct LinstorSnapshot {
  SteadyTime taken{};
  std::string url{};
  linstor::ControllerVersion version{};
  std::map<std::string, std::shared_ptr<const LinstorNodeFacts>> nodes{};
  std::int64_t resources = 0;  ///< with at least one replica
  std::int64_t snapshots = 0;

  /// Null when LINSTOR has no such node.
  std::shared_ptr<const LinstorNodeFacts> Find(const std::string& node) const;
  /// Of one node, or of the whole cluster when `node` is "".
  LinstorUsage UsageOf(const std::string& node) const;
};

using LinstorSnapshotPtr = std::shared_ptr<const LinstorSnapshot>;

struct LinstorSnapshotsOptions {
  /// For how long nobody asks a LINSTOR that did not answer.
  std::chrono::milliseconds unreachable_for{std::chrono::seconds{10}};
  /// For all the lists together; a LINSTOR that is slower counts as unreachable.
  std::chrono::milliseconds read_timeout{std::chrono::seconds{30}};
};

/// Thread safety: all methods may be called from any thread. Borrows the provider.
class LinstorSnapshots {
 public:
  explicit LinstorSnapshots(LinstorProvider& provider, LinstorSnapshotsOptions options = {})
      : provider_(provider), options_(options) {}

  /// A snapshot that is younger than `max_age`; reads one when there is none. Errors: those of the
  /// provider, and kTransient with LINSTOR's words when it does not answer.
  Result<LinstorSnapshotPtr, Error> Get(const Context& ctx,
                                        const std::string& cluster,
                                        std::chrono::milliseconds max_age);

  /// The last one, however old; null when there is none. Makes no request.
  LinstorSnapshotPtr Last(const std::string& cluster) const;

  /// False when LINSTOR did not answer the last time. Makes no request.
  bool Reachable(const std::string& cluster) const;

  /// Since when LINSTOR has not answered; nothing when it did the last time. Makes no request.
  std::optional<SteadyTime> SilentSince(const std::string& cluster) const;

  /// One node as it was read back after a write.
  void Update(const std::string& cluster, const LinstorNodeFacts& facts);

  /// After a write of which nobody knows what it did: the next Get reads again.
  void Invalidate(const std::string& cluster);

 private:
  struct Failure {
    Error error{};
    SteadyTime since{};  ///< of the first of those in a row
    SteadyTime until{};
  };

  struct Entry {
    std::shared_ptr<linstor::Client> client{};
    LinstorSnapshotPtr last{};
    std::optional<Failure> failure{};
    bool reading = false;
    bool dropped = false;  ///< what is being read, if anything, is not to be kept
    /// Nodes that were written while a snapshot was being read, which may show them as before.
    std::map<std::string, std::shared_ptr<const LinstorNodeFacts>> written{};
  };

  /// Decides about one request under the lock; nothing = the caller must read.
  std::optional<Result<LinstorSnapshotPtr, Error>> Answer(Entry& entry,
                                                          SteadyTime now,
                                                          std::chrono::milliseconds max_age) const;
  Result<LinstorSnapshotPtr, Error> Finish(const Context& ctx,
                                           Entry& entry,
                                           Result<LinstorSnapshot, Error> read) const;

  LinstorProvider& provider_;
  const LinstorSnapshotsOptions options_;
  mutable std::mutex mutex_;
  std::condition_variable_any read_;
  std::map<std::string, Entry> entries_;  // guarded by mutex_
};

}  // namespace breakwater::controllers
