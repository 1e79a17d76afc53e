#pragma once

/// Validators for the four kinds: what CEL rules in the CRDs cannot say or may not see (objects
/// written while older CRDs were installed). The reconciler runs them always.
///
/// Rules of the Piraeus Operator v2.11's webhooks; errors carry the path of the field. What may not
/// change is said by the CRDs, which see the object before the change. All functions are pure.

#include "operator/api/field_error.h"
#include "operator/api/linstor_cluster.h"
#include "operator/api/linstor_node_connection.h"
#include "operator/api/linstor_satellite.h"
#include "operator/api/linstor_satellite_configuration.h"

namespace breakwater::core {

/// All that is wrong with an object: what could not be read, and what is not valid, except inside
/// of what could not be read, where a validator sees a default in place of what the user wrote.
/// At most as many as api/error_limit.h says.
api::FieldErrors AllErrors(api::FieldErrors unreadable, const api::FieldErrors& invalid);

api::FieldErrors ValidateCluster(const api::LinstorClusterSpec& spec);
api::FieldErrors ValidateSatelliteConfiguration(const api::LinstorSatelliteConfigurationSpec& spec);
api::FieldErrors ValidateSatellite(const api::LinstorSatelliteSpec& spec);
api::FieldErrors ValidateNodeConnection(const api::LinstorNodeConnectionSpec& spec);

}  // namespace breakwater::core
