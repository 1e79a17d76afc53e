#pragma once

/// Validators for the four kinds: what CEL rules in the CRDs cannot say or may not see (objects
/// written while older CRDs were installed). The reconciler runs them always, a webhook may.
///
/// Rules of the Piraeus Operator v2.11's webhooks, each applied to the whole object; errors carry
/// the path of the field. All functions are pure.

#include <string>
#include <vector>

#include "operator/api/field_error.h"
#include "operator/api/linstor_cluster.h"
#include "operator/api/linstor_node_connection.h"
#include "operator/api/linstor_satellite.h"
#include "operator/api/linstor_satellite_configuration.h"

namespace breakwater::core {

struct ValidationResult {
  api::FieldErrors errors{};
  std::vector<std::string> warnings{};

  bool ok() const { return errors.empty(); }
};

/// `old_spec` is null on creation and in the reconciler.
ValidationResult ValidateCluster(const api::LinstorClusterSpec& spec,
                                 const api::LinstorClusterSpec* old_spec);
ValidationResult ValidateSatelliteConfiguration(
    const api::LinstorSatelliteConfigurationSpec& spec,
    const api::LinstorSatelliteConfigurationSpec* old_spec);
ValidationResult ValidateSatellite(const api::LinstorSatelliteSpec& spec,
                                   const api::LinstorSatelliteSpec* old_spec);
ValidationResult ValidateNodeConnection(const api::LinstorNodeConnectionSpec& spec);

}  // namespace breakwater::core
