#include "tests/e2e/sim/linstor/property_rules.h"

#include <algorithm>
#include <regex>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <nlohmann/json.hpp>

namespace breakwater::sim {

extern const char* const kPropertyRulesJson;  // generated from testdata/property-rules.json

namespace {

bool MatchesRegex(std::string pattern, const std::string& value) {
  auto options = std::regex::ECMAScript;
  if (pattern.rfind("(?i)", 0) == 0) {  // Java's inline flag, unknown to std::regex
    pattern.erase(0, 4);
    options |= std::regex::icase;
  }
  return std::regex_match(value, std::regex(pattern, options));
}

std::optional<double> Number(const std::string& text) {
  std::size_t used = 0;
  try {
    const double number = std::stod(text, &used);
    return used == text.size() ? std::optional(number) : std::nullopt;
  } catch (const std::exception&) {
    return std::nullopt;
  }
}

/// `range` looks like "(1 - 600)".
bool InRange(const std::string& range, const std::string& value) {
  double low = 0;
  double high = 0;
  const auto number = Number(value);
  if (!number || std::sscanf(range.c_str(), "(%lf - %lf)", &low, &high) != 2) {
    return false;
  }
  return *number >= low && *number <= high;
}

bool StartsWith(const std::string& text, const std::string& prefix) {
  return text.rfind(prefix, 0) == 0;
}

std::string Lower(const std::string& text) {
  return Key(text);
}

}  // namespace

PropertyRules::PropertyRules() {
  const auto table = nlohmann::json::parse(kPropertyRulesJson);
  for (const auto& [object, keys] : table.items()) {
    for (const auto& [key, rule] : keys.items()) {
      rules_[object][key] = Rule{rule.at("type").get<std::string>(), rule.value("value", "")};
    }
  }
}

const PropertyRules::Rule* PropertyRules::Find(const std::string& object,
                                               const std::string& key) const {
  const auto table = rules_.find(object);
  if (table == rules_.end()) {
    return nullptr;
  }
  const auto rule = table->second.find(key);
  return rule == table->second.end() ? nullptr : &rule->second;
}

bool PropertyRules::Knows(const std::string& object, const std::string& key) const {
  return StartsWith(key, "Aux/") || Find(object, key) != nullptr;
}

std::vector<std::string> PropertyRules::Keys(const std::string& object) const {
  std::vector<std::string> out;
  const auto table = rules_.find(object);
  if (table != rules_.end()) {
    for (const auto& [key, rule] : table->second) {
      out.push_back(key);
    }
  }
  return out;
}

PropertyRules::Verdict PropertyRules::Check(const std::string& object,
                                            const std::string& key,
                                            const std::string& value) const {
  Verdict verdict{true, true, value, ""};
  if (StartsWith(key, "Aux/")) {
    return verdict;
  }
  const Rule* rule = Find(object, key);
  if (rule == nullptr) {
    verdict.known_key = false;
    return verdict;
  }
  if (rule->type == "boolean") {
    verdict.value = Lower(value);
    verdict.valid_value = MatchesRegex(rule->value, value);
    verdict.hint = "This value must be either 'yes' or 'no'.";
  } else if (rule->type == "boolean_true_false" || rule->type == "regex") {
    verdict.valid_value = rule->value.empty() || MatchesRegex(rule->value, value);
    verdict.hint = "This value has to match the regular expression: " + rule->value;
  } else if (rule->type == "range" || rule->type == "range_float") {
    verdict.valid_value = InRange(rule->value, value);
    verdict.hint = "This value has to be in range " + rule->value;
  } else if (rule->type == "long") {
    verdict.valid_value = Number(value).has_value();
    verdict.hint = "This value has to be an integer.";
  } else if (rule->type == "numeric_or_symbol") {
    const auto split = rule->value.find(" or ");
    verdict.valid_value = InRange(rule->value.substr(0, split), value) ||
                          MatchesRegex(rule->value.substr(split + 4), value);
    verdict.hint = "This value has to be " + rule->value;
  }
  return verdict;
}

PropsChange ParsePropsChange(const nlohmann::json& body) {
  PropsChange change;
  if (const auto it = body.find("override_props"); it != body.end() && it->is_object()) {
    for (const auto& [key, value] : it->items()) {
      if (value.is_null()) {
        change.overrides[key] = std::nullopt;
      } else {
        change.overrides[key] = value.is_string() ? value.get<std::string>() : value.dump();
      }
    }
  }
  for (const auto& [name, list] : {std::pair{"delete_props", &change.deletes},
                                   std::pair{"delete_namespaces", &change.namespaces}}) {
    if (const auto it = body.find(name); it != body.end() && it->is_array()) {
      *list = it->get<std::vector<std::string>>();
    }
  }
  std::sort(change.deletes.begin(), change.deletes.end());
  return change;
}

namespace {

/// Applies what was checked. True when something is different now.
bool Commit(const std::map<std::string, std::string>& values,
            const PropsChange& change,
            Props& props) {
  const Props before = props;
  for (const auto& [key, value] : values) {
    props[key] = value;
  }
  for (const auto& key : change.deletes) {
    props.erase(key);
  }
  for (const auto& space : change.namespaces) {
    std::erase_if(props, [&](const auto& prop) { return StartsWith(prop.first, space + "/"); });
  }
  return before != props;
}

Entry InvalidProperty(const PropsTarget& target) {
  Entry entry;
  entry.code = rc::Make(rc::kError | target.error_op | target.object | rc::kInvalidProp);
  entry.details = target.details;
  entry.refs = target.refs;
  entry.report_ids = {""};  // the caller files a report and fills in its id
  return entry;
}

}  // namespace

PropsOutcome ChangeProps(const PropertyRules& rules,
                         const PropsTarget& target,
                         const PropsChange& change,
                         Props& props) {
  PropsOutcome out;
  std::map<std::string, std::string> values;
  std::vector<std::string> keys;
  Entry bad = InvalidProperty(target);
  for (const auto& [key, value] : change.overrides) {
    const auto verdict = rules.Check(target.rules, key, value.value_or(""));
    if (!verdict.known_key) {
      bad.message = "Invalid property key: " + key;
      bad.cause = fmt::format("The key '{}' is not whitelisted.", key);
    } else if (!verdict.valid_value || !value) {
      bad.message = fmt::format("Invalid property({}) value: {}", key, value.value_or("null"));
      bad.cause =
          fmt::format("The value '{}' is not valid for the key '{}'", value.value_or("null"), key);
      bad.details = verdict.hint + "\n" + target.details;
    }
    if (!bad.message.empty()) {
      out.entries = {bad};
      return out;
    }
    values[key] = verdict.value;
    keys.push_back(key);
  }
  for (const auto& key : change.deletes) {
    if (!rules.Knows(target.rules, key)) {
      bad.message = "Invalid property key: " + key;
      bad.cause = fmt::format("The key '{}' is not whitelisted.", key);
      out.entries = {bad};
      return out;
    }
  }
  if (!keys.empty()) {
    out.entries.push_back(
        {.code = rc::Make(rc::kCreate | target.object | rc::kCreated),
         .message = fmt::format("Successfully set property key(s): {}", fmt::join(keys, ",")),
         .refs = target.refs});
  }
  if (values.contains("DrbdOptions/auto-quorum")) {  // CSI.md, row 11; the words are our own
    out.entries.push_back(
        {.code = rc::Make(rc::kWarning | rc::kCreate | target.object | rc::kDeprecated),
         .message = "The property 'DrbdOptions/auto-quorum' is deprecated and has no effect.",
         .correction = "Use 'DrbdOptions/Resource/quorum' and "
                       "'DrbdOptions/Resource/on-no-quorum' instead.",
         .refs = target.refs});
  }
  if (!change.deletes.empty()) {
    out.entries.push_back({.code = rc::Make(rc::kDelete | target.object | rc::kDeleted),
                           .message = fmt::format("Successfully deleted property key(s): {}",
                                                  fmt::join(change.deletes, ",")),
                           .refs = target.refs});
  }
  out.changed = Commit(values, change, props);
  return out;
}

namespace {

Entry ControllerError(std::uint64_t op, std::uint64_t number, std::string message) {
  Entry entry;
  entry.code = rc::Make(rc::kError | op | rc::kController | number);
  entry.message = std::move(message);
  entry.details = "Controller";
  return entry;
}

}  // namespace

PropsOutcome ChangeControllerProps(const PropertyRules& rules,
                                   const PropsChange& change,
                                   Props& props) {
  PropsOutcome out;
  std::map<std::string, std::string> values;
  for (const auto& [key, value] : change.overrides) {
    if (!value) {
      Entry bad = ControllerError(
          rc::kCreate, rc::kUnknownError,
          fmt::format("An exception of type NullPointerException occurred while setting controller "
                      "config prop with key '{}' in namespace 'null' with value 'null'.",
                      key));
      bad.report_ids = {""};
      out.entries = {bad};
      return out;
    }
    const auto verdict = rules.Check("CTRL", key, *value);
    if (!verdict.known_key) {
      out.entries = {ControllerError(rc::kCreate, rc::kInvalidProp,
                                     fmt::format("The key '{}' is not whitelisted", key))};
      return out;
    }
    if (!verdict.valid_value) {
      Entry bad = ControllerError(rc::kCreate, rc::kInvalidProp,
                                  fmt::format("The value '{}' is not valid.", *value));
      bad.details = verdict.hint + "\nController";
      out.entries = {bad};
      return out;
    }
    values[key] = verdict.value;
    out.entries.push_back({.code = rc::Make(rc::kCreate | rc::kController | rc::kCreated),
                           .message = fmt::format("Successfully set property '{}' to value '{}'",
                                                  key, verdict.value)});
  }
  for (const auto& key : change.deletes) {
    if (!rules.Knows("CTRL", key)) {
      Entry bad = ControllerError(rc::kDelete, rc::kInvalidProp,
                                  fmt::format("The key '{}' is not whitelisted", key));
      bad.report_ids = {""};
      out.entries = {bad};
      return out;
    }
    out.entries.push_back({.code = rc::Make(rc::kDelete | rc::kController | rc::kDeleted),
                           .message = fmt::format("Successfully deleted property '{}'", key)});
  }
  PropsChange keys = change;
  keys.namespaces.clear();  // accepted without effect (01-controller-props)
  out.changed = Commit(values, keys, props);
  return out;
}

}  // namespace breakwater::sim
