#include "operator/controllers/satellite_configuration/configuration_reconciler.h"

#include <algorithm>

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
  for (const api::ObjectPtr& satellite : deps_.satellites.List()) {
    const std::vector<std::string> applied = core::AppliedConfigurations(*satellite);
    if (std::find(applied.begin(), applied.end(), key.name) != applied.end()) {
      status.applied_to.push_back(satellite->name());
    }
  }
  const std::vector<std::string_view> types{api::kConditionApplied};
  core::ConditionSet conditions(types);
  if (errors.empty()) {
    conditions.AddSuccess(api::kConditionApplied, "Resources applied");
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
