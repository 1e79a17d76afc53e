#pragma once

#include <string>

#include <nlohmann/json.hpp>

#include "tests/e2e/sim/linstor/entry.h"
#include "tests/e2e/sim/linstor/model.h"

namespace breakwater::sim {

/// What an online / offline satellite can do, as recorded (satellite-00-setup, 02-nodes).
const nlohmann::json& OnlineFacts();
const nlohmann::json& OfflineFacts();

/// "Node 'n1' authenticated".
Entry Authenticated(const std::string& node, std::uint64_t op);

nlohmann::json NetIfJson(const NetIf& net);
/// PLAIN on port 3366 is not assumed: an interface without a port is not used by the controller.
NetIf ParseNetIf(const nlohmann::json& body);
bool IsIpAddress(const std::string& text);
bool HasActive(const Node& node);
bool UsesSsl(const Node& node);
const NetIf* FindNet(const Node& node, const std::string& name);

}  // namespace breakwater::sim
