#include "operator/core/render/selector.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <optional>
#include <utility>

#include <re2/re2.h>

#include "operator/api/resources.h"

namespace breakwater::core {
namespace {

std::string_view Trim(std::string_view text) {
  const auto first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) {
    return {};
  }
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

/// Splits at commas outside of parentheses.
std::vector<std::string_view> SplitRequirements(std::string_view text) {
  std::vector<std::string_view> parts;
  std::size_t start = 0;
  int depth = 0;
  for (std::size_t i = 0; i <= text.size(); ++i) {
    if (i == text.size() || (text[i] == ',' && depth == 0)) {
      parts.push_back(Trim(text.substr(start, i - start)));
      start = i + 1;
    } else if (text[i] == '(') {
      ++depth;
    } else if (text[i] == ')') {
      --depth;
    }
  }
  return parts;
}

Error Invalid(std::string message) {
  return {ErrorClass::kInvalid, std::move(message)};
}

/// "(a, b)" -> {"a", "b"}; nullopt without parentheses.
std::optional<std::vector<std::string>> ParseSet(std::string_view text) {
  if (text.size() < 2 || text.front() != '(' || text.back() != ')') {
    return std::nullopt;
  }
  std::vector<std::string> values;
  for (const std::string_view value : SplitRequirements(text.substr(1, text.size() - 2))) {
    values.emplace_back(value);
  }
  return values;
}

/// As kustomize: what an expression for the namespace is compared with.
std::string NamespaceOf(const ResourceIdentity& identity) {
  if (!identity.ns.empty()) {
    return identity.ns;
  }
  const api::ResourceInfo* info = api::FindResource(identity.group, identity.kind);
  return info != nullptr && !info->namespaced ? "_non_namespaceable_" : "default";
}

std::optional<std::int64_t> Number(std::string_view text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() ? std::optional(value)
                                                                  : std::nullopt;
}

bool ValidKey(std::string_view key) {
  return !key.empty() && key.find_first_of(" \t=!<>()") == std::string_view::npos;
}

}  // namespace

Result<LabelSelector::Requirement, Error> LabelSelector::ParseRequirement(std::string_view text) {
  Requirement requirement;
  std::string_view key = text;
  const auto not_equal = text.find("!=");
  const auto equal = text.find('=');
  const auto space = text.find_first_of(" \t");
  if (not_equal != std::string_view::npos) {
    key = Trim(text.substr(0, not_equal));
    requirement.op = Op::kNotIn;
    requirement.values = {std::string(Trim(text.substr(not_equal + 2)))};
  } else if (equal != std::string_view::npos) {
    key = Trim(text.substr(0, equal));
    const bool twice = text.substr(equal).starts_with("==");
    requirement.op = Op::kIn;
    requirement.values = {std::string(Trim(text.substr(equal + (twice ? 2 : 1))))};
  } else if (const auto than = text.find_first_of("<>"); than != std::string_view::npos) {
    key = Trim(text.substr(0, than));
    requirement.op = text[than] == '<' ? Op::kLess : Op::kGreater;
    requirement.values = {std::string(Trim(text.substr(than + 1)))};
    if (!Number(requirement.values.front())) {
      return Unexpected{Invalid("selector \"" + std::string(text) + "\": expected a number")};
    }
  } else if (text.starts_with('!')) {
    key = Trim(text.substr(1));
    requirement.op = Op::kDoesNotExist;
  } else if (space != std::string_view::npos) {
    key = text.substr(0, space);
    std::string_view rest = Trim(text.substr(space));
    const bool negative = rest.starts_with("notin");
    if (!negative && !rest.starts_with("in")) {
      return Unexpected{Invalid("selector \"" + std::string(text) + "\": expected in or notin")};
    }
    rest = Trim(rest.substr(negative ? 5 : 2));
    auto values = ParseSet(rest);
    if (!values) {
      return Unexpected{Invalid("selector \"" + std::string(text) + "\": expected (value, …)")};
    }
    requirement.op = negative ? Op::kNotIn : Op::kIn;
    requirement.values = std::move(*values);
  }
  if (!ValidKey(key)) {
    return Unexpected{Invalid("selector \"" + std::string(text) + "\": bad key")};
  }
  for (const std::string& value : requirement.values) {
    if (value.find_first_of(" \t") != std::string::npos) {
      return Unexpected{Invalid("selector \"" + std::string(text) + "\": bad value")};
    }
  }
  requirement.key = std::string(key);
  return requirement;
}

Result<LabelSelector, Error> LabelSelector::Parse(std::string_view text) {
  LabelSelector selector;
  if (Trim(text).empty()) {
    return selector;
  }
  for (const std::string_view part : SplitRequirements(text)) {
    BREAKWATER_ASSIGN_OR_RETURN(Requirement requirement, ParseRequirement(part));
    selector.requirements_.push_back(std::move(requirement));
  }
  return selector;
}

bool LabelSelector::Matches(const std::map<std::string, std::string>& labels) const {
  return std::all_of(requirements_.begin(), requirements_.end(), [&](const Requirement& wanted) {
    const auto label = labels.find(wanted.key);
    const bool there = label != labels.end();
    const auto listed = [&] {
      return std::find(wanted.values.begin(), wanted.values.end(), label->second) !=
             wanted.values.end();
    };
    switch (wanted.op) {
      case Op::kIn:
        return there && listed();
      case Op::kNotIn:
        return !there || !listed();
      case Op::kExists:
        return there;
      case Op::kLess:
      case Op::kGreater: {
        const auto value = there ? Number(label->second) : std::nullopt;
        const auto limit = Number(wanted.values.front());
        return value && (wanted.op == Op::kLess ? *value < *limit : *value > *limit);
      }
      case Op::kDoesNotExist:
        break;
    }
    return !there;
  });
}

Result<TargetMatcher::Expression, Error> TargetMatcher::CompileExpression(std::string_view field,
                                                                          const std::string& text) {
  if (text.empty()) {
    return Expression{};
  }
  re2::RE2::Options options;
  options.set_log_errors(false);
  // RE2::FullMatch anchors at both ends, as kustomize's ^(?:…)$ does.
  auto expression = std::make_shared<const re2::RE2>(text, options);
  if (!expression->ok()) {
    return Unexpected{Invalid("target " + std::string(field) + " \"" + text +
                              "\" is not a regular expression: " + expression->error())};
  }
  return Expression(std::move(expression));
}

Result<TargetMatcher, Error> TargetMatcher::Compile(const api::PatchTarget& target) {
  TargetMatcher matcher;
  BREAKWATER_ASSIGN_OR_RETURN(matcher.group_, CompileExpression("group", target.group));
  BREAKWATER_ASSIGN_OR_RETURN(matcher.version_, CompileExpression("version", target.version));
  BREAKWATER_ASSIGN_OR_RETURN(matcher.kind_, CompileExpression("kind", target.kind));
  BREAKWATER_ASSIGN_OR_RETURN(matcher.name_, CompileExpression("name", target.name));
  BREAKWATER_ASSIGN_OR_RETURN(matcher.ns_, CompileExpression("namespace", target.ns));
  BREAKWATER_ASSIGN_OR_RETURN(matcher.labels_, LabelSelector::Parse(target.label_selector));
  BREAKWATER_ASSIGN_OR_RETURN(matcher.annotations_,
                              LabelSelector::Parse(target.annotation_selector));
  return matcher;
}

bool TargetMatcher::MatchesIdentity(const ResourceIdentity& identity) const {
  const auto matches = [](const Expression& expression, const std::string& text) {
    return expression == nullptr || re2::RE2::FullMatch(text, *expression);
  };
  return matches(group_, identity.group) && matches(version_, identity.version) &&
         matches(kind_, identity.kind) && matches(name_, identity.name) &&
         matches(ns_, NamespaceOf(identity));
}

bool TargetMatcher::Matches(const std::vector<ResourceIdentity>& identities,
                            const std::map<std::string, std::string>& labels,
                            const std::map<std::string, std::string>& annotations) const {
  const bool identity =
      std::any_of(identities.begin(), identities.end(),
                  [this](const ResourceIdentity& candidate) { return MatchesIdentity(candidate); });
  return identity && labels_.Matches(labels) && annotations_.Matches(annotations);
}

}  // namespace breakwater::core
