#pragma once

/// Registration of a satellite in LINSTOR: node, properties, network interfaces, storage pools.

#include <set>
#include <string>
#include <vector>

#include "operator/api/linstor_satellite.h"
#include "operator/base/context.h"
#include "operator/base/error.h"
#include "operator/base/result.h"
#include "operator/core/satellite/interfaces.h"
#include "operator/linstor/client.h"

namespace breakwater::controllers {

/// What LINSTOR should know of a node.
struct WantedNode {
  std::string name{};
  linstor::Props props{};  ///< with the operator's marks, without bookkeeping
  std::vector<core::SatelliteInterface> interfaces{};
};

/// The node as wanted: resolved properties plus the marks of the operator.
Result<WantedNode, Error> DescribeNode(const api::Object& node,
                                       const api::Object& pod,
                                       const api::LinstorSatelliteSpec& spec);

/// Makes LINSTOR's node equal to `wanted` and returns it as it was read last. Writes only what
/// differs. Interfaces that users made are left alone. A node that was evacuated or evicted is
/// taken back.
Result<linstor::Node, Error> SyncNode(const Context& ctx,
                                      linstor::Client& client,
                                      const WantedNode& wanted);

/// Registers the wanted pools, updates their properties, and removes pools that the operator made
/// and that are no longer wanted. One pool that fails does not stop the others; the errors are
/// returned. `pools` is what LINSTOR has now, on return what it has after the changes.
std::vector<std::string> SyncPools(const Context& ctx,
                                   linstor::Client& client,
                                   const api::Object& node,
                                   const std::vector<api::StoragePool>& wanted,
                                   std::vector<linstor::StoragePool>& pools);

}  // namespace breakwater::controllers
