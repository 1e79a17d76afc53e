#include "operator/api/linstor_node_connection.h"

#include <array>
#include <utility>

namespace breakwater::api {
namespace {

constexpr std::array<std::pair<NodeConnectionOp, std::string_view>, 6> kOps{{
    {NodeConnectionOp::kExists, "Exists"},
    {NodeConnectionOp::kDoesNotExist, "DoesNotExist"},
    {NodeConnectionOp::kIn, "In"},
    {NodeConnectionOp::kNotIn, "NotIn"},
    {NodeConnectionOp::kSame, "Same"},
    {NodeConnectionOp::kNotSame, "NotSame"},
}};

/// An unknown operator is an error and breaks the term: guessing could connect the wrong nodes.
std::optional<NodeConnectionMatch> ReadMatch(const FieldReader& reader) {
  const std::string text =
      reader.OneOf("op", {"Exists", "DoesNotExist", "In", "NotIn", "Same", "NotSame"},
                   reader.Raw("op") == nullptr ? "Exists" : "");
  for (const auto& [op, name] : kOps) {
    if (text == name) {
      return NodeConnectionMatch{reader.String("key"), op, reader.Strings("values")};
    }
  }
  return std::nullopt;
}

}  // namespace

std::string_view ToString(NodeConnectionOp op) {
  for (const auto& [candidate, name] : kOps) {
    if (candidate == op) {
      return name;
    }
  }
  return {};
}

Decoded<LinstorNodeConnectionSpec> DecodeLinstorNodeConnection(const Json& object) {
  Decoded<LinstorNodeConnectionSpec> result;
  static const Json kNothing;
  const Json* json = FindMember(object, "spec");
  const FieldReader reader(json == nullptr ? kNothing : *json, "spec", &result.errors);
  for (const FieldReader& item : reader.Children("selector")) {
    NodeConnectionTerm term;
    for (const FieldReader& match : item.Children("matchLabels")) {
      if (auto parsed = ReadMatch(match)) {
        term.match_labels.push_back(std::move(*parsed));
      } else {
        term.broken = true;
      }
    }
    result.value.selector.push_back(std::move(term));
  }
  result.value.properties = ReadProperties(reader);
  for (const FieldReader& item : reader.Children("paths")) {
    result.value.paths.push_back({item.String("name"), item.String("interface")});
  }
  return result;
}

Json ToJson(const LinstorNodeConnectionStatus& status) {
  return {{"conditions", ToJson(status.conditions)}};
}

}  // namespace breakwater::api
