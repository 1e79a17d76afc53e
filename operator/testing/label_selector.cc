#include "operator/testing/label_selector.h"

#include <algorithm>
#include <string>
#include <vector>

#include "operator/api/object.h"

namespace breakwater::testing {
namespace {

using Json = nlohmann::json;

std::string Trim(std::string_view text) {
  const std::size_t first = text.find_first_not_of(' ');
  const std::size_t last = text.find_last_not_of(' ');
  return first == std::string_view::npos ? "" : std::string(text.substr(first, last - first + 1));
}

/// Splits at commas that are not inside parentheses.
std::vector<std::string> Split(std::string_view text) {
  std::vector<std::string> parts(1);
  int depth = 0;
  for (const char c : text) {
    depth += c == '(' ? 1 : c == ')' ? -1 : 0;
    if (c == ',' && depth == 0) {
      parts.emplace_back();
    } else {
      parts.back() += c;
    }
  }
  for (std::string& part : parts) {
    part = Trim(part);
  }
  return parts;
}

struct Term {
  std::string key{};
  bool negated = false;
  bool exists_only = false;
  std::vector<std::string> values{};
};

std::optional<Term> ParseTerm(const std::string& text) {
  for (const auto& [word, negated] : {std::pair{" notin ", true}, std::pair{" in ", false}}) {
    const std::size_t at = text.find(word);
    if (at == std::string::npos) {
      continue;
    }
    const std::string list = Trim(text.substr(at + std::string_view(word).size()));
    if (list.size() < 2 || list.front() != '(' || list.back() != ')') {
      return std::nullopt;
    }
    return Term{Trim(text.substr(0, at)), negated, false, Split(list.substr(1, list.size() - 2))};
  }
  if (const std::size_t at = text.find("!="); at != std::string::npos) {
    return Term{Trim(text.substr(0, at)), true, false, {Trim(text.substr(at + 2))}};
  }
  if (const std::size_t at = text.find('='); at != std::string::npos) {
    const std::size_t skip = text.compare(at, 2, "==") == 0 ? 2 : 1;
    return Term{Trim(text.substr(0, at)), false, false, {Trim(text.substr(at + skip))}};
  }
  if (text.empty()) {
    return std::nullopt;
  }
  const bool negated = text.front() == '!';
  return Term{negated ? Trim(text.substr(1)) : text, negated, true, {}};
}

/// `value`: null when the object has no such label or field.
bool Matches(const Term& term, const Json* value) {
  if (term.exists_only) {
    return (value != nullptr) != term.negated;
  }
  const std::string text =
      value != nullptr && value->is_string() ? value->get<std::string>() : std::string();
  const bool found = value != nullptr &&
                     std::find(term.values.begin(), term.values.end(), text) != term.values.end();
  return found != term.negated;
}

template <typename Lookup>
std::optional<bool> MatchesAll(std::string_view selector, const Lookup& lookup) {
  if (Trim(selector).empty()) {
    return true;
  }
  bool all = true;
  for (const std::string& part : Split(selector)) {
    const std::optional<Term> term = ParseTerm(part);
    if (!term) {
      return std::nullopt;
    }
    all = all && Matches(*term, lookup(term->key));
  }
  return all;
}

}  // namespace

std::optional<bool> MatchesLabels(std::string_view selector, const Json& object) {
  const Json* labels = api::FindPath(object, {"metadata", "labels"});
  return MatchesAll(selector, [&](const std::string& key) {
    return labels == nullptr ? nullptr : api::FindMember(*labels, key);
  });
}

std::optional<bool> MatchesFields(std::string_view selector, const Json& object) {
  return MatchesAll(selector, [&](const std::string& path) {
    const Json* value = &object;
    std::size_t start = 0;
    while (value != nullptr && start <= path.size()) {
      const std::size_t dot = std::min(path.find('.', start), path.size());
      value = api::FindMember(*value, path.substr(start, dot - start));
      start = dot + 1;
    }
    return value;
  });
}

}  // namespace breakwater::testing
