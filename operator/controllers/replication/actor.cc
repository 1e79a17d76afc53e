#include "operator/controllers/replication/actor.h"

#include <algorithm>
#include <map>
#include <mutex>
#include <utility>
#include <vector>

#include "operator/controllers/replication/parallel.h"
#include "operator/core/replication/volume/invariants.h"
#include "operator/core/replication/node/node_scripts.h"
#include "operator/core/replication/node/text.h"

namespace breakwater::controllers {

using replication::NodeOp;

Actor::Actor(NodeShell& shell,
             LinstorView& linstor,
             const Logger& log,
             std::string satellite_container)
    : shell_(shell),
      linstor_(linstor),
      log_(log.Named("actor")),
      satellite_container_(std::move(satellite_container)) {}

Result<void, Error> Actor::Run(const Context& ctx,
                               const replication::ResourceObservation& seen,
                               const replication::RunOnNodes& action) {
  if (!replication::IsSafeName(seen.resource)) {
    return Unexpected{Error{ErrorClass::kInvalid, "not a resource name"}};
  }
  if (const std::optional<std::string> broken = replication::CheckOperations(seen, action)) {
    log_.Error("refused an operation that violates an invariant",
               {{"resource", seen.resource}, {"error", *broken}});
    return Unexpected{Error{ErrorClass::kTerminal, *broken}};
  }
  for (const std::vector<NodeOp>& stage : action.stages) {
    const bool forces = std::any_of(stage.begin(), stage.end(), [](const NodeOp& op) {
      return op.kind == NodeOp::Kind::kForceDisconnect;
    });
    if (forces && (!action.force_not_after || ctx.clock().SystemNow() > *action.force_not_after)) {
      return Unexpected{Error{ErrorClass::kTransient, "too late for a forced cut"}};
    }
    BREAKWATER_RETURN_IF_ERROR(RunStage(ctx, seen.resource, stage));
  }
  return {};
}

Result<void, Error> Actor::RunStage(const Context& ctx,
                                    const std::string& resource,
                                    const std::vector<NodeOp>& stage) {
  std::map<std::string, std::vector<std::string>> per_node;
  for (const NodeOp& op : stage) {
    if (!op.peer.empty() && !replication::IsSafeName(op.peer)) {
      return Unexpected{Error{ErrorClass::kInvalid, "not a node name"}};
    }
    std::vector<std::string>& argv = per_node[op.node];
    if (argv.empty()) {
      argv = {"sh", "-c", std::string(replication::kActScript), "breakwater-act"};
    }
    for (std::string& argument : replication::ToArguments(op, resource)) {
      argv.push_back(std::move(argument));
    }
    log_.Info("operation", {{"resource", resource}, {"node", op.node}, {"action", Describe(op)}});
  }
  std::vector<std::string> nodes;
  for (const auto& [node, argv] : per_node) {
    nodes.push_back(node);
  }
  std::mutex mutex;
  std::string failed;
  ForEachParallel(nodes, 16, [&](const std::string& node) {
    const Result<kube::ExecResult, Error> result =
        shell_.Run(ctx, node, satellite_container_, per_node.at(node));
    if (result && result->exit_code == 0) {
      return;
    }
    const std::string why = !result
                                ? result.error().message
                                : "exit code " + std::to_string(result->exit_code) + ": " +
                                      std::string(replication::Trim(result->err)).substr(0, 500);
    const std::lock_guard lock(mutex);
    failed += (failed.empty() ? "" : "; ") + node + ": " + why;
  });
  if (!failed.empty()) {
    return Unexpected{Error{ErrorClass::kTransient, failed}};
  }
  return {};
}

Result<void, Error> Actor::Change(const Context& ctx,
                                  const std::string& resource,
                                  const replication::ChangeLinstor& action) {
  for (const replication::LinstorOp& op : action.ops) {
    log_.Info("LINSTOR change", {{"resource", resource}, {"action", Describe(op)}});
    BREAKWATER_RETURN_IF_ERROR(linstor_.Change(ctx, resource, op));
  }
  return {};
}

}  // namespace breakwater::controllers
