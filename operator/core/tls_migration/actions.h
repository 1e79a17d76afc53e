#pragma once

/// Actions: the small idempotent steps that the planner asks for. Values; the controller does them.

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "operator/base/clock.h"
#include "operator/core/tls_migration/properties.h"

namespace breakwater::tls_migration {

/// One operation on one node; see kActScript for what each runs.
struct NodeOp {
  enum class Kind {
    kDisconnect,       ///< gracefully, one peer (`peer`)
    kForceDisconnect,  ///< all own connections
    kNetOptions,       ///< tls := `tls` towards `peer_id`
    kConnect,          ///< `peer_id`
    kArm,              ///< watchdog of `seconds` that also reconnects `peer_ids`
    kDisarm,
    kSuspend,
    kResume,
    kInvalidateRemote,  ///< `peer`, on the node with the good copy
    kInvalidate,        ///< this node's own disk, for a diskless Primary's peer
  };

  Kind kind = Kind::kConnect;
  std::string node{};
  std::string peer{};
  int peer_id = -1;
  bool tls = false;
  int seconds = 0;
  std::vector<int> peer_ids{};

  bool operator==(const NodeOp&) const = default;
};

/// The four arguments of kActScript for one operation.
std::vector<std::string> ToArguments(const NodeOp& op, const std::string& resource);
std::string Describe(const NodeOp& op);

/// Stages run one after the other and end at the first that fails; within a stage the nodes work in
/// parallel, each doing its operations in order with one exec.
struct RunOnNodes {
  std::vector<std::vector<NodeOp>> stages{};
  /// No forced cut begins after this time, whatever the stages before it took: the watchdog may
  /// resume I/O soon, and a forced cut under load loses writes (F2.8). Absent: no forced cut at
  /// all.
  std::optional<SystemTime> force_not_after{};

  bool operator==(const RunOnNodes&) const = default;
};

/// Changes in LINSTOR, in order. Judge the result by the next observation, never by the reply
/// (L20).
struct ChangeLinstor {
  std::vector<LinstorOp> ops{};

  bool operator==(const ChangeLinstor&) const = default;
};

/// Nothing to do now; look again after `Decision::poll`.
struct Wait {
  bool operator==(const Wait&) const = default;
};

/// The run of this resource is over.
struct Finished {
  enum class Result {
    kDone,        ///< everything as wanted, with proof
    kRolledBack,  ///< failed; runs what it ran before
    kBlocked,     ///< cannot start or go on; nothing is cut or suspended
  };

  Result result = Result::kDone;

  bool operator==(const Finished&) const = default;
};

using Action = std::variant<Wait, RunOnNodes, ChangeLinstor, Finished>;

}  // namespace breakwater::tls_migration
