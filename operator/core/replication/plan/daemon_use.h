#pragma once

/// DaemonUse: which satellites need their handshake daemon. DRBD asks it for a session whenever a
/// connection with TLS is made (F6.2): one that breaks without it stays down, and with it quorum.

#include <map>
#include <set>
#include <string>

#include "operator/core/replication/plan/cluster_plan.h"

namespace breakwater::replication {

/// By node why the daemon is needed there; "" = it is not. A node that is not in it is not known:
/// it does not answer, or LINSTOR cannot be asked. A connection counts when a node has it
/// configured with TLS, when its sockets are encrypted, or when it is wanted with TLS; while the
/// cluster's value is yes every node counts, because volumes with TLS come to any of them.
/// @param answering nodes whose volumes are known
std::map<std::string, std::string> DaemonUse(const ClusterInput& input,
                                             const ClusterPlan& plan,
                                             const std::set<std::string>& answering);

}  // namespace breakwater::replication
