#include "operator/core/status/ownership.h"

#include <string>
#include <utility>

namespace breakwater::core {

using api::Json;

Result<void, Error> SetControllerOwner(Json* object, const api::Object& owner) {
  const std::string uid = owner.uid();
  if (uid.empty()) {
    return Unexpected{Error{ErrorClass::kInvalid, "the owner has no uid"}};
  }
  const Json reference{{"apiVersion", api::StringAt(owner.raw(), "apiVersion")},
                       {"kind", api::StringAt(owner.raw(), "kind")},
                       {"name", owner.name()},
                       {"uid", uid},
                       {"controller", true},
                       {"blockOwnerDeletion", true}};
  Json& references = (*object)["metadata"]["ownerReferences"];
  if (!references.is_array()) {
    references = Json::array();
  }
  for (Json& existing : references) {
    if (api::StringAt(existing, "uid") == uid) {
      existing = reference;
      return {};
    }
    const Json* controller = api::FindMember(existing, "controller");
    if (controller != nullptr && controller->is_boolean() && controller->get<bool>()) {
      return Unexpected{Error{ErrorClass::kConflict, "already controlled by " +
                                                         api::StringAt(existing, "kind") + " " +
                                                         api::StringAt(existing, "name")}};
    }
  }
  references.push_back(reference);
  return {};
}

}  // namespace breakwater::core
