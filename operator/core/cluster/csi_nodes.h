#pragma once

/// Whether the CSI driver on a node tells Kubernetes the topology that LINSTOR has.
///
/// The driver reports the topology of its node once, when it registers with the kubelet, which
/// keeps the keys in the CSINode of that node. A key that LINSTOR learns later (a label that a
/// LinstorSatelliteConfiguration turns into Aux/topology/…) is unknown to the scheduler and to the
/// provisioner until the driver registers again. Keys cannot be changed in place: the entry must be
/// gone first. Source: facts/CSI.md K9, facts/PIRAEUS.md 1.11. Pure.

#include <map>
#include <set>
#include <string>

#include "operator/api/object.h"

namespace breakwater::core {

/// What the driver will report for a node with these properties, storage pools aside.
std::set<std::string> WantedTopologyKeys(const std::map<std::string, std::string>& node_props);

enum class CsiRegistration {
  kAsWanted,
  kMissing,   ///< the kubelet of the node does not know the driver
  kOutdated,  ///< it knows it with other topology keys
};

/// @param csi_node of the node; null: there is none
CsiRegistration CheckRegistration(const api::Object* csi_node, const std::set<std::string>& wanted);

/// JSON patch that takes the driver out of `csi_node`, and only the driver: it fails when the list
/// of drivers has changed since. Null when the driver is not in it.
api::Json UnregisterPatch(const api::Object& csi_node);

}  // namespace breakwater::core
