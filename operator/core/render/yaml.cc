#include "operator/core/render/yaml.h"

#include <charconv>
#include <cmath>
#include <optional>
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

namespace breakwater::core {
namespace {

using api::Json;

constexpr int kMaxValues = 200'000;
constexpr int kMaxDepth = 200;

template <typename Integer>
std::optional<Integer> ParseInteger(std::string_view digits, int base) {
  Integer value{};
  const auto [end, error] =
      std::from_chars(digits.data(), digits.data() + digits.size(), value, base);
  if (error != std::errc() || end != digits.data() + digits.size() || digits.empty()) {
    return std::nullopt;
  }
  return value;
}

std::optional<Json> AsInteger(std::string_view text) {
  if (text.starts_with("0x")) {
    const auto value = ParseInteger<std::int64_t>(text.substr(2), 16);
    return value ? std::optional<Json>(*value) : std::nullopt;
  }
  if (text.starts_with("0b")) {
    const auto value = ParseInteger<std::int64_t>(text.substr(2), 2);
    return value ? std::optional<Json>(*value) : std::nullopt;
  }
  if (text.starts_with("0o")) {
    const auto value = ParseInteger<std::int64_t>(text.substr(2), 8);
    return value ? std::optional<Json>(*value) : std::nullopt;
  }
  if (text.size() > 1 && text.front() == '0') {
    const auto value = ParseInteger<std::int64_t>(text.substr(1), 8);
    return value ? std::optional<Json>(*value) : std::nullopt;
  }
  const std::string_view digits = text.starts_with('+') ? text.substr(1) : text;
  if (const auto value = ParseInteger<std::int64_t>(digits, 10)) {
    return Json(*value);
  }
  if (const auto value = ParseInteger<std::uint64_t>(digits, 10)) {
    return Json(*value);
  }
  return std::nullopt;
}

std::optional<Json> AsFloat(std::string_view text) {
  if (text.find_first_not_of("0123456789+-.eE") != std::string_view::npos ||
      text.find_first_of("0123456789") == std::string_view::npos) {
    return std::nullopt;
  }
  const std::string_view digits = text.starts_with('+') ? text.substr(1) : text;
  double value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error != std::errc() || end != digits.data() + digits.size() || !std::isfinite(value)) {
    return std::nullopt;
  }
  // Go writes whole numbers without a point, and fields of the API take no other.
  constexpr double kExact = 9007199254740992;  // 2^53
  if (std::trunc(value) == value && std::abs(value) <= kExact) {
    return Json(static_cast<std::int64_t>(value));
  }
  return Json(value);
}

/// The words of YAML 1.1. Source: `kubectl kustomize` 5.8 on JSON patches.
std::optional<bool> AsOldBoolean(std::string_view text) {
  for (const std::string_view word : {"y", "Y", "yes", "Yes", "YES", "on", "On", "ON"}) {
    if (text == word) {
      return true;
    }
  }
  for (const std::string_view word : {"n", "N", "no", "No", "NO", "off", "Off", "OFF"}) {
    if (text == word) {
      return false;
    }
  }
  return std::nullopt;
}

Json Scalar(const YAML::Node& node, bool old_booleans) {
  const std::string& text = node.Scalar();
  if (node.Tag() == "!" || node.Tag() == "tag:yaml.org,2002:str") {
    return text;  // quoted, or tagged as a string
  }
  if (text.empty() || text == "~" || text == "null" || text == "Null" || text == "NULL") {
    return nullptr;
  }
  if (text == "true" || text == "True" || text == "TRUE") {
    return true;
  }
  if (text == "false" || text == "False" || text == "FALSE") {
    return false;
  }
  if (const auto old = old_booleans ? AsOldBoolean(text) : std::nullopt) {
    return *old;
  }
  std::string digits = text;  // 1_000
  if (text.find_first_not_of("+-0123456789_.abcdefABCDEFox") == std::string::npos &&
      text.front() != '_') {
    std::erase(digits, '_');
  }
  if (auto integer = AsInteger(digits)) {
    return std::move(*integer);
  }
  if (auto number = AsFloat(digits)) {
    return std::move(*number);
  }
  return text;
}

/// A key as a JSON member: Go prints what the key was read as.
std::string Key(const YAML::Node& node, bool old_booleans) {
  const Json key = old_booleans ? Scalar(node, true) : Json(node.Scalar());
  return key.is_string() || key.is_null() ? node.Scalar() : key.dump();
}

Json Convert(const YAML::Node& node, bool old_booleans, int depth, int* budget);

/// `<<`: members that stand in the map itself win, and of several maps the earlier.
void MergeInto(const YAML::Node& value, bool old_booleans, int depth, int* budget, Json* map) {
  if (value.IsSequence()) {
    for (const YAML::Node& item : value) {
      if (!item.IsMap()) {
        throw std::invalid_argument("a merge key (<<) takes a map or a list of maps");
      }
      MergeInto(item, old_booleans, depth, budget, map);
    }
    return;
  }
  if (!value.IsMap()) {
    throw std::invalid_argument("a merge key (<<) takes a map or a list of maps");
  }
  const Json merged = Convert(value, old_booleans, depth + 1, budget);
  for (const auto& [key, member] : merged.items()) {
    if (!map->contains(key)) {
      (*map)[key] = member;
    }
  }
}

Json ConvertMap(const YAML::Node& node, bool old_booleans, int depth, int* budget) {
  Json map = Json::object();
  std::vector<YAML::Node> merges;
  for (const auto& entry : node) {
    if (!entry.first.IsScalar()) {
      throw std::invalid_argument("keys of a map must be strings");
    }
    if (entry.first.Scalar() == "<<") {
      merges.push_back(entry.second);
      continue;
    }
    map[Key(entry.first, old_booleans)] = Convert(entry.second, old_booleans, depth + 1, budget);
  }
  for (const YAML::Node& merge : merges) {
    MergeInto(merge, old_booleans, depth, budget, &map);
  }
  return map;
}

Json Convert(const YAML::Node& node, bool old_booleans, int depth, int* budget) {
  if (--*budget < 0 || depth > kMaxDepth) {
    throw std::length_error("the document is too large or too deep");
  }
  switch (node.Type()) {
    case YAML::NodeType::Scalar:
      return Scalar(node, old_booleans);
    case YAML::NodeType::Sequence: {
      Json list = Json::array();
      for (const YAML::Node& item : node) {
        list.push_back(Convert(item, old_booleans, depth + 1, budget));
      }
      return list;
    }
    case YAML::NodeType::Map:
      return ConvertMap(node, old_booleans, depth, budget);
    case YAML::NodeType::Null:
    case YAML::NodeType::Undefined:
      break;
  }
  return nullptr;
}

/// Reads along and throws where LoadAll() of yaml-cpp 0.7 would go on for ever and take all memory:
/// at text that ends no document and begins none, such as a comma at the start of a line, it makes
/// one empty document after the other.
class Progress final : public YAML::EventHandler {
 public:
  void OnDocumentStart(const YAML::Mark& mark) override {
    if (mark.pos == last_) {
      throw YAML::ParserException(mark, "unexpected text");
    }
    last_ = mark.pos;
  }

  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t /*anchor*/) override { Count(mark); }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t /*anchor*/) override { Count(mark); }

  void OnScalar(const YAML::Mark& mark,
                const std::string& /*tag*/,
                YAML::anchor_t /*anchor*/,
                const std::string& /*value*/) override {
    Count(mark);
  }

  void OnSequenceStart(const YAML::Mark& mark,
                       const std::string& /*tag*/,
                       YAML::anchor_t /*anchor*/,
                       YAML::EmitterStyle::value /*style*/) override {
    Count(mark);
  }

  void OnSequenceEnd() override {}

  void OnMapStart(const YAML::Mark& mark,
                  const std::string& /*tag*/,
                  YAML::anchor_t /*anchor*/,
                  YAML::EmitterStyle::value /*style*/) override {
    Count(mark);
  }

  void OnMapEnd() override {}

 private:
  void Count(const YAML::Mark& mark) {
    if (++values_ > kMaxValues) {
      throw YAML::ParserException(mark, "the document is too large");
    }
  }

  int last_ = -1;
  int values_ = 0;
};

void CheckProgress(const std::string& text) {
  std::istringstream input(text);
  YAML::Parser parser(input);
  Progress progress;
  while (parser.HandleNextDocument(progress)) {
  }
}

}  // namespace

Result<std::vector<Json>, Error> ParseYaml(std::string_view text, YamlBooleans booleans) {
  std::vector<Json> result;
  try {
    CheckProgress(std::string(text));
    int budget = kMaxValues;
    for (const YAML::Node& document : YAML::LoadAll(std::string(text))) {
      if (document.IsDefined() && !document.IsNull()) {
        const bool old_booleans = booleans == YamlBooleans::kOld ||
                                  (booleans == YamlBooleans::kOldInLists && document.IsSequence());
        result.push_back(Convert(document, old_booleans, 0, &budget));
      }
    }
  } catch (const std::exception& error) {
    return Unexpected{Error{ErrorClass::kInvalid, error.what()}};
  }
  return result;
}

}  // namespace breakwater::core
