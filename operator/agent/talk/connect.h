#pragma once

/// `breakwater-agent connect`: the bridge between the standard streams of an exec and the agent's
/// socket.

#include <chrono>
#include <string>

namespace breakwater::agent {

// Exit codes of `connect`.
inline constexpr int kConnectEnded = 0;    ///< who called has closed its side
inline constexpr int kConnectFailed = 1;   ///< the kernel refused something
inline constexpr int kConnectDropped = 3;  ///< the agent has closed its side
inline constexpr int kConnectNoAgent = 4;  ///< nobody listens, also not after `wait`

/// Copies both ways until either side ends; what came before that is delivered. `wait`: for the
/// socket, which is not there while the agent starts.
int RunConnect(const std::string& path, std::chrono::milliseconds wait);

}  // namespace breakwater::agent
