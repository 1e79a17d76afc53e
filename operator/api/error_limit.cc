#include "operator/api/error_limit.h"

#include <utility>

namespace breakwater::api {

void AddLimited(FieldError error, FieldErrors* errors) {
  if (errors->size() < kMaxFieldErrors) {
    errors->push_back(std::move(error));
  } else if (!IsCut(*errors)) {
    errors->push_back(
        {error.path.substr(0, error.path.find_first_of(".[")),
         "has more mistakes than the " + std::to_string(kMaxFieldErrors) + " that are listed"});
  }
}

bool IsCut(const FieldErrors& errors) {
  return errors.size() > kMaxFieldErrors;
}

}  // namespace breakwater::api
