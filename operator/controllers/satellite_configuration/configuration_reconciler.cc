#include "operator/controllers/satellite_configuration/configuration_reconciler.h"

#include <algorithm>
#include <set>

#include "operator/api/linstor_satellite_configuration.h"
#include "operator/api/resources.h"
#include "operator/base/rfc3339.h"
#include "operator/controllers/common/own_status.h"
#include "operator/controllers/common/status_tools.h"
#include "operator/core/admission/validate.h"
#include "operator/core/render/patch_guard.h"
#include "operator/core/satellite/merge.h"
#include "operator/core/status/conditions.h"

namespace breakwater::controllers {
namespace {

/// The blocks of internalTLS that are merged for a satellite.
core::TlsMerge MergeFor(const api::Object& satellite, const runtime::Store& configurations) {
  core::TlsMerge merge;
  for (const std::string& name : core::AppliedConfigurations(satellite)) {
    const api::ObjectPtr object = configurations.Get({"", name});
    const auto tls =
        object ? api::DecodeLinstorSatelliteConfiguration(object->raw()).value.internal_tls
               : std::nullopt;
    if (tls) {
      merge.Add(name, *tls);
    }
  }
  return merge;
}

/// A configuration that has the block of the daemon and not the daemon, and is on such satellites,
/// may be the one that took it away.
void ReportKeptDaemons(const api::LinstorSatelliteConfigurationSpec& spec,
                       const std::vector<api::ObjectPtr>& satellites,
                       core::ConditionSet& conditions) {
  const std::vector<std::string> kept =
      WithReason(satellites, api::kConditionApplied, api::kReasonHandshakeDaemonKept);
  if (kept.empty() || (spec.internal_tls && spec.internal_tls->tls_handshake_daemon)) {
    return;
  }
  conditions.AddPending(
      api::kConditionApplied,
      "The handshake daemon stays on " + JoinBounded(kept) +
          ", because volumes are replicated with TLS: see the condition Applied of these "
          "LinstorSatellites",
      api::kReasonHandshakeDaemonKept);
}

}  // namespace

std::vector<std::string> ConfigurationReconciler::OverriddenHere(
    const std::string& name, const std::vector<api::ObjectPtr>& satellites) const {
  std::set<std::string> lines;
  for (const api::ObjectPtr& satellite : satellites) {
    const core::TlsMerge merge = MergeFor(*satellite, deps_.configurations);
    for (const auto& overridden : merge.overridden()) {
      if (overridden.loser == name) {
        lines.insert(overridden.ToString());
      }
    }
  }
  return {lines.begin(), lines.end()};
}

Result<runtime::Requeue, Error> ConfigurationReconciler::Reconcile(const Context& ctx,
                                                                   const api::ObjectKey& key) {
  const api::ObjectPtr object = deps_.configurations.Get(key);
  if (!object || object->deleting()) {
    return runtime::Requeue{};
  }
  const api::Decoded<api::LinstorSatelliteConfigurationSpec> decoded =
      api::DecodeLinstorSatelliteConfiguration(object->raw());
  const api::FieldErrors errors =
      core::AllErrors(decoded.errors, core::ValidateSatelliteConfiguration(decoded.value));

  alarm_.Announce(*object, core::DangerousPatches(decoded.value.patches, decoded.value.pod_template,
                                                  "spec.podTemplate"));

  api::LinstorSatelliteConfigurationStatus status;
  std::vector<api::ObjectPtr> satellites;
  for (const api::ObjectPtr& satellite : deps_.satellites.List()) {
    const std::vector<std::string> applied = core::AppliedConfigurations(*satellite);
    if (std::find(applied.begin(), applied.end(), key.name) != applied.end()) {
      status.applied_to.push_back(satellite->name());
      satellites.push_back(satellite);
    }
  }
  const std::vector<std::string_view> types{api::kConditionApplied};
  core::ConditionSet conditions(types);
  if (errors.empty()) {
    conditions.AddSuccess(api::kConditionApplied, "Resources applied");
    for (const std::string& line : OverriddenHere(key.name, satellites)) {
      conditions.AddSuccess(api::kConditionApplied, "Warning: " + line);
    }
    ReportKeptDaemons(decoded.value, satellites, conditions);
  } else {
    conditions.AddError(api::kConditionApplied, api::JoinErrors(errors));
  }
  status.conditions = conditions.Build(ConditionsOf(*object, types), object->generation(),
                                       FormatRfc3339(ctx.clock().SystemNow()));
  BREAKWATER_RETURN_IF_ERROR(ApplyOwnStatus(ctx, deps_.applier, deps_.configurations, *object,
                                            api::ToJson(status), {.conditions = types}));
  return runtime::Requeue{};
}

}  // namespace breakwater::controllers
