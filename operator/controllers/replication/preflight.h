#pragma once

/// Whether the nodes are fit for TLS, from everything that is known of them: pods, reports,
/// certificates, agents, LINSTOR.

#include <map>
#include <string>
#include <vector>

#include "operator/controllers/replication/linstor_view.h"
#include "operator/controllers/replication/node_observer.h"
#include "operator/controllers/replication/served_cluster.h"
#include "operator/core/replication/node/preflight.h"
#include "operator/core/replication/plan/volume_plan.h"
#include "operator/runtime/store.h"

namespace breakwater::controllers {

using NodeVerdicts = std::map<std::string, std::vector<replication::PreflightFailure>>;

struct PreflightInput {
  const runtime::Store& satellites;
  const std::map<std::string, api::ObjectPtr>& pods;  ///< of the satellites, by node
  std::string satellite_container{};
  std::string tlshd_container{};
  const std::map<std::string, replication::NodeReport>& reports;
  const std::map<std::string, NodeCertificate>& certificates;
  /// A node that is not in it has no agent.
  const std::map<std::string, replication::AgentView>& agents;
  const LevelsSnapshot& linstor;
  /// Nodes whose handshakes fail, with the next step (HandshakeLedger).
  const std::map<std::string, std::string>& bad_handshakes;
  bool tls_wanted = false;
};

/// One verdict per LinstorSatellite. Empty in a cluster without TLS, which needs none.
NodeVerdicts CheckNodes(const PreflightInput& input, SystemTime now);

/// ClusterInput::unfit: who fails, and for what. Nodes that do not answer or have no DRBD are not
/// in it: LINSTOR places no volume that replicates there.
std::map<std::string, std::string> UnfitNodes(const NodeVerdicts& verdicts);

/// Takes the nodes' faults into the ledger of what explains a StandAlone connection (F6): those of
/// the verdicts, and each start of a handshake daemon. True: there is one that was not known.
bool NoteCauses(const NodeVerdicts& verdicts,
                const std::map<std::string, api::ObjectPtr>& pods,
                const std::string& tlshd_container,
                SystemTime now,
                CauseLedger* causes);

}  // namespace breakwater::controllers
