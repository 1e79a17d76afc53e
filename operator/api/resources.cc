#include "operator/api/resources.h"

#include <array>

namespace breakwater::api {

const ResourceInfo* FindResource(std::string_view group, std::string_view kind) {
  static const std::array<const ResourceInfo*, 19> kAll{&kLinstorCluster,
                                                        &kLinstorSatelliteConfiguration,
                                                        &kLinstorSatellite,
                                                        &kLinstorNodeConnection,
                                                        &kNode,
                                                        &kPod,
                                                        &kSecret,
                                                        &kConfigMap,
                                                        &kService,
                                                        &kServiceAccount,
                                                        &kDeployment,
                                                        &kDaemonSet,
                                                        &kRole,
                                                        &kRoleBinding,
                                                        &kClusterRole,
                                                        &kClusterRoleBinding,
                                                        &kCertificate,
                                                        &kCsiDriver,
                                                        &kCsiNode};
  for (const ResourceInfo* info : kAll) {
    if (info->group == group && info->kind == kind) {
      return info;
    }
  }
  return nullptr;
}

}  // namespace breakwater::api
