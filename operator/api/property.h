#pragma once

/// Properties as users write them; core/satellite resolves those of nodes into LINSTOR properties.

#include <optional>
#include <string>
#include <vector>

#include "operator/api/field_reader.h"

namespace breakwater::api {

/// A property with a literal value: on the controller and on node connections.
struct Property {
  std::string name{};
  std::string value{};

  bool operator==(const Property&) const = default;
};

/// expandFrom: one property per matching label or annotation, or all of them joined into one value.
struct PropertyExpansion {
  std::string node_field_ref{};
  std::string
      name_template{};  ///< not empty: one property per match; `$1` is the key, `$2` the value
  std::string value_template{};
  std::string delimiter{};

  bool operator==(const PropertyExpansion&) const = default;
};

/// Exactly one source: a literal value, one field of the Node, or an expansion.
struct LinstorNodeProperty {
  std::string name{};
  std::string value{};
  std::optional<std::string> value_from{};  ///< valueFrom.nodeFieldRef
  std::optional<PropertyExpansion> expand_from{};
  bool optional = false;  ///< a missing field leaves the property out instead of setting it to ""

  bool operator==(const LinstorNodeProperty&) const = default;
};

std::vector<Property> ReadProperties(const FieldReader& parent,
                                     std::string_view key = "properties");
std::vector<LinstorNodeProperty> ReadNodeProperties(const FieldReader& parent,
                                                    std::string_view key = "properties");
Json ToJson(const LinstorNodeProperty& property);
Json ToJson(const std::vector<LinstorNodeProperty>& properties);

}  // namespace breakwater::api
