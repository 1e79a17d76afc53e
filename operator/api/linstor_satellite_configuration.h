#pragma once

/// LinstorSatelliteConfiguration: settings for all nodes that it matches. Several configurations
/// that match one node are merged in the order of their names: core/satellite/merge.h.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "operator/api/linstor_satellite.h"
#include "operator/api/scheduling.h"

namespace breakwater::api {

struct LinstorSatelliteConfigurationSpec {
  std::map<std::string, std::string> node_selector{};
  std::optional<NodeSelector> node_affinity{};
  std::vector<Patch> patches{};
  Json pod_template{};  ///< null when not set
  std::vector<LinstorNodeProperty> properties{};
  std::vector<StoragePool> storage_pools{};
  std::optional<TlsConfig> internal_tls{};
  std::optional<std::vector<std::string>> ip_families{};
  std::optional<DeletionPolicy> deletion_policy{};
  std::optional<EvacuationStrategy> evacuation_strategy{};
  std::optional<std::string> resource_name_suffix_separator{};
};

Decoded<LinstorSatelliteConfigurationSpec> DecodeLinstorSatelliteConfiguration(const Json& object);

struct LinstorSatelliteConfigurationStatus {
  std::vector<Condition> conditions{};
  std::vector<std::string> applied_to{};  ///< names of the satellites, sorted

  // `matched` is the number of entries.
};

Json ToJson(const LinstorSatelliteConfigurationStatus& status);

}  // namespace breakwater::api
