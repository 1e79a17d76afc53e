#pragma once

/// OperatorStores: the kinds that the operator watches.

#include <string>

#include "operator/controllers/common/object_stores.h"
#include "operator/runtime/manager.h"

namespace breakwater::cmd {

/// References into the manager.
struct OperatorStores {
  runtime::Store& clusters;
  runtime::Store& configurations;
  runtime::Store& satellites;
  runtime::Store& connections;
  runtime::Store& nodes;
  runtime::Store& pods;
  runtime::Store& config_maps;
  runtime::Store& secrets;
  runtime::Store& services;
  runtime::Store& daemon_sets;
  runtime::Store& csi_nodes;
  runtime::Store& volumes;             ///< PersistentVolumes
  runtime::Store* webhooks = nullptr;  ///< null: their certificate is not ours to keep
  /// Kinds that are only written and pruned: accounts, rights, Deployments, Certificates.
  std::vector<runtime::Store*> others{};
  /// Everything that may be applied.
  controllers::ObjectStores written{};
};

/// Adds the stores to the manager. Namespaced kinds are watched in `ns` only, cluster roles only
/// with our label: a large cluster has thousands of others. `certificates`: cert-manager is
/// installed. `webhooks`: the webhook's certificate is the operator's to keep.
OperatorStores AddStores(runtime::Manager& manager,
                         const std::string& ns,
                         bool certificates,
                         bool webhooks);

}  // namespace breakwater::cmd
