#pragma once

/// Compares a desired object with the live one as the API server would: fields that only the live
/// object has (defaults, other managers' fields) do not count, spelling that the server normalises
/// (quantities, empty values) does not either. Pure.

#include <optional>
#include <string>

#include "operator/api/object.h"

namespace breakwater::runtime {

/// JSON pointer of the first desired field that `live` does not have, or nothing when all are
/// there. apiVersion and kind are not compared: items of a list come without them.
std::optional<std::string> FirstDifference(const api::Json& desired, const api::Json& live);

/// Whether two quantities ("1000m" and "1", 1 and "1", "1Gi" and "1073741824") are the same amount;
/// false when one of them is no quantity.
bool SameQuantity(const api::Json& left, const api::Json& right);

}  // namespace breakwater::runtime
