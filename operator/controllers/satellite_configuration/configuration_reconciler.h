#pragma once

/// ConfigurationReconciler: the status of a LinstorSatelliteConfiguration, i.e. which satellites
/// have it. Its content is applied by the controllers of LinstorCluster and LinstorSatellite.

#include "operator/controllers/common/patch_alarm.h"
#include "operator/runtime/apply.h"
#include "operator/runtime/controller.h"
#include "operator/runtime/store.h"

namespace breakwater::controllers {

/// Everything is borrowed and outlives the reconciler.
struct ConfigurationReconcilerDeps {
  const runtime::Store& configurations;
  const runtime::Store& satellites;
  const runtime::Applier& applier;
  EventSink events{};
};

/// Thread safety: see runtime::Reconciler.
class ConfigurationReconciler final : public runtime::Reconciler {
 public:
  explicit ConfigurationReconciler(ConfigurationReconcilerDeps deps)
      : deps_(std::move(deps)), alarm_(deps_.events) {}

  Result<runtime::Requeue, Error> Reconcile(const Context& ctx, const api::ObjectKey& key) override;

 private:
  /// What another configuration takes from this one on its satellites, a line each.
  std::vector<std::string> OverriddenHere(const std::string& name,
                                          const std::vector<api::ObjectPtr>& satellites) const;

  const ConfigurationReconcilerDeps deps_;
  PatchAlarm alarm_;
};

}  // namespace breakwater::controllers
