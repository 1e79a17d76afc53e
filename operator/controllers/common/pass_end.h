#pragma once

/// EndPass: what a reconcile of a LinstorCluster or LinstorSatellite returns after its status was
/// written.
///
/// The two halves of a pass share one key of the queue. An error of the Kubernetes half that went
/// to the queue would be tried again after minutes, and so long nobody would look at LINSTOR. It is
/// in the condition Applied; the next pass comes as always.

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "operator/base/context.h"
#include "operator/base/error.h"
#include "operator/base/log.h"
#include "operator/base/result.h"
#include "operator/controllers/common/apply_objects.h"
#include "operator/core/status/conditions.h"
#include "operator/runtime/controller.h"

namespace breakwater::controllers {

/// For the calls to LINSTOR of a pass: ends early enough to write the status after a LINSTOR that
/// hangs.
Context LinstorContext(const Context& ctx);

struct PassResult {
  std::optional<Error> apply_error{};
  Result<void, Error> status_written{};
  bool settled = false;  ///< nothing is left to do, as far as LINSTOR could be asked
  std::chrono::milliseconds requeue_interval{};
  std::chrono::milliseconds retry_interval{};
};

/// An error only for what the queue tries again sooner than the next pass would come (kConflict,
/// kThrottled), for kCanceled, and when the status could not be written: then one that the queue
/// tries again with its backoff, also when a person must act first. Pure.
Result<runtime::Requeue, Error> EndPass(const PassResult& result);

/// The condition Applied from what became of the objects. `complete`: nothing was left out before.
void AddApplied(const ApplyReport& report, core::ConditionSet& conditions, bool complete = true);

/// Notes in the condition Applied what is no error: patches that match nothing, and the like.
void AddWarnings(const std::vector<std::string>& warnings, core::ConditionSet& conditions);

/// The condition Applied of an owner whose pods wait for MissingMounts().
void ReportMissingMounts(const std::vector<std::string>& missing, core::ConditionSet& conditions);

/// Logs the error of an apply unless the status of `owner` shows it already: a failure that lasts
/// is one line, not one per pass.
void LogNewFailure(const Logger& log, const api::Object& owner, const ApplyReport& report);

}  // namespace breakwater::controllers
