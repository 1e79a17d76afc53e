#pragma once

/// Invariants of DESIGN 4.5 on what is about to be done: checked by the model tests after every
/// step, and by the controller before it acts. I6 is the condition's (reporter); I7 is checked by
/// the tests as a property of whole runs.

#include <optional>
#include <string>

#include "operator/core/tls_migration/actions.h"
#include "operator/core/tls_migration/observation.h"

namespace breakwater::tls_migration {

/// I2, I3, I4, I5 for operations that are about to be done in this situation.
std::optional<std::string> CheckOperations(const ResourceObservation& seen,
                                           const RunOnNodes& action);

}  // namespace breakwater::tls_migration
