#pragma once

/// SatelliteUse: what replication needs of the satellites, told by its controllers to the one that
/// restarts them.

#include <map>
#include <string>

#include "operator/controllers/common/board.h"

namespace breakwater::controllers {

/// One look at a LinstorCluster.
struct SatelliteUse {
  std::string cluster_uid{};
  /// By node why its handshake daemon is needed, "" = it is not. Not in it: not known.
  std::map<std::string, std::string> daemon{};
  /// By node a volume there with a transaction of the agents.
  std::map<std::string, std::string> transaction{};
};

/// Empty: nobody has looked yet.
using SatelliteUseBoard = Board<SatelliteUse>;

}  // namespace breakwater::controllers
