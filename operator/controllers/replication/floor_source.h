#pragma once

/// FloorSource: what Kubernetes' API server says about the encryption of each volume (floor.h):
/// the LinstorCluster, the StorageClasses of our provisioner, and the PersistentVolumes, which tie
/// a volume to its claim and its class. The names that LINSTOR keeps of claims do not count here:
/// whoever reaches its REST API can write them.

#include "operator/controllers/replication/cluster_settings.h"
#include "operator/core/replication/plan/floor.h"
#include "operator/runtime/store.h"

namespace breakwater::controllers {

/// The CSI driver's name, in StorageClasses and PersistentVolumes (facts CSI K6, K7).
inline constexpr std::string_view kProvisioner = "linstor.csi.linbit.com";

/// Borrows the stores. Thread safety: as the stores.
struct FloorSource {
  const runtime::Store& volumes;  ///< PersistentVolumes
  const runtime::Store& classes;  ///< StorageClasses

  replication::FloorRules Read(const ClusterSettings& settings) const;
};

}  // namespace breakwater::controllers
