#pragma once

/// Cutting a JSON list into its objects without building it: a node with 1000 resources prints
/// megabytes, of which one object at a time is enough.
/// Thread safety: pure functions.

#include <optional>
#include <string_view>
#include <vector>

namespace breakwater::agent {

/// The texts of the objects of a list of objects; nothing when the text is no such list. What is
/// inside the objects is not checked: their parser does.
std::optional<std::vector<std::string_view>> SplitJsonList(std::string_view text);

}  // namespace breakwater::agent
