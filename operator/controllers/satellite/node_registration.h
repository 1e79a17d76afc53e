#pragma once

/// Registration of a satellite in LINSTOR: node, properties, network interfaces, storage pools.

#include <string>
#include <vector>

#include "operator/api/linstor_satellite.h"
#include "operator/base/context.h"
#include "operator/base/error.h"
#include "operator/base/result.h"
#include "operator/controllers/satellite/pool_backoff.h"
#include "operator/core/satellite/interfaces.h"
#include "operator/linstor/client.h"

namespace breakwater::controllers {

/// What LINSTOR should know of a node.
struct WantedNode {
  std::string name{};
  linstor::Props props{};  ///< with the operator's marks, without bookkeeping
  std::vector<core::SatelliteInterface> interfaces{};
  bool leaving = false;  ///< it is being evacuated: never taken back, never made again
};

/// The node as wanted: resolved properties plus the marks of the operator.
Result<WantedNode, Error> DescribeNode(const api::Object& node,
                                       const api::Object& pod,
                                       const api::LinstorSatelliteSpec& spec);

/// What has to be done so that a node is as wanted.
struct NodePlan {
  bool restore = false;  ///< it was evacuated or evicted: it is taken back
  std::vector<core::SatelliteInterface> create{};
  std::vector<core::SatelliteInterface> modify{};
  std::vector<std::string> remove{};
  linstor::PropsChange props{};

  bool empty() const {
    return !restore && create.empty() && modify.empty() && remove.empty() && props.empty();
  }
};

/// Interfaces that users made are left alone. Pure.
NodePlan PlanNode(const linstor::Node& node, const WantedNode& wanted);

/// Reads LINSTOR's node, makes it equal to `wanted` and returns it as it was read last. Writes only
/// what differs. kNotFound for a leaving node that LINSTOR no longer has. Properties that LINSTOR
/// does not take stop nothing: a line for each in `refused`.
Result<linstor::Node, Error> SyncNode(const Context& ctx,
                                      linstor::Client& client,
                                      const WantedNode& wanted,
                                      std::vector<std::string>* refused);

/// One thing to do about a storage pool.
struct PoolStep {
  enum class Kind { kCreate, kModify, kDelete };

  Kind kind = Kind::kCreate;
  std::string name{};
  const api::StoragePool* wanted = nullptr;  ///< null for kDelete; borrowed from the plan's input
  linstor::Props props{};                    ///< kCreate
  linstor::PropsChange change{};             ///< kModify
};

struct PoolPlan {
  std::vector<PoolStep> steps{};
  /// What is wrong with pools and cannot be changed now: LINSTOR reports it, or refused to make
  /// the pool a short while ago.
  std::vector<std::string> errors{};
};

/// What has to be done so that `pools`, those of the node, are as wanted. Pools that users made are
/// left alone. Pure.
PoolPlan PlanPools(const api::Object& node,
                   const std::vector<api::StoragePool>& wanted,
                   const std::vector<linstor::StoragePool>& pools,
                   const PoolBackoff& backoff,
                   SteadyTime now);

/// Reads the pools of the node, registers the wanted ones, updates their properties, and removes
/// those that the operator made and that are no longer wanted. One pool that fails does not stop
/// the others; the errors are returned. On return `pools` is what LINSTOR has.
std::vector<std::string> SyncPools(const Context& ctx,
                                   linstor::Client& client,
                                   const api::Object& node,
                                   const std::vector<api::StoragePool>& wanted,
                                   PoolBackoff& backoff,
                                   std::vector<linstor::StoragePool>& pools);

}  // namespace breakwater::controllers
