#pragma once

/// Resolution of node properties: literals, fields of the Node, and expansions over labels and
/// annotations.

#include <map>
#include <string>
#include <vector>

#include "operator/api/object.h"
#include "operator/api/property.h"
#include "operator/base/error.h"
#include "operator/base/result.h"

namespace breakwater::core {

using ResolvedProperties = std::map<std::string, std::string>;

/// Properties in order, later ones win. A missing field gives "" or, when `optional`, no property.
/// kInvalid names the property whose field path is wrong. Rules of the Piraeus Operator v2.11:
/// metadata.name, metadata.namespace, metadata.uid, metadata.labels['key'],
/// metadata.annotations['key']; expansions also the whole maps and subscripts that end in '*' (the
/// key is then what follows the prefix).
Result<ResolvedProperties, Error> ResolveProperties(
    const api::Object& node, const std::vector<api::LinstorNodeProperty>& properties);

/// Checks a field path alone, for admission: "" when valid, else what is wrong with it.
/// @param wildcard whether paths that can match several fields are wanted (expandFrom) or refused
/// (valueFrom)
std::string CheckFieldPath(std::string_view path, bool wildcard);

}  // namespace breakwater::core
