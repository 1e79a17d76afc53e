#pragma once

/// Small helpers to cut text into lines and words. Pure, safe from any thread, never throw.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace breakwater::replication {

/// Lines without their line ends; at most `limit`, the rest is dropped (input comes from a node).
std::vector<std::string_view> Lines(std::string_view text, std::size_t limit = 200000);
/// Words separated by blanks and tabs.
std::vector<std::string_view> Words(std::string_view line);
std::string_view Trim(std::string_view text);
/// A whole decimal number, or nothing.
std::optional<std::int64_t> ToInteger(std::string_view text);

/// -1, 0 or 1 for versions like "9.3.3"; missing parts count as 0, nothing when either has no
/// number.
std::optional<int> CompareVersions(std::string_view a, std::string_view b);

/// Names of nodes and resources as LINSTOR allows them, strict enough to be an argument of any
/// program: letters, digits, '.', '_', '-', starting with a letter, digit or '_', at most 253
/// characters. Not "all", which drbdadm and drbdsetup take for everything (F20, REVIEW-2).
bool IsSafeName(std::string_view name);

}  // namespace breakwater::replication
