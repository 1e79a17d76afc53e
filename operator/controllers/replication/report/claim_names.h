#pragma once

/// Which PersistentVolumeClaim a volume belongs to, for whatever people read: they know their
/// claims, not LINSTOR's names (facts CSI K6). From the PersistentVolumes, not from the properties
/// that the CSI driver leaves in LINSTOR, which whoever reaches its REST API can write.

#include <map>
#include <string>

#include "operator/api/replication_tls.h"
#include "operator/controllers/common/board.h"
#include "operator/core/replication/plan/floor.h"
#include "operator/runtime/metrics.h"

namespace breakwater::controllers {

/// "namespace/name" of the claim by resource.
using ClaimBoard = Board<std::map<std::string, std::string>>;

/// Those of the volumes that a claim is bound to.
std::map<std::string, std::string> ClaimsOf(const replication::FloorRules& rules);

/// "" = none is known.
std::string ClaimOf(const ClaimBoard& claims, const std::string& resource);

/// " (claim shop/orders)" for the end of a text, or "".
std::string ClaimSuffix(const ClaimBoard& claims, const std::string& resource);

/// Labels `resource`, and `claim_namespace` and `persistentvolumeclaim` where there is a claim.
runtime::MetricLabels VolumeLabels(const ClaimBoard& claims, const std::string& resource);

/// Fills in the claims of exempt volumes, failures, the journal and stale peers.
void NameClaims(const ClaimBoard& claims, api::ReplicationTlsStatus* status);

}  // namespace breakwater::controllers
