#pragma once

/// The part of server-side apply that FakeKube needs: which fields a document sets, and merging two
/// documents. Lists follow the real API's schemas for the fields that this project applies; every
/// other list is atomic.

#include <set>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

namespace breakwater::testing {

/// Steps from the root: "f:name" for a field, "k:<key value>" for an item of a keyed list,
/// "v:<value>" for an item of a set. (The same letters as in the API's FieldsV1.)
using FieldPath = std::vector<std::string>;
using FieldSet = std::set<FieldPath>;

/// Every leaf that `document` sets.
FieldSet FieldsOf(const nlohmann::json& document);

/// The value at `path`, or null.
const nlohmann::json* FieldAt(const nlohmann::json& document, const FieldPath& path);

/// Removes the field, and parents that this leaves empty.
void RemoveField(nlohmann::json& document, const FieldPath& path);

/// `overlay` over `base`: maps and keyed lists merge, the rest is replaced.
void MergeFields(nlohmann::json& base, const nlohmann::json& overlay);

}  // namespace breakwater::testing
