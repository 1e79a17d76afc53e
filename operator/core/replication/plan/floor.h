#pragma once

/// Floor: the least encryption of a volume, as Kubernetes' API server says it. LINSTOR's REST API
/// is open to whoever reaches it; what stands only there may ask for more, never for less. Pure.
///
/// The word for a volume is, in this order: an exemption by name on the LinstorCluster (no floor,
/// and the volume is wanted in plaintext unless LINSTOR asks for TLS), the parameter of its
/// StorageClass, the LinstorCluster's own property.

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "operator/core/replication/plan/properties.h"
#include "operator/core/replication/volume/observation.h"

namespace breakwater::replication {

/// One entry of spec.replicationTLS.exemptions; one of the first three is set.
struct Exemption {
  std::string resource{};
  std::string claim{};  ///< "namespace/name"
  std::string storage_class{};
  std::string reason{};

  bool operator==(const Exemption&) const = default;
};

/// "resource r1 (reason)", for people.
std::string Describe(const Exemption& exemption);

/// What a PersistentVolume says of the volume behind it.
struct VolumeOrigin {
  std::string claim{};  ///< "namespace/name", "" = none
  std::string storage_class{};

  bool operator==(const VolumeOrigin&) const = default;
};

struct FloorRules {
  /// spec.replicationTLS.minimum is Cluster; false (None): LINSTOR's own order decides alone.
  bool enabled = true;
  std::optional<bool> cluster{};  ///< the property on the LinstorCluster, not LINSTOR's
  std::vector<Exemption> exemptions{};
  std::map<std::string, bool> classes{};          ///< StorageClasses that say yes or no themselves
  std::map<std::string, VolumeOrigin> origins{};  ///< by resource
  /// Resource groups that a StorageClass names (parameter resourceGroup) and asks TLS for.
  std::set<std::string> tls_groups{};

  bool operator==(const FloorRules&) const = default;
};

struct VolumeFloor {
  bool tls = false;  ///< plaintext below it does not count
  /// Takes the place of the cluster's value for this volume.
  std::optional<bool> cluster{};
  /// Why this volume may be in plaintext although the cluster asks for TLS; "" = it may not.
  std::string exempt{};

  bool operator==(const VolumeFloor&) const = default;
};

/// `cluster`: the cluster-wide value that counts (ClusterValue of cluster_plan.h).
VolumeFloor FloorOf(const FloorRules& rules,
                    const std::string& resource,
                    std::optional<bool> cluster);

/// See ResourceLevels::group_coming. `group`: the volume's resource group.
bool GroupComing(const FloorRules& rules, const std::string& resource, const std::string& group);

/// The levels of LINSTOR that ask for less than the floor, as people call them: "resource
/// definition", "connection a/b", "resource group", "node connection a/b". Values of ours are not
/// among them.
std::vector<std::string> BelowFloor(const ResourceLevels& levels);

/// Whether each Primary keeps its quorum and another up-to-date copy without the connections that
/// are down: then they may stay down for the sake of encryption.
bool CanStayCut(const ResourceObservation& seen);

/// Whether a volume with a floor of TLS has been encrypted, as the kernels show it and not LINSTOR,
/// and can wait for its encryption: every connection has TLS on one end at least, and CanStayCut.
/// Then a connection is not brought back in plaintext because LINSTOR has a "no" of ours: whoever
/// writes the value can write our marker beside it.
bool WaitsForTls(const ResourceObservation& seen);

/// Whether plaintext may be refused even as the way back from a failed repair
/// (spec.replicationTLS.enforce): the floor is TLS, the volume has been encrypted, and each Primary
/// keeps its quorum and another up-to-date copy without the connections that are down. A volume
/// that would lose either is not kept cut for the sake of encryption.
bool HoldsFloor(const ResourceObservation& seen);

}  // namespace breakwater::replication
