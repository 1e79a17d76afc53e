#include "operator/api/property.h"

#include <utility>

namespace breakwater::api {

std::vector<Property> ReadProperties(const FieldReader& parent, std::string_view key) {
  std::vector<Property> result;
  for (const FieldReader& item : parent.Children(key)) {
    Property property{item.String("name"), item.String("value")};
    if (property.name.empty()) {
      item.AddError("name", "must not be empty");
      continue;
    }
    result.push_back(std::move(property));
  }
  return result;
}

std::vector<LinstorNodeProperty> ReadNodeProperties(const FieldReader& parent,
                                                    std::string_view key) {
  std::vector<LinstorNodeProperty> result;
  for (const FieldReader& item : parent.Children(key)) {
    LinstorNodeProperty property{
        .name = item.String("name"),
        .value = item.String("value"),
        .optional = item.Bool("optional"),
    };
    if (const auto from = item.Child("valueFrom")) {
      property.value_from = from->String("nodeFieldRef");
    }
    if (const auto expand = item.Child("expandFrom")) {
      property.expand_from = PropertyExpansion{
          .node_field_ref = expand->String("nodeFieldRef"),
          .name_template = expand->String("nameTemplate"),
          .value_template = expand->String("valueTemplate"),
          .delimiter = expand->String("delimiter"),
      };
    }
    if (property.name.empty()) {
      item.AddError("name", "must not be empty");
      continue;
    }
    result.push_back(std::move(property));
  }
  return result;
}

Json ToJson(const LinstorNodeProperty& property) {
  Json result{{"name", property.name}};
  if (!property.value.empty()) {
    result["value"] = property.value;
  }
  if (property.value_from) {
    result["valueFrom"]["nodeFieldRef"] = *property.value_from;
  }
  if (property.expand_from) {
    Json& expand = result["expandFrom"];
    expand["nodeFieldRef"] = property.expand_from->node_field_ref;
    const auto put = [&expand](const char* key, const std::string& text) {
      if (!text.empty()) {
        expand[key] = text;
      }
    };
    put("nameTemplate", property.expand_from->name_template);
    put("valueTemplate", property.expand_from->value_template);
    put("delimiter", property.expand_from->delimiter);
  }
  if (property.optional) {
    result["optional"] = true;
  }
  return result;
}

Json ToJson(const std::vector<LinstorNodeProperty>& properties) {
  Json result = Json::array();
  for (const LinstorNodeProperty& property : properties) {
    result.push_back(ToJson(property));
  }
  return result;
}

}  // namespace breakwater::api
