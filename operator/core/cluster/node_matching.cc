#include "operator/core/cluster/node_matching.h"

#include <algorithm>
#include <charconv>
#include <set>

namespace breakwater::core {
namespace {

using api::Json;

std::optional<long long> AsNumber(const std::string& text) {
  long long value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() ? std::optional(value)
                                                                  : std::nullopt;
}

/// `value` is null when the node has no such label.
bool MatchesRequirement(const api::NodeSelectorRequirement& wanted, const std::string* value) {
  const auto listed = [&] {
    return std::find(wanted.values.begin(), wanted.values.end(), *value) != wanted.values.end();
  };
  if (wanted.op == "In") {
    return value != nullptr && listed();
  }
  if (wanted.op == "NotIn") {
    return value == nullptr || !listed();
  }
  if (wanted.op == "Exists") {
    return value != nullptr;
  }
  if (wanted.op == "DoesNotExist") {
    return value == nullptr;
  }
  if ((wanted.op == "Gt" || wanted.op == "Lt") && value != nullptr && wanted.values.size() == 1) {
    const auto left = AsNumber(*value);
    const auto right = AsNumber(wanted.values[0]);
    return left && right && (wanted.op == "Gt" ? *left > *right : *left < *right);
  }
  return false;
}

bool MatchesTerm(const api::NodeSelectorTerm& term,
                 const std::map<std::string, std::string>& labels,
                 const std::string& name) {
  if (term.match_expressions.empty() && term.match_fields.empty()) {
    return false;
  }
  for (const api::NodeSelectorRequirement& wanted : term.match_expressions) {
    const auto label = labels.find(wanted.key);
    if (!MatchesRequirement(wanted, label == labels.end() ? nullptr : &label->second)) {
      return false;
    }
  }
  return std::all_of(term.match_fields.begin(), term.match_fields.end(),
                     [&](const api::NodeSelectorRequirement& wanted) {
                       return wanted.key == "metadata.name" && MatchesRequirement(wanted, &name);
                     });
}

/// Taints that the DaemonSet controller tolerates for every DaemonSet.
const std::vector<api::Toleration>& DaemonSetTolerations() {
  static const std::vector<api::Toleration> kTolerations{
      {.key = "node.kubernetes.io/not-ready", .op = "Exists", .effect = "NoExecute"},
      {.key = "node.kubernetes.io/unreachable", .op = "Exists", .effect = "NoExecute"},
      {.key = "node.kubernetes.io/disk-pressure", .op = "Exists", .effect = "NoSchedule"},
      {.key = "node.kubernetes.io/memory-pressure", .op = "Exists", .effect = "NoSchedule"},
      {.key = "node.kubernetes.io/pid-pressure", .op = "Exists", .effect = "NoSchedule"},
      {.key = "node.kubernetes.io/unschedulable", .op = "Exists", .effect = "NoSchedule"},
      {.key = "node.kubernetes.io/network-unavailable", .op = "Exists", .effect = "NoSchedule"},
      {.key = "drbd.linbit.com/force-io-error", .op = "Exists", .effect = "NoSchedule"},
      {.key = "drbd.linbit.com/lost-quorum", .op = "Exists", .effect = "NoSchedule"},
  };
  return kTolerations;
}

bool SameToleration(const Json& a, const Json& b) {
  return api::StringAt(a, "key") == api::StringAt(b, "key") &&
         api::StringAt(a, "effect") == api::StringAt(b, "effect") &&
         api::StringAt(a, "operator") == api::StringAt(b, "operator") &&
         api::StringAt(a, "value") == api::StringAt(b, "value");
}

}  // namespace

bool MatchesSelector(const std::map<std::string, std::string>& selector, const api::Object& node) {
  const std::map<std::string, std::string> labels = node.labels();
  return std::all_of(selector.begin(), selector.end(), [&](const auto& wanted) {
    const auto label = labels.find(wanted.first);
    return label != labels.end() && label->second == wanted.second;
  });
}

bool MatchesAffinity(const api::NodeSelector& affinity, const api::Object& node) {
  const std::map<std::string, std::string> labels = node.labels();
  const std::string name = node.name();
  return std::any_of(
      affinity.terms.begin(), affinity.terms.end(),
      [&](const api::NodeSelectorTerm& term) { return MatchesTerm(term, labels, name); });
}

bool Tolerates(const std::vector<api::Toleration>& tolerations, const api::Taint& taint) {
  return std::any_of(tolerations.begin(), tolerations.end(),
                     [&](const api::Toleration& toleration) {
                       if (!toleration.effect.empty() && toleration.effect != taint.effect) {
                         return false;
                       }
                       if (toleration.key.empty()) {
                         return toleration.op == "Exists";
                       }
                       return toleration.key == taint.key &&
                              (toleration.op == "Exists" || toleration.value == taint.value);
                     });
}

std::vector<api::ObjectPtr> MatchNodes(const std::vector<api::ObjectPtr>& nodes,
                                       const std::map<std::string, std::string>& selector,
                                       const std::optional<api::NodeSelector>& affinity,
                                       const std::vector<api::Toleration>& tolerations,
                                       const std::vector<api::ObjectPtr>& existing_satellites) {
  std::set<std::string> existing;
  for (const api::ObjectPtr& satellite : existing_satellites) {
    existing.insert(satellite->name());
  }
  std::vector<api::ObjectPtr> result;
  for (const api::ObjectPtr& node : nodes) {
    if (!MatchesSelector(selector, *node) || (affinity && !MatchesAffinity(*affinity, *node))) {
      continue;
    }
    const bool keeps_no_schedule = existing.contains(node->name());
    const std::vector<api::Taint> taints = api::TaintsOf(*node);
    const bool repelled = std::any_of(taints.begin(), taints.end(), [&](const api::Taint& taint) {
      const bool counts =
          taint.effect == "NoExecute" || (taint.effect == "NoSchedule" && !keeps_no_schedule);
      return counts && !Tolerates(tolerations, taint) && !Tolerates(DaemonSetTolerations(), taint);
    });
    if (!repelled) {
      result.push_back(node);
    }
  }
  return result;
}

Json MergeTolerations(const std::vector<Json>& lists) {
  Json result = Json::array();
  for (const Json& list : lists) {
    if (!list.is_array()) {
      continue;
    }
    for (const Json& toleration : list) {
      const auto same = std::find_if(result.begin(), result.end(), [&](const Json& candidate) {
        return SameToleration(candidate, toleration);
      });
      if (same != result.end()) {
        *same = toleration;
      } else {
        result.push_back(toleration);
      }
    }
  }
  return result;
}

Json HighAvailabilityTolerations() {
  Json result = Json::array();
  for (const char* key : {"drbd.linbit.com/force-io-error", "drbd.linbit.com/lost-quorum"}) {
    result.push_back({{"key", key}, {"operator", "Exists"}, {"effect", "NoSchedule"}});
  }
  return result;
}

}  // namespace breakwater::core
