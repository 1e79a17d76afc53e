#pragma once

/// NodeConnectionReconciler: properties and network paths between pairs of nodes, from all
/// LinstorNodeConnections together. There is one key for all of them (kAllNodeConnections), because
/// several objects may speak of one pair and the result is their merge.

#include <chrono>
#include <map>
#include <string>
#include <vector>

#include "operator/api/linstor_node_connection.h"
#include "operator/controllers/linstor_connection/linstor_provider.h"
#include "operator/controllers/linstor_connection/linstor_snapshot.h"
#include "operator/core/cluster/node_connections.h"
#include "operator/runtime/apply.h"
#include "operator/runtime/controller.h"

namespace breakwater::controllers {

/// The only key of this controller's queue.
inline const api::ObjectKey kAllNodeConnections{"", "all"};

struct NodeConnectionReconcilerOptions {
  std::chrono::milliseconds requeue_interval{std::chrono::minutes{1}};
  std::chrono::milliseconds retry_interval{std::chrono::seconds{10}};
  /// How old the list of registered nodes may be.
  std::chrono::milliseconds linstor_max_age{std::chrono::minutes{1}};
};

/// Everything is borrowed and outlives the reconciler.
struct NodeConnectionReconcilerDeps {
  const runtime::Store& connections;
  const runtime::Store& clusters;
  const runtime::Store& satellites;
  const runtime::Store& nodes;
  const runtime::Applier& applier;
  LinstorProvider& linstor;
  LinstorSnapshots& snapshots;
  const Logger& log;
};

/// Thread safety: see runtime::Reconciler.
class NodeConnectionReconciler final : public runtime::Reconciler {
 public:
  NodeConnectionReconciler(NodeConnectionReconcilerDeps deps,
                           NodeConnectionReconcilerOptions options)
      : deps_(deps), options_(options) {}

  Result<runtime::Requeue, Error> Reconcile(const Context& ctx, const api::ObjectKey& key) override;

 private:
  using Desired = std::map<core::NodePair, std::map<std::string, std::string>>;
  /// What LINSTOR has, by pair.
  using PairMap = std::map<core::NodePair, const linstor::Connection*>;

  /// A LinstorNodeConnection as it was read.
  struct Reading {
    api::ObjectPtr object{};
    api::LinstorNodeConnectionSpec spec{};
    api::FieldErrors unusable{};          ///< not empty: the whole object is not used
    std::vector<std::string> findings{};  ///< for its condition
  };

  static Reading Read(const api::ObjectPtr& object);
  /// What each pair gets, without the pairs that an unusable object may concern.
  static Desired Plan(const std::vector<api::ObjectPtr>& nodes,
                      const std::vector<Reading>& readings,
                      const std::vector<core::NodePair>& present);
  /// LINSTOR names a pair in the order in which it was first set.
  static PairMap ByPair(const std::vector<linstor::Connection>& connections);

  /// Nothing, or what went wrong in this cluster.
  std::vector<std::string> SyncCluster(const Context& ctx,
                                       const api::Object& cluster,
                                       const std::vector<Reading>& readings) const;
  std::vector<std::string> SyncPairs(const Context& ctx,
                                     linstor::Client& client,
                                     const LinstorSnapshot& known,
                                     const PairMap& by_pair,
                                     const Desired& desired,
                                     const std::vector<std::string>& frozen) const;
  Result<void, Error> WriteStatus(const Context& ctx,
                                  const api::Object& connection,
                                  const std::vector<std::string>& errors) const;

  const NodeConnectionReconcilerDeps deps_;
  const NodeConnectionReconcilerOptions options_;
};

/// Whether a change of a LinstorSatellite can matter to node connections: its spec, metadata, or
/// that it became available, not its numbers of every minute.
bool ConcernsNodeConnections(const runtime::ChangeEvent& change);

}  // namespace breakwater::controllers
