#pragma once

/// Actor: does what the planner decided, on nodes and in LINSTOR. Knows no rules of its own, except
/// that it refuses what violates an invariant: the last guard before a volume.

#include <string>

#include "operator/base/context.h"
#include "operator/base/error.h"
#include "operator/base/log.h"
#include "operator/base/result.h"
#include "operator/controllers/node_shell/node_shell.h"
#include "operator/controllers/replication/linstor_view.h"
#include "operator/core/replication/plan/actions.h"
#include "operator/core/replication/volume/observation.h"

namespace breakwater::controllers {

/// Thread safety: may be called from any thread, for different resources at the same time.
class Actor {
 public:
  /// References must outlive the actor.
  Actor(NodeShell& shell, LinstorView& linstor, const Logger& log, std::string satellite_container);

  /// Stages in order, nodes of a stage in parallel; no forced cut after its time, however long the
  /// stages before it took. An error names the first operation that failed;
  /// what was done stays done, and the next observation tells.
  Result<void, Error> Run(const Context& ctx,
                          const replication::ResourceObservation& seen,
                          const replication::RunOnNodes& action);

  /// In order, ends at the first that LINSTOR refuses.
  Result<void, Error> Change(const Context& ctx,
                             const std::string& resource,
                             const replication::ChangeLinstor& action);

 private:
  Result<void, Error> RunStage(const Context& ctx,
                               const std::string& resource,
                               const std::vector<replication::NodeOp>& stage);

  NodeShell& shell_;
  LinstorView& linstor_;
  const Logger log_;
  const std::string satellite_container_;
};

}  // namespace breakwater::controllers
