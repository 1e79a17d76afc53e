#include "operator/controllers/common/status_tools.h"

#include <algorithm>

#include "operator/api/resources.h"

namespace breakwater::controllers {

std::vector<api::Condition> ConditionsOf(const api::Object& object,
                                         const std::vector<std::string_view>& types) {
  std::vector<api::Condition> conditions = api::ConditionsFromJson(object.raw());
  std::erase_if(conditions, [&](const api::Condition& condition) {
    return std::find(types.begin(), types.end(), condition.type) == types.end();
  });
  return conditions;
}

const std::vector<std::string_view>& StandardConditions() {
  static const std::vector<std::string_view> kTypes{
      api::kConditionApplied, api::kConditionAvailable, api::kConditionConfigured};
  return kTypes;
}

std::vector<std::string> WithReason(const std::vector<api::ObjectPtr>& objects,
                                    std::string_view type,
                                    std::string_view reason) {
  std::vector<std::string> names;
  for (const api::ObjectPtr& object : objects) {
    const std::vector<api::Condition> conditions = api::ConditionsFromJson(object->raw());
    const api::Condition* condition = api::FindCondition(conditions, type);
    if (condition != nullptr && condition->reason == reason) {
      names.push_back(object->name());
    }
  }
  std::sort(names.begin(), names.end());
  return names;
}

bool IsReady(const api::Object& object) {
  const std::vector<api::Condition> conditions = api::ConditionsFromJson(object.raw());
  const api::Condition* condition = api::FindCondition(conditions, "Ready");
  return condition != nullptr && condition->status == "True";
}

bool IsSatelliteReady(const api::Object& pod) {
  const api::Json* containers = api::FindPath(pod.raw(), {"status", "containerStatuses"});
  if (containers != nullptr && containers->is_array()) {
    for (const api::Json& container : *containers) {
      if (api::StringAt(container, "name") == "linstor-satellite") {
        return container.value("ready", false);
      }
    }
  }
  return IsReady(pod);
}

void ReportUnreachable(core::ConditionSet& conditions, const std::string& detail) {
  const std::string what = "Controller unreachable";
  conditions.AddError(api::kConditionAvailable, detail.empty() ? what : what + ": " + detail);
  conditions.AddUnknown(api::kConditionConfigured, what);
}

namespace {

template <typename Matches>
std::vector<std::string> InFlight(const api::Object& cluster, const Matches& matches) {
  std::vector<std::string> volumes;
  const api::Json* runs = api::FindPath(cluster.raw(), {"status", "replicationTLS", "inFlight"});
  if (runs == nullptr || !runs->is_array()) {
    return volumes;
  }
  for (const api::Json& run : *runs) {
    if (matches(api::StringAt(run, "strategy"), api::StringAt(run, "step"))) {
      volumes.push_back(api::StringAt(run, "resource"));
    }
  }
  return volumes;
}

}  // namespace

std::vector<std::string> SwitchingVolumes(const api::Object& cluster) {
  return InFlight(cluster, [](const std::string&, const std::string&) { return true; });
}

std::vector<std::string> FrozenVolumes(const api::Object& cluster) {
  // With this strategy the Follows of the other ends are the last thing before the suspension, and
  // the entry is not written again in between.
  return InFlight(cluster, [](const std::string& strategy, const std::string& step) {
    return step == "SuspendedSwitch" || step == "Resume" ||
           (strategy == "SuspendIO" && step == "Follow");
  });
}

std::string LinstorVolumeOf(const api::Object& persistent_volume) {
  const api::Json* csi = api::FindPath(persistent_volume.raw(), {"spec", "csi"});
  const bool ours = csi != nullptr && api::StringAt(*csi, "driver") == api::kCsiDriverName;
  return ours ? api::StringAt(*csi, "volumeHandle") : "";
}

std::string JoinBounded(const std::vector<std::string>& lines, std::size_t limit) {
  std::string text;
  for (const std::string& line : lines) {
    text += (text.empty() ? "" : "; ") + line;
    if (text.size() > limit) {
      text.resize(limit);
      // Do not leave half a UTF-8 character: the API server refuses it.
      while (!text.empty() && (static_cast<unsigned char>(text.back()) & 0xC0U) == 0x80U) {
        text.pop_back();
      }
      if (!text.empty() && static_cast<unsigned char>(text.back()) >= 0xC0U) {
        text.pop_back();
      }
      return text + " ...";
    }
  }
  return text;
}

std::set<std::string> NamesIn(std::string_view list) {
  constexpr std::string_view kSpace = " \t\r\n";
  std::set<std::string> names;
  while (!list.empty()) {
    const std::size_t comma = std::min(list.find(','), list.size());
    const std::string_view name = list.substr(0, comma);
    if (const std::size_t first = name.find_first_not_of(kSpace); first != std::string_view::npos) {
      names.emplace(name.substr(first, name.find_last_not_of(kSpace) - first + 1));
    }
    list.remove_prefix(std::min(comma + 1, list.size()));
  }
  return names;
}

std::int64_t IntegerAt(const api::Object& object,
                       std::initializer_list<std::string_view> path,
                       std::int64_t fallback) {
  const api::Json* value = api::FindPath(object.raw(), path);
  return value != nullptr && value->is_number_integer() ? value->get<std::int64_t>() : fallback;
}

}  // namespace breakwater::controllers
