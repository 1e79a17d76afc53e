#pragma once

/// RenderCluster and RenderSatellite: the Kubernetes objects that the custom resources ask for.
///
/// Pure functions: same inputs, same objects, in the same order. Rendering works as kustomize does
/// for the Piraeus Operator v2.11, because users patch the result: built-in manifests, then
/// built-in patches, then the users' patches, then namespace, names, labels, images. Names of
/// objects, containers and volumes are therefore API.
///
/// A part that cannot be rendered (a bad patch, mostly) is reported as a problem and left out; the
/// other parts are rendered. The caller must not prune while there are problems: what is missing
/// may be wanted.

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "operator/api/linstor_cluster.h"
#include "operator/api/linstor_satellite.h"
#include "operator/api/linstor_satellite_configuration.h"
#include "operator/api/object.h"
#include "operator/core/render/image_config.h"

namespace breakwater::core {

/// Why a part is missing from the result.
struct RenderProblem {
  /// "linstor-controller", "linstor-csi-node" …; "patches" for one that is of no component.
  std::string component{};
  std::string node{};     ///< for parts of one node
  std::string message{};  ///< for a person: what is wrong, and where

  std::string ToString() const {
    return component + (node.empty() ? "" : " on node " + node) + ": " + message;
  }
};

/// A LinstorSatelliteConfiguration with its name.
struct NamedConfiguration {
  std::string name{};
  api::LinstorSatelliteConfigurationSpec spec{};
  /// What cannot be read or is invalid. A configuration with errors is not used, and the
  /// LinstorSatellites that it concerns are not rendered: without it they would lose its pools.
  /// With errors in its patches and podTemplate only, those are held back, and the rest is used.
  api::FieldErrors errors{};
};

struct ClusterInputs {
  std::string name{};  ///< of the LinstorCluster
  api::LinstorClusterSpec spec{};
  std::string ns{};                     ///< of the operator: all namespaced objects go there
  std::vector<api::ObjectPtr> nodes{};  ///< all nodes; the function picks the matching ones
  /// Errors of `spec`. While the choice of nodes or the controller's address is among them, no
  /// LinstorSatellite is rendered.
  api::FieldErrors errors{};
  std::vector<NamedConfiguration> configurations{};  ///< in any order
  std::vector<api::ObjectPtr> satellites{};          ///< the LinstorSatellites that exist
  ImageConfig images{};
  std::string pull_secret{};  ///< "": none
  /// Host names of the LINSTOR controller's pods, in any order: each may use its own backup
  /// Secrets.
  std::vector<std::string> controller_hosts{};
  /// Whether the cluster has snapshots of groups of volumes.
  bool volume_group_snapshots = false;
};

struct ClusterRendering {
  /// In the order of application: accounts and rights first, LinstorSatellites last.
  std::vector<api::Json> objects{};
  std::vector<RenderProblem> problems{};
  /// Errors although nothing is missing in `objects`: patches that are held back.
  std::vector<std::string> held_back{};
  /// What changes nothing and may be a mistake: patches that match nothing, image overrides without
  /// an image, settings that another configuration overrides.
  std::vector<std::string> warnings{};
};

/// The objects of a LinstorCluster, without owner references (core/status/ownership.h).
ClusterRendering RenderCluster(const ClusterInputs& inputs);

/// Whether an object of `kind` that a LinstorCluster owns, and that was not rendered, is to be
/// deleted. Kept are those of components with a problem, which may be wanted, those of no component
/// of ours, and the CSIDriver while a part of the CSI driver is wanted.
bool MayPrune(const std::string& kind,
              const api::Object& object,
              const api::LinstorClusterSpec& spec,
              const std::vector<RenderProblem>& problems);

/// Whose certificate tlshd presents, where it is not that of the satellite's internalTLS.
struct ReplicationCertificate {
  /// ktls-utils mounts ReplicationTlsSecretName() instead of the satellite's Secret.
  bool mounted = false;
  /// tlshd presents another certificate than the satellite: the satellite's may be a server's only.
  bool separate = false;
  /// A Certificate of cert-manager is wanted, of this issuer.
  std::optional<api::IssuerReference> issuer{};
  std::chrono::nanoseconds duration{};  ///< of that Certificate
};

struct SatelliteInputs {
  std::string name{};  ///< of the LinstorSatellite and its node
  std::string uid{};   ///< of the LinstorSatellite
  api::LinstorSatelliteSpec spec{};
  api::ObjectPtr node{};  ///< for the choice of the module loader image; may be null
  std::string ns{};
  ImageConfig images{};
  /// Version of an external LINSTOR controller: the satellite's image tag follows it (""
  /// otherwise).
  std::string external_controller_version{};
  /// Names of all nodes: a patch does not give this satellite the key of another.
  std::vector<std::string> node_names{};
  ReplicationCertificate replication{};
  /// The handshake daemon stays although the spec does not ask for it (any more). It mounts this
  /// where the spec has no internalTLS.
  std::optional<api::TlsConfig> kept_daemon{};
};

struct SatelliteRendering {
  std::vector<api::Json>
      objects{};  ///< ConfigMaps, Certificate, DaemonSet; empty when there is a problem
  std::vector<RenderProblem> problems{};
  std::vector<std::string> warnings{};  ///< patches that match nothing
};

/// The objects of one LinstorSatellite, without owner references.
SatelliteRendering RenderSatellite(const SatelliteInputs& inputs);

/// Names of the objects of a satellite: "linstor-satellite.<node>" with the separator of its spec.
std::string SatelliteDaemonSetName(const std::string& node, const api::LinstorSatelliteSpec& spec);
/// Secret with key, certificate and authority of a satellite: internalTLS.secretName, by default
/// "<node>-tls".
std::string SatelliteTlsSecretName(const std::string& node, const api::LinstorSatelliteSpec& spec);
/// Secret with what tlshd presents and trusts, in every mode but InternalTLS: the operator keeps
/// it.
std::string ReplicationTlsSecretName(const std::string& node);
/// Secret that cert-manager fills for it in mode CertManager.
std::string IssuedReplicationSecretName(const std::string& node);
/// The volume of a satellite pod that shows ReplicationTlsSecretName().
inline constexpr std::string_view kReplicationTlsVolume = "replication-tls";

}  // namespace breakwater::core
