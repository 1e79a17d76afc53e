#include "operator/core/render/merge_schema.h"

#include <array>

namespace breakwater::core {
namespace {

struct Row {
  SchemaType parent;
  std::string_view field;
  SchemaField schema;
};

constexpr std::array kRows{
    Row{SchemaType::kWorkload, "metadata", {SchemaType::kObjectMeta}},
    Row{SchemaType::kWorkload, "spec", {SchemaType::kWorkloadSpec}},
    Row{SchemaType::kWorkloadSpec, "template", {SchemaType::kPodTemplate}},
    Row{SchemaType::kPodTemplate, "metadata", {SchemaType::kObjectMeta}},
    Row{SchemaType::kPodTemplate, "spec", {SchemaType::kPodSpec}},
    Row{SchemaType::kObjectMeta, "ownerReferences", {SchemaType::kPlain, "uid"}},
    Row{SchemaType::kObjectMeta, "finalizers", {SchemaType::kPlain, "", "", true}},
    Row{SchemaType::kPodSpec, "containers", {SchemaType::kContainer, "name"}},
    Row{SchemaType::kPodSpec, "initContainers", {SchemaType::kContainer, "name"}},
    Row{SchemaType::kPodSpec, "ephemeralContainers", {SchemaType::kContainer, "name"}},
    Row{SchemaType::kPodSpec, "volumes", {SchemaType::kPlain, "name"}},
    Row{SchemaType::kPodSpec, "imagePullSecrets", {SchemaType::kPlain, "name"}},
    Row{SchemaType::kPodSpec, "hostAliases", {SchemaType::kPlain, "ip"}},
    Row{SchemaType::kPodSpec, "resourceClaims", {SchemaType::kPlain, "name"}},
    Row{SchemaType::kPodSpec,
        "topologySpreadConstraints",
        {SchemaType::kPlain, "topologyKey", "whenUnsatisfiable"}},
    Row{SchemaType::kContainer, "env", {SchemaType::kEnv, "name"}},
    Row{SchemaType::kContainer, "ports", {SchemaType::kPlain, "containerPort", "protocol"}},
    Row{SchemaType::kContainer, "volumeMounts", {SchemaType::kPlain, "mountPath"}},
    Row{SchemaType::kContainer, "volumeDevices", {SchemaType::kPlain, "devicePath"}},
    Row{SchemaType::kService, "metadata", {SchemaType::kObjectMeta}},
    Row{SchemaType::kService, "spec", {SchemaType::kServiceSpec}},
    Row{SchemaType::kServiceSpec, "ports", {SchemaType::kPlain, "port", "protocol"}},
    Row{SchemaType::kConfigMap, "metadata", {SchemaType::kObjectMeta}},
    Row{SchemaType::kConfigMap, "data", {SchemaType::kTexts}},
    Row{SchemaType::kServiceAccount, "metadata", {SchemaType::kObjectMeta}},
    Row{SchemaType::kServiceAccount, "secrets", {SchemaType::kPlain, "name"}},
};

}  // namespace

SchemaType SchemaOfKind(std::string_view api_version, std::string_view kind) {
  if (api_version == "v1") {
    return kind == "Pod"              ? SchemaType::kPodTemplate
           : kind == "Service"        ? SchemaType::kService
           : kind == "ConfigMap"      ? SchemaType::kConfigMap
           : kind == "ServiceAccount" ? SchemaType::kServiceAccount
                                      : SchemaType::kPlain;
  }
  const bool workload = (api_version == "apps/v1" && kind != "ControllerRevision") ||
                        (api_version == "batch/v1" && kind == "Job");
  return workload ? SchemaType::kWorkload : SchemaType::kPlain;
}

SchemaField SchemaOfField(SchemaType parent, std::string_view field) {
  for (const Row& row : kRows) {
    if (row.parent == parent && row.field == field) {
      return row.schema;
    }
  }
  return {};
}

}  // namespace breakwater::core
