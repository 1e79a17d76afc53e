#include "operator/core/replication/node/text.h"

#include <algorithm>
#include <charconv>

namespace breakwater::replication {

std::vector<std::string_view> Lines(std::string_view text, std::size_t limit) {
  std::vector<std::string_view> lines;
  while (!text.empty() && lines.size() < limit) {
    const std::size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    if (!line.empty() && line.back() == '\r') {
      line.remove_suffix(1);
    }
    lines.push_back(line);
    if (end == std::string_view::npos) {
      break;
    }
    text.remove_prefix(end + 1);
  }
  return lines;
}

std::vector<std::string_view> Words(std::string_view line) {
  std::vector<std::string_view> words;
  std::size_t at = 0;
  while (at < line.size()) {
    const std::size_t begin = line.find_first_not_of(" \t", at);
    if (begin == std::string_view::npos) {
      break;
    }
    const std::size_t end = std::min(line.find_first_of(" \t", begin), line.size());
    words.push_back(line.substr(begin, end - begin));
    at = end;
  }
  return words;
}

std::string_view Trim(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(" \t\r\n");
  if (begin == std::string_view::npos) {
    return {};
  }
  const std::size_t end = text.find_last_not_of(" \t\r\n");
  return text.substr(begin, end - begin + 1);
}

std::optional<std::int64_t> ToInteger(std::string_view text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || text.empty()) {
    return std::nullopt;
  }
  return value;
}

namespace {

std::vector<std::int64_t> VersionParts(std::string_view version) {
  std::vector<std::int64_t> parts;
  while (!version.empty() && parts.size() < 4) {
    const std::size_t digits = std::min(version.find_first_not_of("0123456789"), version.size());
    const std::optional<std::int64_t> part = ToInteger(version.substr(0, digits));
    if (!part) {
      break;
    }
    parts.push_back(*part);
    if (digits == version.size() || version[digits] != '.') {
      break;
    }
    version.remove_prefix(digits + 1);
  }
  return parts;
}

}  // namespace

std::optional<int> CompareVersions(std::string_view a, std::string_view b) {
  std::vector<std::int64_t> left = VersionParts(a);
  std::vector<std::int64_t> right = VersionParts(b);
  if (left.empty() || right.empty()) {
    return std::nullopt;
  }
  left.resize(4);
  right.resize(4);
  return left == right ? 0 : (left < right ? -1 : 1);
}

bool IsSafeName(std::string_view name) {
  const auto plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
  };
  return !name.empty() && name.size() <= 253 && plain(name.front()) && name != "all" &&
         std::all_of(name.begin(), name.end(),
                     [&](char c) { return plain(c) || c == '.' || c == '-'; });
}

}  // namespace breakwater::replication
