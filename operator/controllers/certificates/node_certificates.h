#pragma once

/// NodeCertificates: what is known of each node's certificate for replication, gathered for
/// PlanTrust, and what a step of its plan writes. No requests: stores and values only.

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "operator/api/linstor_satellite.h"
#include "operator/api/replication_tls.h"
#include "operator/controllers/certificates/authority.h"
#include "operator/controllers/certificates/pem_files.h"
#include "operator/controllers/node_shell/satellite_pods.h"

namespace breakwater::controllers {

/// On every replication Secret.
inline constexpr const char* kReplicationSecretLabel = "breakwater.io/replication-tls";

/// A certificate that a node may present.
struct LeafOption {
  replication::TrustLeaf leaf{};
  api::CertificateMode source = api::CertificateMode::kInternalTls;
  std::string chain{};  ///< PEM; "" with `issuer`
  Secret<> key{};
  std::optional<crypto::Identity> issuer{};  ///< is to issue it
};

/// On a Secret that cert-manager fills: the Certificate that it is for.
inline constexpr std::string_view kIssuedFor = "cert-manager.io/certificate-name";

struct NodeCertificates {
  replication::TrustNode trust{};
  std::vector<LeafOption> options{};  ///< those of trust.options
  api::ObjectPtr satellite{};
  api::ObjectPtr secret{};  ///< the replication Secret; null: it has none
  bool mounted = false;     ///< its pod or its DaemonSet mounts the replication Secret
  /// cert-manager's Secret, whose key is copied in the mode CertManager; null: there is none.
  api::ObjectPtr issued{};
  /// The satellite's own certificate is valid as that of a client (REVIEW-2 S3).
  bool satellite_is_client = false;
  std::string problem{};                ///< why the source has nothing for it
  std::optional<SystemTime> renewal{};  ///< of the certificate that it has, if it is ours
};

/// What is looked at; borrowed.
struct CertificateInputs {
  std::string cluster{};  ///< name of the LinstorCluster
  const api::CertificateSettings& settings;
  const SatelliteStores& satellites;
  const runtime::Store& secrets;
  const runtime::Store& config_maps;
  const std::optional<Authority>& authority;
  /// The replication Secrets, by name.
  const std::map<std::string, api::ObjectPtr>& replication;
  /// What was read in the containers, by node.
  const std::map<std::string, PemFiles>& containers;
};

/// One for each node of the cluster that runs the handshake daemon, or will.
std::vector<NodeCertificates> GatherCertificates(const CertificateInputs& inputs, SystemTime now);

/// The replication Secret that `step` asks for: metadata and data for a merge patch, or for a new
/// object. Issues a certificate where that is what the option says.
Result<api::Json, Error> SecretContent(const NodeCertificates& node,
                                       const replication::TrustStep& step,
                                       std::chrono::nanoseconds life,
                                       SystemTime now);

}  // namespace breakwater::controllers
