#pragma once

/// How the kinds that the operator watches or writes are addressed, and the names that are part of
/// the API of the Piraeus Operator v2 and therefore kept: users and other tools look for them.

#include <string_view>

#include "operator/api/resource_info.h"

namespace breakwater::api {

inline const ResourceInfo kLinstorCluster{"piraeus.io", "v1", "LinstorCluster", "linstorclusters",
                                          false};
inline const ResourceInfo kLinstorSatelliteConfiguration{
    "piraeus.io", "v1", "LinstorSatelliteConfiguration", "linstorsatelliteconfigurations", false};
inline const ResourceInfo kLinstorSatellite{"piraeus.io", "v1", "LinstorSatellite",
                                            "linstorsatellites", false};
inline const ResourceInfo kLinstorNodeConnection{"piraeus.io", "v1", "LinstorNodeConnection",
                                                 "linstornodeconnections", false};

inline const ResourceInfo kNode{"", "v1", "Node", "nodes", false};
inline const ResourceInfo kPod{"", "v1", "Pod", "pods", true};
inline const ResourceInfo kSecret{"", "v1", "Secret", "secrets", true};
inline const ResourceInfo kPersistentVolume{"", "v1", "PersistentVolume", "persistentvolumes",
                                            false};
inline const ResourceInfo kStorageClass{"storage.k8s.io", "v1", "StorageClass", "storageclasses",
                                        false};
inline const ResourceInfo kCsiDriver{"storage.k8s.io", "v1", "CSIDriver", "csidrivers", false};
inline const ResourceInfo kCsiNode{"storage.k8s.io", "v1", "CSINode", "csinodes", false};
/// Served where snapshots of groups of volumes can be taken.
inline const ResourceInfo kVolumeGroupSnapshotClass{"groupsnapshot.storage.k8s.io", "v1beta2",
                                                    "VolumeGroupSnapshotClass",
                                                    "volumegroupsnapshotclasses", false};
inline const ResourceInfo kConfigMap{"", "v1", "ConfigMap", "configmaps", true};
inline const ResourceInfo kService{"", "v1", "Service", "services", true};
inline const ResourceInfo kServiceAccount{"", "v1", "ServiceAccount", "serviceaccounts", true};
inline const ResourceInfo kDeployment{"apps", "v1", "Deployment", "deployments", true};
inline const ResourceInfo kDaemonSet{"apps", "v1", "DaemonSet", "daemonsets", true};
inline const ResourceInfo kRole{"rbac.authorization.k8s.io", "v1", "Role", "roles", true};
inline const ResourceInfo kRoleBinding{"rbac.authorization.k8s.io", "v1", "RoleBinding",
                                       "rolebindings", true};
inline const ResourceInfo kClusterRole{"rbac.authorization.k8s.io", "v1", "ClusterRole",
                                       "clusterroles", false};
inline const ResourceInfo kClusterRoleBinding{"rbac.authorization.k8s.io", "v1",
                                              "ClusterRoleBinding", "clusterrolebindings", false};
inline const ResourceInfo kCertificate{"cert-manager.io", "v1", "Certificate", "certificates",
                                       true};
inline const ResourceInfo kTokenReview{"authentication.k8s.io", "v1", "TokenReview", "tokenreviews",
                                       false};
inline const ResourceInfo kSubjectAccessReview{"authorization.k8s.io", "v1", "SubjectAccessReview",
                                               "subjectaccessreviews", false};
inline const ResourceInfo kValidatingWebhookConfiguration{"admissionregistration.k8s.io", "v1",
                                                          "ValidatingWebhookConfiguration",
                                                          "validatingwebhookconfigurations", false};

/// Server-side apply: the Piraeus Operator's own name, so that fields which it set and which are no
/// longer wanted disappear when the operators are exchanged.
inline constexpr std::string_view kFieldManager = "piraeus.io/operator";
inline constexpr std::string_view kSatelliteFinalizer = "piraeus.io/satellite-protection";

inline constexpr std::string_view kLabelName = "app.kubernetes.io/name";
inline constexpr std::string_view kLabelInstance = "app.kubernetes.io/instance";
inline constexpr std::string_view kLabelComponent = "app.kubernetes.io/component";
inline constexpr std::string_view kLabelManagedBy = "app.kubernetes.io/managed-by";
/// The CSI driver of LINSTOR.
inline constexpr std::string_view kCsiDriverName = "linstor.csi.linbit.com";
/// On satellite pods: the uid of the LinstorSatellite.
inline constexpr std::string_view kLabelSatellite = "piraeus.io/linstor-satellite";
/// On LinstorSatellites: the names of the merged configurations.
inline constexpr std::string_view kAnnotationAppliedConfigurations =
    "piraeus.io/applied-configurations";

/// LINSTOR properties that mark what the operator wrote.
inline constexpr std::string_view kPropertyManagedBy = "Aux/piraeus.io/managed-by";
inline constexpr std::string_view kPropertyManagedByValue = "piraeus-operator";
inline constexpr std::string_view kPropertyConfiguredInterfaces =
    "Aux/piraeus.io/configured-interfaces";

/// The kind by name of those above; null when it is not one of them.
const ResourceInfo* FindResource(std::string_view group, std::string_view kind);

}  // namespace breakwater::api
