#pragma once

/// FailureList: status.replicationTLS.failures, from all who know of something that is wrong.
/// Remembers since when. A value; not thread-safe.

#include <map>
#include <set>
#include <string>
#include <vector>

#include "operator/api/replication_tls.h"
#include "operator/base/clock.h"
#include "operator/controllers/replication/ledger/ledgers.h"
#include "operator/controllers/replication/places.h"
#include "operator/controllers/replication/preflight.h"
#include "operator/core/replication/plan/cluster_plan.h"

namespace breakwater::controllers {

struct FailureSources {
  const replication::ClusterInput& input;  ///< volumes, holds
  const replication::ClusterPlan& plan;
  const NodeVerdicts& verdicts;
  const std::map<std::string, VolumeOutcome>& outcomes;
  const std::set<std::string>& busy;  ///< volumes with a transaction of ours
};

class FailureList {
 public:
  std::vector<api::MigrationFailure> Build(const FailureSources& sources,
                                           const LedgerParts& ledgers,
                                           SystemTime now,
                                           SteadyTime steady);

 private:
  std::map<std::string, std::string> since_;  // RFC 3339
};

}  // namespace breakwater::controllers
