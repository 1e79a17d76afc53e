#pragma once

/// Label and field selectors as the API server reads them in list and watch requests.

#include <optional>
#include <string_view>

#include <nlohmann/json.hpp>

namespace breakwater::testing {

/// "a=b,c!=d,e,!f,g in (h,i),j notin (k)"; nothing when it cannot be read.
std::optional<bool> MatchesLabels(std::string_view selector, const nlohmann::json& object);

/// "path=value" and "path!=value" joined by commas, for any dotted path with a string at its end.
std::optional<bool> MatchesFields(std::string_view selector, const nlohmann::json& object);

}  // namespace breakwater::testing
