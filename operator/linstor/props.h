#pragma once

/// Bookkeeping of properties: which ones the operator set, so that those it no longer wants go away
/// while those that a user set in LINSTOR stay.

#include <set>
#include <string>

#include "operator/linstor/types.h"

namespace breakwater::linstor {

/// Holds a JSON list of the sorted keys that the operator wrote, itself not included.
/// Source of name and format: Piraeus Operator v2.
inline constexpr std::string_view kPropertyLastApplied = "Aux/piraeus.io/last-applied";

/// `wanted` with the bookkeeping property added; unchanged when `wanted` is empty.
Props WithBookkeeping(Props wanted);

/// The keys listed by the bookkeeping of `current`; none when it is missing or unreadable.
std::set<std::string> LastApplied(const Props& current);

/// What to send so that `current` holds `wanted`, drops what was applied before and is no longer
/// wanted, and leaves everything else. `foreign` keys are neither set nor deleted nor recorded:
/// they belong to another controller. Empty when nothing has to be sent.
PropsChange DiffProps(const Props& current,
                      Props wanted,
                      const std::set<std::string>& foreign = {});

}  // namespace breakwater::linstor
