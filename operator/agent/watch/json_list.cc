#include "operator/agent/watch/json_list.h"

#include <cstddef>

#include "operator/core/replication/node/text.h"

namespace breakwater::agent {
namespace {

// The position after the string that begins at `at`.
std::size_t SkipString(std::string_view text, std::size_t at) {
  for (++at; at < text.size() && text[at] != '"'; ++at) {
    if (text[at] == '\\') {
      ++at;
    }
  }
  return at + 1;
}

}  // namespace

std::optional<std::vector<std::string_view>> SplitJsonList(std::string_view text) {
  text = replication::Trim(text);
  if (text.size() < 2 || text.front() != '[' || text.back() != ']') {
    return std::nullopt;
  }
  text = text.substr(1, text.size() - 2);
  std::vector<std::string_view> objects;
  std::size_t depth = 0;
  std::size_t begin = 0;
  for (std::size_t at = 0; at < text.size();) {
    const char c = text[at];
    if (c == '"') {
      at = SkipString(text, at);
      continue;
    }
    if (c == '{' || c == '[') {
      if (depth++ == 0) {
        begin = at;
      }
    } else if (c == '}' || c == ']') {
      if (depth == 0) {
        return std::nullopt;
      }
      if (--depth == 0) {
        objects.push_back(text.substr(begin, at + 1 - begin));
      }
    }
    ++at;
  }
  if (depth != 0) {
    return std::nullopt;
  }
  return objects;
}

}  // namespace breakwater::agent
