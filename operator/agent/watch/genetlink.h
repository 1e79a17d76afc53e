#pragma once

/// Whether the kernel has the generic netlink family by which it asks tlshd for a handshake (F10).

#include <optional>
#include <string>

namespace breakwater::agent {

/// Nothing: cannot be asked. Takes well under a millisecond; at most 200 ms.
std::optional<bool> HasGenericNetlinkFamily(const std::string& name);

}  // namespace breakwater::agent
