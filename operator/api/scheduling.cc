#include "operator/api/scheduling.h"

#include <utility>

namespace breakwater::api {
namespace {

std::vector<NodeSelectorRequirement> ReadRequirements(const FieldReader& term,
                                                      std::string_view key) {
  std::vector<NodeSelectorRequirement> result;
  for (const FieldReader& item : term.Children(key)) {
    result.push_back(
        {item.String("key"),
         item.OneOf("operator", {"In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"}, ""),
         item.Strings("values")});
  }
  return result;
}

}  // namespace

std::optional<NodeSelector> ReadNodeSelector(const FieldReader& parent, std::string_view key) {
  const auto reader = parent.Child(key);
  if (!reader) {
    return std::nullopt;
  }
  NodeSelector selector{.raw = *parent.Raw(key)};
  for (const FieldReader& term : reader->Children("nodeSelectorTerms")) {
    selector.terms.push_back(
        {ReadRequirements(term, "matchExpressions"), ReadRequirements(term, "matchFields")});
  }
  return selector;
}

std::vector<Toleration> ReadTolerations(const FieldReader& parent, std::string_view key) {
  std::vector<Toleration> result;
  for (const FieldReader& item : parent.Children(key)) {
    std::string op = item.String("operator");
    result.push_back({.key = item.String("key"),
                      .op = op.empty() ? "Equal" : std::move(op),
                      .value = item.String("value"),
                      .effect = item.String("effect")});
  }
  return result;
}

std::vector<Taint> TaintsOf(const Object& node) {
  std::vector<Taint> result;
  const Json* list = FindPath(node.raw(), {"spec", "taints"});
  if (list != nullptr && list->is_array()) {
    for (const Json& taint : *list) {
      result.push_back(
          {StringAt(taint, "key"), StringAt(taint, "value"), StringAt(taint, "effect")});
    }
  }
  return result;
}

}  // namespace breakwater::api
