#pragma once

/// Strategic merge patches, with kustomize's semantics (as the Piraeus Operator v2 uses them).
///
/// - Maps are merged, scalars replaced, a null removes its field.
/// - Lists that the Kubernetes API declares as keyed (containers by name, ports by containerPort,
/// …: see
///   merge_schema.h) are merged by key; elements of the patch come first, in their order, then the
///   others: kustomize prepends. All other lists are replaced, also those of kinds without a known
///   schema.
///   Lists with two keys (ports by number and protocol) keep their order, new elements come first.
/// - `$patch: delete` removes a map or list element, `$patch: replace` replaces it; as the only
/// field of a
///   list element it stands for the whole list.

#include <optional>
#include <string>
#include <string_view>

#include "operator/api/object.h"

namespace breakwater::core {

/// Applies `patch` to `object`, whose kind decides which lists are keyed. Nullopt: the patch
/// deletes the object.
std::optional<api::Json> StrategicMerge(const api::Json& object, const api::Json& patch);

/// The first field that is a map, a list or a scalar in the object and another of these in the
/// patch, as "spec.template"; "" = none. kustomize refuses such a patch.
std::string Misfit(const api::Json& object, const api::Json& patch);

}  // namespace breakwater::core
