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
  return Json(value);
}

Json Scalar(const YAML::Node& node) {
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
  if (auto integer = AsInteger(text)) {
    return std::move(*integer);
  }
  if (auto number = AsFloat(text)) {
    return std::move(*number);
  }
  return text;
}

Json Convert(const YAML::Node& node, int depth, int* budget) {
  if (--*budget < 0 || depth > kMaxDepth) {
    throw std::length_error("the document is too large or too deep");
  }
  switch (node.Type()) {
    case YAML::NodeType::Scalar:
      return Scalar(node);
    case YAML::NodeType::Sequence: {
      Json list = Json::array();
      for (const YAML::Node& item : node) {
        list.push_back(Convert(item, depth + 1, budget));
      }
      return list;
    }
    case YAML::NodeType::Map: {
      Json map = Json::object();
      for (const auto& entry : node) {
        if (!entry.first.IsScalar()) {
          throw std::invalid_argument("keys of a map must be strings");
        }
        map[entry.first.Scalar()] = Convert(entry.second, depth + 1, budget);
      }
      return map;
    }
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

Result<std::vector<Json>, Error> ParseYaml(std::string_view text) {
  std::vector<Json> result;
  try {
    CheckProgress(std::string(text));
    int budget = kMaxValues;
    for (const YAML::Node& document : YAML::LoadAll(std::string(text))) {
      if (document.IsDefined() && !document.IsNull()) {
        result.push_back(Convert(document, 0, &budget));
      }
    }
  } catch (const std::exception& error) {
    return Unexpected{Error{ErrorClass::kInvalid, error.what()}};
  }
  return result;
}

}  // namespace breakwater::core
