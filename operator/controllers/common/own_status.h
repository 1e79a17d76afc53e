#pragma once

/// ApplyOwnStatus: writes the part of a status that one field manager owns, when it changed.

#include <string_view>
#include <vector>

#include "operator/api/object.h"
#include "operator/base/context.h"
#include "operator/base/error.h"
#include "operator/base/result.h"
#include "operator/runtime/apply.h"
#include "operator/runtime/store.h"

namespace breakwater::controllers {

/// What of a status is ours. Several controllers write one status, each with its own field manager:
/// comparing the whole would find a difference for ever.
struct StatusOwnership {
  std::vector<std::string_view> conditions{};      ///< types of our conditions
  std::vector<std::string_view> foreign_fields{};  ///< members of the status that are not ours
  bool conditions_only = false;                    ///< no member beside the conditions is ours
};

/// The part of `status` that is ours, conditions sorted by type. Pure.
api::Json OwnPart(const api::Json& status, const StatusOwnership& ownership);

/// Applies `status` (only our part, complete) to `object`, unless the newest known state in `store`
/// already shows it. Does nothing when the object is gone or was made again.
Result<void, Error> ApplyOwnStatus(const Context& ctx,
                                   const runtime::Applier& applier,
                                   const runtime::Store& store,
                                   const api::Object& object,
                                   const api::Json& status,
                                   const StatusOwnership& ownership);

}  // namespace breakwater::controllers
