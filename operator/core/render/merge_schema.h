#pragma once

/// The part of the Kubernetes API's schema that strategic merge needs: which lists are merged by
/// which key. Source: x-kubernetes-patch-merge-key in the OpenAPI document of Kubernetes 1.30, for
/// the kinds that the operator renders. A kind that is not here is merged as plain maps with lists
/// replaced.

#include <optional>
#include <string_view>

namespace breakwater::core {

/// A type in the schema; kPlain has no keyed lists below it.
enum class SchemaType {
  kPlain,
  kObjectMeta,
  kWorkload,  ///< Deployment, DaemonSet, StatefulSet, ReplicaSet, Job
  kWorkloadSpec,
  kPodTemplate,  ///< also Pod itself
  kPodSpec,
  kContainer,
  kService,
  kServiceSpec,
  kServiceAccount,
  kConfigMap,
  kTexts,  ///< a map of texts
  kEnv,    ///< a variable of a container
};

struct SchemaField {
  SchemaType type = SchemaType::kPlain;  ///< of the field, or of the elements of the list
  std::string_view merge_key{};          ///< "": not a keyed list
  std::string_view second_key{};         ///< elements with equal merge keys may differ in this one
  bool merged_values = false;            ///< list of scalars that is merged as a set (finalizers)
};

/// Schema of a whole object of that kind.
SchemaType SchemaOfKind(std::string_view api_version, std::string_view kind);

/// Schema of a field.
SchemaField SchemaOfField(SchemaType parent, std::string_view field);

}  // namespace breakwater::core
