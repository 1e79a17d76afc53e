#pragma once

/// OperatorControllers: the reconcilers and what triggers them.

#include <memory>

#include "operator/cmd/options.h"
#include "operator/cmd/stores.h"
#include "operator/controllers/cluster/cluster_reconciler.h"
#include "operator/controllers/linstor_connection/linstor_snapshot.h"
#include "operator/controllers/node_connection/node_connection_reconciler.h"
#include "operator/controllers/satellite/satellite_reconciler.h"
#include "operator/controllers/satellite_configuration/configuration_reconciler.h"
#include "operator/controllers/webhook_certificate/webhook_certificate_reconciler.h"
#include "operator/runtime/manager.h"

namespace breakwater::cmd {

/// Must outlive the manager's controllers, i.e. be made before the manager is destroyed and
/// destroyed after it.
struct OperatorControllers {
  controllers::SatelliteUseBoard use{};
  std::unique_ptr<controllers::LinstorSnapshots> snapshots{};
  std::unique_ptr<controllers::ClusterReconciler> cluster{};
  std::unique_ptr<controllers::SatelliteReconciler> satellite{};
  std::unique_ptr<controllers::ConfigurationReconciler> configuration{};
  std::unique_ptr<controllers::NodeConnectionReconciler> node_connection{};
  std::unique_ptr<controllers::WebhookCertificateReconciler> webhook_certificate{};
  Logger log{};
  /// Set before AddControllers: the cluster has snapshots of groups of volumes.
  bool volume_group_snapshots = false;
};

/// Fills `into` and adds the controllers to the manager. Everything is borrowed.
void AddControllers(OperatorControllers& into,
                    runtime::Manager& manager,
                    OperatorStores& stores,
                    const controllers::Writers& writers,
                    const controllers::ImageSource& images,
                    controllers::LinstorProvider& linstor,
                    const controllers::EventSink& events,
                    const Options& options,
                    const Logger& log);

}  // namespace breakwater::cmd
