#pragma once

/// LinstorCluster: the storage cluster as a whole. Fields and defaults are those of the Piraeus
/// Operator v2.11, plus replicationTLS.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "operator/api/condition.h"
#include "operator/api/patch.h"
#include "operator/api/property.h"
#include "operator/api/replication_tls.h"
#include "operator/api/scheduling.h"
#include "operator/api/tls_config.h"

namespace breakwater::api {

struct ComponentSpec {  // NOLINT(bugprone-exception-escape): the move of nlohmann::json is noexcept
  bool enabled = true;
  Json pod_template{};  ///< null when not set; else merged into the workload's pod template
  std::optional<std::int64_t> replicas{};  ///< Deployments of the CSI and affinity controllers only
};

/// HTTPS for LINSTOR's REST API; secret names have the defaults of the Piraeus Operator filled in.
struct ApiTls {
  std::string api_secret_name = "linstor-api-tls";
  std::string client_secret_name = "linstor-client-tls";
  std::string csi_controller_secret_name = "linstor-csi-controller-tls";
  std::string csi_node_secret_name = "linstor-csi-node-tls";
  std::string affinity_controller_secret_name = "linstor-affinity-controller-tls";
  std::string nfs_server_secret_name = "linstor-csi-nfs-server-tls";
  std::optional<IssuerReference> cert_manager{};
  std::optional<CaReference> ca_reference{};
};

struct LinstorClusterSpec {
  std::string repository{};  ///< prefix of every image; "": that of each image document
  std::optional<std::string>
      external_controller_url{};  ///< one URL, or several separated by commas
  std::map<std::string, std::string> node_selector{};
  std::optional<NodeSelector> node_affinity{};
  std::vector<Toleration> tolerations{};
  Json raw_tolerations{};  ///< as written (null when absent), to be put into pod specs unchanged
  std::vector<Property> properties{};
  std::vector<Patch> patches{};
  std::string linstor_passphrase_secret{};
  std::optional<TlsConfig> internal_tls{};
  std::optional<ApiTls> api_tls{};
  ComponentSpec controller{};
  ComponentSpec csi_controller{};
  ComponentSpec csi_node{};
  ComponentSpec high_availability_controller{};
  ComponentSpec affinity_controller{};
  ComponentSpec nfs_server{};
  std::int64_t max_concurrent_evacuations = 0;  ///< 0: no limit
  ReplicationTlsSpec replication_tls{};
};

/// Reads the whole object (metadata is not touched); errors have paths from "spec".
Decoded<LinstorClusterSpec> DecodeLinstorCluster(const Json& object);

struct LinstorClusterStatus {
  std::vector<Condition> conditions{};
  std::string version{};  ///< of LINSTOR
  std::optional<std::int64_t> scheduled_satellites{};
  std::optional<std::int64_t> running_satellites{};
  std::optional<std::int64_t> number_of_volumes{};
  std::optional<std::int64_t> number_of_snapshots{};
  std::optional<std::int64_t> total_capacity_bytes{};  ///< JSON name: availableCapacityBytes
  std::optional<std::int64_t> free_capacity_bytes{};
  std::optional<ReplicationTlsStatus> replication_tls{};
};

/// The `status` object. `satellites` ("2/3") and `capacity` ("1/10GiB") are derived, absent numbers
/// are left out.
Json ToJson(const LinstorClusterStatus& status);

/// Text of the capacity column, "<used>/<total>GiB"; "" when unknown. Rounding and text are those
/// of the Piraeus Operator v2.11, because dashboards parse them: units of 10^9 bytes, rounded up.
std::string FormatCapacity(std::optional<std::int64_t> total, std::optional<std::int64_t> free);

}  // namespace breakwater::api
