#pragma once

/// LinstorSatellite: one node of the storage cluster. Written by the operator from the
/// LinstorCluster and the LinstorSatelliteConfigurations that match the node of the same name.

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "operator/api/condition.h"
#include "operator/api/patch.h"
#include "operator/api/property.h"
#include "operator/api/storage_pool.h"
#include "operator/api/tls_config.h"

namespace breakwater::api {

enum class DeletionPolicy { kRetain, kEvacuate, kDelete };

std::string_view ToString(DeletionPolicy policy);
/// nullopt when the field is absent or has an unknown value (an error).
std::optional<DeletionPolicy> ReadDeletionPolicy(const FieldReader& parent, std::string_view key);

/// Times to wait for volumes to move away before a node is emptied; 0 disables the wait.
struct EvacuationStrategy {
  std::chrono::nanoseconds attached_volume_reattach_timeout = std::chrono::minutes{5};
  std::chrono::nanoseconds unattached_volume_attach_timeout = std::chrono::minutes{5};

  bool operator==(const EvacuationStrategy&) const = default;
};

std::optional<EvacuationStrategy> ReadEvacuationStrategy(const FieldReader& parent,
                                                         std::string_view key);
Json ToJson(const EvacuationStrategy& strategy);

/// What a satellite must know about its cluster.
struct ClusterReference {
  std::string name{};
  std::string client_secret_name{};  ///< "": the REST API is plain HTTP
  std::optional<CaReference> ca_reference{};
  std::optional<std::string> external_controller_url{};
};

struct LinstorSatelliteSpec {
  ClusterReference cluster_ref{};
  std::string repository{};
  std::vector<Patch> patches{};
  std::vector<StoragePool> storage_pools{};
  std::vector<LinstorNodeProperty> properties{};
  std::optional<TlsConfig> internal_tls{};
  std::vector<std::string> ip_families{};  ///< "IPv4", "IPv6"; empty: all
  DeletionPolicy deletion_policy = DeletionPolicy::kRetain;
  std::optional<EvacuationStrategy> evacuation_strategy{};
  std::string resource_name_suffix_separator = ".";  ///< "." or "-"
};

Decoded<LinstorSatelliteSpec> DecodeLinstorSatellite(const Json& object);
/// The `spec` object for server-side apply: absent blocks are left out, `internalTLS: {}` stays
/// `{}`.
Json ToJson(const LinstorSatelliteSpec& spec);

struct LinstorSatelliteStatus {
  std::vector<Condition> conditions{};
  std::optional<std::int64_t> total_capacity_bytes{};  ///< JSON name: availableCapacityBytes
  std::optional<std::int64_t> free_capacity_bytes{};
  std::optional<std::int64_t> number_of_volumes{};
  std::optional<std::int64_t> number_of_snapshots{};
  std::vector<std::string> storage_providers{};
  std::vector<std::string> device_layers{};
};

Json ToJson(const LinstorSatelliteStatus& status);

}  // namespace breakwater::api
