#pragma once

/// The local gate: what this node's own, fresh status says about whether a connection may be cut,
/// I/O suspended or resumed. The operator's gate (volume/gate.h) looks at all nodes some time
/// earlier; this one looks at one node immediately before the step, and decides. Pure functions.

#include <set>
#include <string>

#include "operator/core/replication/transaction/transaction.h"

namespace breakwater::replication {

/// What stands in the way; code "" = nothing. Codes: TransactionResult.
struct Obstacle {
  std::string code{};
  std::string reason{};

  bool none() const { return code.empty(); }
};

/// Suspended by anybody or anything.
Obstacle CheckNotSuspended(const DrbdStatus& status);
/// Own disks UpToDate (or diskless on purpose) and quorum, for every volume.
Obstacle CheckOwnDisks(const DrbdStatus& status);
/// Connected, Established, peer disks UpToDate, nothing out of sync (from a Primary only: F4.8).
Obstacle CheckConnection(const DrbdStatus& status, const DrbdConnection& connection);
/// The whole resource as this node sees it, without suspension.
Obstacle CheckResource(const DrbdStatus& status);

/// May this node cut this connection gracefully, without a suspension?
Obstacle CheckLead(const LocalView& view,
                   const TransactionRequest& request,
                   const DrbdConnection& connection);
/// May this node suspend I/O and cut its connections, all of them if need be?
Obstacle CheckSuspendedSwitch(const LocalView& view);

/// Data can be reached: an own UpToDate disk or that of a connected peer, for every volume. Without
/// it resume-io gives EIO (F28).
bool HasData(const DrbdStatus& status);
bool HasQuorum(const DrbdStatus& status);
bool IsPrimary(const DrbdStatus& status);
/// Every volume is on an own UpToDate disk.
bool HasOwnData(const DrbdStatus& status);

}  // namespace breakwater::replication
