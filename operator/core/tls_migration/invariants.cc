#include "operator/core/tls_migration/invariants.h"

#include <set>

#include "operator/core/tls_migration/gate.h"

namespace breakwater::tls_migration {

namespace {

using Kind = NodeOp::Kind;

std::optional<std::string> CheckNoHarm(const ResourceObservation& seen, const NodeOp& op) {
  const NodeView* node = seen.Node(op.node);
  const bool dangerous = op.kind == Kind::kSuspend || op.kind == Kind::kForceDisconnect;
  if (dangerous && (node == nullptr || node->on_no_quorum != "suspend-io")) {
    return "I4: " + Describe(op) + " although on-no-quorum is not suspend-io";
  }
  if (op.kind == Kind::kForceDisconnect && (node == nullptr || !node->primary)) {
    return "I2: forced cut on a node that is not the Primary";
  }
  const bool cut = op.kind == Kind::kDisconnect || op.kind == Kind::kForceDisconnect;
  for (const StalePeer& stale : FindStale(seen)) {
    if (cut && (op.kind == Kind::kForceDisconnect || stale.pair == Pair::Of(op.node, op.peer))) {
      return "I5: cut of connection " + stale.pair.ToString() + " whose peer is stale";
    }
  }
  return std::nullopt;
}

std::optional<std::string> CheckSingleCut(const ResourceObservation& seen, const NodeOp& op) {
  const Pair pair = Pair::Of(op.node, op.peer);
  for (const auto& [other, connection] : seen.connections) {
    if (other != pair && !connection.BothConnected()) {
      return "I2: second cut, " + other.ToString() + " is down already";
    }
  }
  if (std::optional<std::string> obstacle = CutObstacle(seen, pair)) {
    return "I2: " + *obstacle;
  }
  return std::nullopt;
}

}  // namespace

std::optional<std::string> CheckOperations(const ResourceObservation& seen,
                                           const RunOnNodes& action) {
  bool armed = false;
  bool suspends = seen.SuspendedUser();
  for (const std::vector<NodeOp>& stage : action.stages) {
    std::set<std::string> forced;
    for (const NodeOp& op : stage) {
      armed = armed || op.kind == Kind::kArm;
      if (op.kind == Kind::kSuspend && !armed) {
        return "I1: suspended without an armed watchdog";
      }
      suspends = suspends || op.kind == Kind::kSuspend;
      if (std::optional<std::string> harm = CheckNoHarm(seen, op)) {
        return harm;
      }
      if (op.kind == Kind::kForceDisconnect) {
        forced.insert(op.node);
        if (!suspends || !action.force_not_after) {
          return "I2: forced cut without suspension (F2.8)";
        }
        if (seen.Primaries().size() > 1) {
          return "I2: forced cut with more than one Primary";
        }
      }
      if (op.kind == Kind::kDisconnect && !suspends) {
        if (std::optional<std::string> broken = CheckSingleCut(seen, op)) {
          return broken;
        }
      }
      if (op.kind == Kind::kResume) {
        const GateResult gate = CheckGate(seen, {.may_be_suspended = true});
        if (!gate.ok()) {
          return "I3: resume before the gate holds: " + gate.reason;
        }
      }
    }
    if (forced.size() > 1) {
      return "I2: several nodes force their connections at once";
    }
  }
  return std::nullopt;
}

}  // namespace breakwater::tls_migration
