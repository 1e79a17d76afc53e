#pragma once

/// Invariants of DESIGN 4.5 as functions: checked by the model tests after every step, and by the
/// controller on what it is about to do. Each returns what is violated, or nothing. Pure functions.
/// I6 is MayReportEncrypted (evidence.h); I7 is checked by the tests as a property of whole runs.

#include <chrono>
#include <optional>
#include <string>

#include "operator/core/tls_migration/actions.h"
#include "operator/core/tls_migration/observation.h"

namespace breakwater::tls_migration {

/// I1: no resource stays suspended-user longer than the timeout, whoever dies.
std::optional<std::string> CheckSuspension(std::chrono::nanoseconds suspended_for,
                                           std::chrono::nanoseconds timeout);

/// I2, I3, I4, I5 for operations that are about to be done in this situation.
std::optional<std::string> CheckOperations(const ResourceObservation& seen,
                                           const RunOnNodes& action);

/// I5 for a situation: a stale peer or blocks out of sync that the Primary does not resync.
std::optional<std::string> CheckNoStale(const ResourceObservation& seen);

}  // namespace breakwater::tls_migration
