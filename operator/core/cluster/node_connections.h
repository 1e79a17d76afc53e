#pragma once

/// Node connections: which properties each pair of nodes gets from the LinstorNodeConnections.

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "operator/api/linstor_node_connection.h"
#include "operator/api/object.h"

namespace breakwater::core {

/// Whether the selector matches the pair (symmetric). An empty selector matches every pair.
bool MatchesNodePair(const api::LinstorNodeConnectionSpec& spec,
                     const std::map<std::string, std::string>& labels_a,
                     const std::map<std::string, std::string>& labels_b);

using NodePair = std::pair<std::string, std::string>;  ///< first < second

/// Properties of the unordered pairs of `nodes` that a connection matches. Connections are merged
/// in the given order (API list order), a later one wins by property; `paths` become
/// "Paths/<path>/<node>" on both sides. Pairs in `present` (those that have properties in LINSTOR)
/// that no connection matches are there with no properties, so that old ones are cleaned up; all
/// others are left out: 300 nodes have 45 000 pairs.
std::map<NodePair, std::map<std::string, std::string>> DesiredNodeConnections(
    const std::vector<api::ObjectPtr>& nodes,
    const std::vector<api::LinstorNodeConnectionSpec>& connections,
    const std::vector<NodePair>& present);

}  // namespace breakwater::core
