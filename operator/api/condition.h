#pragma once

/// Condition: one line of status.conditions, as the Kubernetes API conventions define it.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "operator/api/object.h"

namespace breakwater::api {

struct Condition {
  std::string type{};
  std::string status = "Unknown";      ///< "True", "False" or "Unknown"
  std::string reason{};                ///< CamelCase, never empty in an object
  std::string message{};               ///< may have several lines
  std::string last_transition_time{};  ///< RFC 3339 in UTC with seconds; when `status` last changed
  std::int64_t observed_generation = 0;

  bool operator==(const Condition&) const = default;
};

/// Condition types of the four kinds, plus those that this project adds (the last three).
inline constexpr std::string_view kConditionApplied = "Applied";
inline constexpr std::string_view kConditionAvailable = "Available";
inline constexpr std::string_view kConditionConfigured = "Configured";
inline constexpr std::string_view kConditionSatelliteDeleted = "SatelliteDeleted";
inline constexpr std::string_view kConditionSatelliteEvacuated = "SatelliteEvacuated";
inline constexpr std::string_view kConditionReplicationEncrypted = "ReplicationEncrypted";
inline constexpr std::string_view kConditionReplicationCertificates = "ReplicationCertificates";
inline constexpr std::string_view kConditionReplicationTlsReady = "ReplicationTLSReady";
/// The only one for which True is bad news.
inline constexpr std::string_view kConditionApiUnprotected = "APIUnprotected";
/// Of Applied: the handshake daemon stays where its configuration does not ask for it any more.
inline constexpr std::string_view kReasonHandshakeDaemonKept = "HandshakeDaemonKept";

/// status.conditions of a raw object; entries without a type are skipped.
std::vector<Condition> ConditionsFromJson(const Json& object);

/// The condition of that type, or null.
const Condition* FindCondition(const std::vector<Condition>& conditions, std::string_view type);

Json ToJson(const Condition& condition);
Json ToJson(const std::vector<Condition>& conditions);

}  // namespace breakwater::api
