#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <vector>

/// What satellites read out of DRBD's tools. Pure.
namespace breakwater::sim {

std::vector<std::string> Words(const std::string& text);

/// DRBDADM_VERSION_CODE of `drbdadm --version`: 0x092200 for 9.34.0; 0 when it cannot be told.
std::uint32_t UtilsVersion(const std::string& text);

/// Keys of the resources that `drbdsetup status` shows as suspended by the user
/// ("r1 role:Primary suspended:user"). Suspension for quorum or lack of data alone does not count.
std::set<std::string> UserSuspended(const std::string& status);

}  // namespace breakwater::sim
