#include "operator/core/cluster/node_connections.h"

#include <algorithm>

namespace breakwater::core {
namespace {

using LabelMap = std::map<std::string, std::string>;

const std::string* Find(const LabelMap& labels, const std::string& key) {
  const auto label = labels.find(key);
  return label == labels.end() ? nullptr : &label->second;
}

bool Matches(const api::NodeConnectionMatch& match,
             const LabelMap& labels_a,
             const LabelMap& labels_b) {
  const std::string* a = Find(labels_a, match.key);
  const std::string* b = Find(labels_b, match.key);
  const std::string value_a = a == nullptr ? "" : *a;
  const std::string value_b = b == nullptr ? "" : *b;
  const auto listed = [&](const std::string& value) {
    return std::find(match.values.begin(), match.values.end(), value) != match.values.end();
  };
  switch (match.op) {
    case api::NodeConnectionOp::kExists:
      return a != nullptr && b != nullptr;
    case api::NodeConnectionOp::kDoesNotExist:
      return a == nullptr && b == nullptr;
    case api::NodeConnectionOp::kIn:
      return listed(value_a) && listed(value_b);
    case api::NodeConnectionOp::kNotIn:
      return !listed(value_a) && !listed(value_b);
    case api::NodeConnectionOp::kSame:
      return value_a == value_b;  // a missing label equals an empty one
    case api::NodeConnectionOp::kNotSame:
      break;
  }
  return value_a != value_b;
}

}  // namespace

bool MatchesNodePair(const api::LinstorNodeConnectionSpec& spec,
                     const LabelMap& labels_a,
                     const LabelMap& labels_b) {
  if (spec.selector.empty()) {
    return true;
  }
  return std::any_of(
      spec.selector.begin(), spec.selector.end(), [&](const api::NodeConnectionTerm& term) {
        return !term.broken && std::all_of(term.match_labels.begin(), term.match_labels.end(),
                                           [&](const api::NodeConnectionMatch& match) {
                                             return Matches(match, labels_a, labels_b);
                                           });
      });
}

std::map<NodePair, std::map<std::string, std::string>> DesiredNodeConnections(
    const std::vector<api::ObjectPtr>& nodes,
    const std::vector<api::LinstorNodeConnectionSpec>& connections,
    const std::vector<NodePair>& present) {
  std::map<std::string, LabelMap> by_name;
  for (const api::ObjectPtr& node : nodes) {
    by_name[node->name()] = node->labels();
  }
  std::map<NodePair, std::map<std::string, std::string>> result;
  for (const NodePair& pair : present) {
    if (by_name.contains(pair.first) && by_name.contains(pair.second)) {
      result[pair];
    }
  }
  for (const api::LinstorNodeConnectionSpec& connection : connections) {
    for (auto a = by_name.begin(); a != by_name.end(); ++a) {
      for (auto b = std::next(a); b != by_name.end(); ++b) {
        if (!MatchesNodePair(connection, a->second, b->second)) {
          continue;
        }
        auto& properties = result[{a->first, b->first}];
        for (const api::Property& property : connection.properties) {
          properties[property.name] = property.value;
        }
        for (const api::NodeConnectionPath& path : connection.paths) {
          properties["Paths/" + path.name + "/" + a->first] = path.interface;
          properties["Paths/" + path.name + "/" + b->first] = path.interface;
        }
      }
    }
  }
  return result;
}

}  // namespace breakwater::core
