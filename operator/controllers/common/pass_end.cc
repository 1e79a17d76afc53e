#include "operator/controllers/common/pass_end.h"

#include "operator/controllers/common/status_tools.h"

namespace breakwater::controllers {

Context LinstorContext(const Context& ctx) {
  // Time for one write to an API server that is slow itself.
  constexpr std::chrono::seconds kReserve{15};
  return ctx.deadline() ? ctx.WithDeadline(*ctx.deadline() - kReserve) : ctx;
}

Result<runtime::Requeue, Error> EndPass(const PassResult& result) {
  if (!result.status_written) {
    Error error = result.status_written.error();
    if (error.error_class == ErrorClass::kInvalid || error.error_class == ErrorClass::kForbidden ||
        error.error_class == ErrorClass::kTerminal) {
      error.error_class = ErrorClass::kTransient;  // LINSTOR must be looked at nevertheless
    }
    return Unexpected{std::move(error)};
  }
  if (!result.apply_error) {
    return runtime::Requeue{result.settled ? result.requeue_interval : result.retry_interval};
  }
  switch (result.apply_error->error_class) {
    case ErrorClass::kConflict:
    case ErrorClass::kThrottled:
    case ErrorClass::kCanceled:
      return Unexpected{*result.apply_error};
    case ErrorClass::kInvalid:
    case ErrorClass::kForbidden:
    case ErrorClass::kTerminal:
      // A person must act first, and most of what he does triggers a pass.
      return runtime::Requeue{result.settled ? result.requeue_interval : result.retry_interval};
    case ErrorClass::kTransient:
    case ErrorClass::kNotFound:
      break;
  }
  return runtime::Requeue{result.retry_interval};
}

void AddApplied(const ApplyReport& report, core::ConditionSet& conditions, bool complete) {
  if (!report.pending.empty()) {
    conditions.AddPending(api::kConditionApplied, JoinBounded(report.pending), "Waiting");
  }
  if (!report.ok()) {
    conditions.AddError(api::kConditionApplied,
                        report.errors.empty() ? report.error->message : JoinBounded(report.errors));
  } else if (complete && report.pending.empty()) {
    conditions.AddSuccess(api::kConditionApplied, "Resources applied");
  }
}

void AddWarnings(const std::vector<std::string>& warnings, core::ConditionSet& conditions) {
  if (!warnings.empty()) {
    conditions.AddSuccess(api::kConditionApplied, "Warning: " + JoinBounded(warnings));
  }
}

void ReportMissingMounts(const std::vector<std::string>& missing, core::ConditionSet& conditions) {
  conditions.AddPending(api::kConditionApplied,
                        "Pods do not start without what is missing: " + JoinBounded(missing),
                        "MissingSecret");
}

void LogNewFailure(const Logger& log, const api::Object& owner, const ApplyReport& report) {
  if (report.errors.empty()) {
    return;
  }
  const std::vector<api::Condition> conditions = api::ConditionsFromJson(owner.raw());
  const api::Condition* shown = api::FindCondition(conditions, api::kConditionApplied);
  for (const std::string& error : report.errors) {
    if (shown == nullptr || shown->message.find(error) == std::string::npos) {
      log.Warn("apply failed", {{"name", owner.name()}, {"error", JoinBounded(report.errors)}});
      return;
    }
  }
}

}  // namespace breakwater::controllers
