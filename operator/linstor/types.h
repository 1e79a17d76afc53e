#pragma once

/// LINSTOR's objects as far as the operator uses them. Shared secrets and keystore passwords, which
/// LINSTOR puts into its replies, are not decoded: what is not here cannot be logged.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "operator/linstor/error.h"

namespace breakwater::linstor {

using Props = std::map<std::string, std::string>;

/// The property that switches DRBD's replication to TLS: "yes" or "no".
inline constexpr std::string_view kPropertyTls = "DrbdOptions/Net/tls";

/// A change of properties. One bad key fails the whole change and nothing is applied.
struct PropsChange {
  Props override_props{};
  std::vector<std::string> delete_props{};

  bool empty() const { return override_props.empty() && delete_props.empty(); }

  bool operator==(const PropsChange&) const = default;
};

struct ControllerVersion {
  std::string version{};
  std::string git_hash{};
  std::string build_time{};
  std::string rest_api_version{};
};

struct NetInterface {
  std::string name{};
  std::string address{};
  std::optional<int> satellite_port{};      ///< absent: not used for controller to satellite
  std::string satellite_encryption_type{};  ///< "PLAIN" or "SSL"; compare without case
  bool is_active = false;                   ///< the one the controller connects to
};

struct Node {
  std::string name{};
  std::string type = "Satellite";
  std::vector<std::string> flags{};  ///< "EVACUATE", "EVICTED", "DELETE", ...
  Props props{};
  std::vector<NetInterface> net_interfaces{};
  std::string connection_status{};  ///< "ONLINE", "OFFLINE", "FULL_SYNC_FAILED", ...
  std::vector<std::string> storage_providers{};
  std::vector<std::string> resource_layers{};

  bool online() const { return connection_status == "ONLINE"; }

  bool HasFlag(std::string_view flag) const;
};

struct StoragePool {
  std::string name{};
  std::string node{};
  std::string provider_kind{};  ///< "LVM_THIN", "FILE", "DISKLESS", ...
  Props props{};
  std::optional<std::int64_t> free_kib{};  ///< absent while the node is offline
  std::optional<std::int64_t> total_kib{};
  std::vector<ApiCallRc> reports{};  ///< errors of the pool on its node
  std::string shared_space{};        ///< "" = none; LINSTOR never changes it
  bool external_locking = false;
};

/// Prepares devices (volume group, zpool, ...) and registers a pool on them.
struct PhysicalStorage {
  std::string provider_kind{};
  std::vector<std::string> device_paths{};
  std::string pool_name{};
  std::string storage_pool{};  ///< name of the pool in LINSTOR
  Props storage_pool_props{};
  std::vector<std::string> pv_create_arguments{};
  std::vector<std::string> vg_create_arguments{};
  std::vector<std::string> lv_create_arguments{};
  std::vector<std::string> zpool_create_arguments{};
  std::string shared_space{};  ///< of the pool in LINSTOR, as in StoragePool
  bool external_locking = false;
};

struct ResourceGroup {
  std::string name{};
  Props props{};
  std::int64_t place_count = 0;  ///< copies that a resource is to have; 0 = not said
};

struct ResourceDefinition {
  std::string name{};
  std::string resource_group{};
  Props props{};
  std::vector<std::string> flags{};
  /// "DRBD", "LUKS", "STORAGE", ... from the top; empty until something is placed.
  std::vector<std::string> layers{};

  /// False also while nothing is placed: then the resources tell.
  bool HasDrbd() const;
};

struct DrbdConnection {
  bool connected = false;
  std::string message{};  ///< DRBD's connection state, e.g. "StandAlone"
};

struct Volume {
  int number = 0;
  std::string storage_pool{};
  std::string provider_kind{};
  std::string device_path{};
  std::string disk_state{};  ///< "UpToDate", "Diskless", "Outdated", ...
  std::map<std::string, std::string> replication_states{};  ///< peer node -> "Established", ...
  Props props{};
  std::vector<std::string> flags{};
  std::int64_t allocated_kib = 0;
};

/// A replica (or diskless client, or tie breaker) of a resource on one node.
struct Resource {
  std::string name{};
  std::string node{};
  std::vector<std::string> flags{};  ///< "DISKLESS", "DRBD_DISKLESS", "TIE_BREAKER", "DELETE", ...
  Props props{};
  std::optional<bool> in_use{};  ///< opened on that node; absent when unknown
  bool has_drbd = false;
  int drbd_node_id = -1;
  std::vector<int> tcp_ports{};
  std::map<std::string, DrbdConnection> connections{};  ///< by peer node
  std::vector<Volume> volumes{};

  bool HasFlag(std::string_view flag) const;

  bool diskless() const { return HasFlag("DISKLESS") || HasFlag("DRBD_DISKLESS"); }
};

/// Properties of a pair of nodes, of one resource (resource connection) or of all (node
/// connection). LINSTOR answers with the pair in the order in which it was first set.
struct Connection {
  std::string node_a{};
  std::string node_b{};
  Props props{};

  bool IsBetween(std::string_view a, std::string_view b) const {
    return (node_a == a && node_b == b) || (node_a == b && node_b == a);
  }
};

struct Snapshot {
  std::string name{};
  std::string resource{};
  std::vector<std::string> nodes{};
};

}  // namespace breakwater::linstor
