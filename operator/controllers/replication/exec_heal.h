#pragma once

/// Heals a stale peer on a node without an agent: one exec that looks again and acts in the same
/// script, so that what it was decided on cannot be old (AGENT.md, "Without an agent"; F14).

#include <string>
#include <string_view>

#include "operator/base/context.h"
#include "operator/base/error.h"
#include "operator/base/result.h"
#include "operator/controllers/node_shell/node_shell.h"
#include "operator/core/replication/volume/gate.h"

namespace breakwater::controllers {

/// Exit code of the script when its own look does not show what the operator saw.
inline constexpr int kHealRefused = 75;

/// Arguments: resource, name and DRBD node id of the peer, volume. Resyncs the peer when this node,
/// at this moment: has quorum, a good disk and no suspended I/O, is connected to another peer if it
/// has one, and sees the peer Established and behind (Outdated, or UpToDate with blocks out of
/// sync). Else exit code kHealRefused, and nothing is touched.
extern const std::string_view kHealScript;

/// kTransient: the node did not answer, or refused.
Result<void, Error> HealByExec(const Context& ctx,
                               NodeShell& shell,
                               const std::string& container,
                               const std::string& resource,
                               const replication::StalePeer& stale,
                               int peer_id);

}  // namespace breakwater::controllers
