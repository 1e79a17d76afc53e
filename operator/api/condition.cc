#include "operator/api/condition.h"

#include <utility>

namespace breakwater::api {

std::vector<Condition> ConditionsFromJson(const Json& object) {
  std::vector<Condition> result;
  const Json* list = FindPath(object, {"status", "conditions"});
  if (list == nullptr || !list->is_array()) {
    return result;
  }
  for (const Json& item : *list) {
    Condition condition{
        .type = StringAt(item, "type"),
        .status = StringAt(item, "status"),
        .reason = StringAt(item, "reason"),
        .message = StringAt(item, "message"),
        .last_transition_time = StringAt(item, "lastTransitionTime"),
    };
    if (const Json* generation = FindMember(item, "observedGeneration");
        generation != nullptr && generation->is_number_integer()) {
      condition.observed_generation = generation->get<std::int64_t>();
    }
    if (!condition.type.empty()) {
      result.push_back(std::move(condition));
    }
  }
  return result;
}

const Condition* FindCondition(const std::vector<Condition>& conditions, std::string_view type) {
  for (const Condition& condition : conditions) {
    if (condition.type == type) {
      return &condition;
    }
  }
  return nullptr;
}

Json ToJson(const Condition& condition) {
  return {
      {"type", condition.type},
      {"status", condition.status},
      {"reason", condition.reason},
      {"message", condition.message},
      {"lastTransitionTime", condition.last_transition_time},
      {"observedGeneration", condition.observed_generation},
  };
}

Json ToJson(const std::vector<Condition>& conditions) {
  Json result = Json::array();
  for (const Condition& condition : conditions) {
    result.push_back(ToJson(condition));
  }
  return result;
}

}  // namespace breakwater::api
