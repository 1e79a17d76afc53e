#pragma once

/// Bookkeeping of properties: which ones the operator set, so that those it no longer wants go away
/// while those that a user set in LINSTOR stay.

#include <functional>
#include <set>
#include <string>
#include <vector>

#include "operator/linstor/error.h"
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

/// What became of a change.
struct PropsSent {
  bool changed = false;  ///< LINSTOR took something of it
  std::vector<std::string>
      errors{};  ///< "property X of <object>: why", a line for each refused one
};

/// Sends a change with `send`. LINSTOR takes all of a change or nothing: when it refuses, each
/// property is sent alone, so that a wrong one does not keep the others from being set. Without an
/// answer nothing more is tried.
/// @param object for the messages, e.g. "node n1"
PropsSent SendProps(const PropsChange& change,
                    const std::string& object,
                    const std::function<LinstorResult<Reply>(const PropsChange&)>& send);

}  // namespace breakwater::linstor
