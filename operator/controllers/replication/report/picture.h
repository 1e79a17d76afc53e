#pragma once

/// Picture: one look at the cluster, and what the status and the conditions say about it. Pure.
/// Never claims encryption without evidence on both ends (I6).

#include <cstddef>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "operator/api/condition.h"
#include "operator/api/replication_tls.h"
#include "operator/controllers/replication/cluster_settings.h"
#include "operator/core/replication/node/preflight.h"
#include "operator/core/replication/plan/cluster_plan.h"

namespace breakwater::controllers {

struct Picture {
  const std::vector<replication::ResourceObservation>& resources;
  const replication::ClusterPlan& plan;
  const ClusterSettings& settings;
  const std::map<std::string, replication::VolumeFloor>& floors;
  const std::map<std::string, std::vector<replication::PreflightFailure>>& nodes;
  /// Volumes that are being switched, or mended by a transaction. Not those that are only tidied
  /// up: the phase must not flap when the last pin goes (REVIEW-1 R8).
  const std::set<std::string>& migrating;
  /// Some volume has a place, if only to be tidied up: those that wait, wait for that.
  bool places_taken = false;
  std::vector<api::MigrationFailure> failures{};
  /// Volumes in LINSTOR that are not looked at, because DRBD's tools take their names for more.
  std::vector<std::string> ignored{};
  bool linstor_known = false;
  std::string linstor_error{};
};

/// Bound of status.replicationTLS.failures.
inline constexpr std::size_t kMaxFailures = 20;
/// Bound of status.replicationTLS.exempt.
inline constexpr std::size_t kMaxExempt = 100;

/// Counts, phase, failures. `in_flight` and `stale_peers` of the result are empty (StatusWriter
/// owns them).
api::ReplicationTlsStatus BuildStatus(const Picture& picture);
/// Condition ReplicationEncrypted; without a transition time.
api::Condition BuildCondition(const Picture& picture, const api::ReplicationTlsStatus& status);
/// Condition ReplicationTLSReady of one node.
api::Condition NodeCondition(const std::vector<replication::PreflightFailure>& failures);

}  // namespace breakwater::controllers
