#include "operator/controllers/common/own_status.h"

#include <algorithm>

namespace breakwater::controllers {

api::Json OwnPart(const api::Json& status, const StatusOwnership& ownership) {
  api::Json part = api::Json::object();
  if (ownership.conditions_only) {
    if (const api::Json* conditions = api::FindMember(status, "conditions")) {
      part["conditions"] = *conditions;
    }
  } else if (status.is_object()) {
    part = status;
  }
  for (const std::string_view field : ownership.foreign_fields) {
    part.erase(std::string(field));
  }
  const auto conditions = part.find("conditions");
  if (conditions != part.end() && conditions->is_array()) {
    std::vector<api::Json> own;
    for (const api::Json& condition : *conditions) {
      const std::string type = api::StringAt(condition, "type");
      if (std::find(ownership.conditions.begin(), ownership.conditions.end(), type) !=
          ownership.conditions.end()) {
        own.push_back(condition);
      }
    }
    std::sort(own.begin(), own.end(), [](const api::Json& a, const api::Json& b) {
      return api::StringAt(a, "type") < api::StringAt(b, "type");
    });
    *conditions = std::move(own);
  }
  return part;
}

Result<void, Error> ApplyOwnStatus(const Context& ctx,
                                   const runtime::Applier& applier,
                                   const runtime::Store& store,
                                   const api::Object& object,
                                   const api::Json& status,
                                   const StatusOwnership& ownership) {
  const api::ObjectPtr live = store.Get(object.key());
  if (!live || live->uid() != object.uid()) {
    return {};
  }
  const api::Json* shown = api::FindMember(live->raw(), "status");
  const api::Json wanted = OwnPart(status, ownership);
  if (shown != nullptr && OwnPart(*shown, ownership) == wanted) {
    return {};
  }
  const auto applied = applier.ApplyStatus(ctx, store.resource(), live, wanted);
  if (!applied) {
    return Unexpected{applied.error().WithContext("write status")};
  }
  return {};
}

}  // namespace breakwater::controllers
