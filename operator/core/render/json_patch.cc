#include "operator/core/render/json_patch.h"

#include <string>
#include <utility>

namespace breakwater::core {

using api::Json;

namespace {

std::string Print(const Json& operation) {
  return operation.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace

bool IsJsonPatch(const Json& value) {
  if (!value.is_array()) {
    return false;
  }
  for (const Json& operation : value) {
    if (api::StringAt(operation, "op").empty() || !operation.contains("path") ||
        !operation["path"].is_string()) {
      return false;
    }
  }
  return true;
}

Result<Json, Error> ApplyJsonPatch(const Json& object, const Json& operations) {
  if (!IsJsonPatch(operations)) {
    return Unexpected{
        Error{ErrorClass::kInvalid, "not a JSON patch: every operation needs `op` and `path`"}};
  }
  Json result = object;
  const Json* metadata = api::FindMember(object, "metadata");
  const bool annotated = metadata != nullptr && metadata->contains("annotations");
  if (metadata != nullptr && !annotated) {
    result["metadata"]["annotations"] = Json::object();
  }
  for (const Json& operation : operations) {
    try {
      result = result.patch(Json::array({operation}));
    } catch (const Json::exception&) {
      return Unexpected{Error{ErrorClass::kInvalid, "operation " + Print(operation) +
                                                        " cannot be applied: no such path, or the "
                                                        "value there is not as tested"}};
    }
  }
  if (!annotated && result.is_object() && result.contains("metadata")) {
    Json& after = result["metadata"];
    if (const Json* left = api::FindMember(after, "annotations");
        left != nullptr && left->is_object() && left->empty()) {
      after.erase("annotations");
    }
  }
  return result;
}

}  // namespace breakwater::core
