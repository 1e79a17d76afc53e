// Longer replies of the protocol as JSON.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "tests/e2e/sim/drbd/cluster.h"

namespace breakwater::sim {

[[nodiscard]] nlohmann::json ReportJson(const ResourceReport& report);
[[nodiscard]] nlohmann::json DumpJson(Cluster& cluster);

// Changes what `request` names, unknown names are an error, and answers with all values.
[[nodiscard]] nlohmann::json ApplyConfig(World& world, const nlohmann::json& request);

}  // namespace breakwater::sim
