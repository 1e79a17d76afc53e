#pragma once

/// How many mistakes of one object are listed. Somebody may write hundreds of thousands into one
/// object; nobody reads them, and each is compared, joined and sent.

#include <cstddef>

#include "operator/api/field_error.h"

namespace breakwater::api {

constexpr std::size_t kMaxFieldErrors = 100;

/// Adds `error`; instead of the first one beyond kMaxFieldErrors that there are more, and nothing
/// after that. The path of this last error is the root of `error`'s ("spec"): whatever is unsafe
/// with a mistake in some field counts all fields as wrong (AnyErrorAt).
void AddLimited(FieldError error, FieldErrors* errors);

/// Whether some errors were left out.
bool IsCut(const FieldErrors& errors);

}  // namespace breakwater::api
