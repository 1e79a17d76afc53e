#include "operator/kube/watch_decoder.h"

#include <array>
#include <optional>
#include <utility>

#include "operator/api/object.h"

namespace breakwater::kube {
namespace {

std::optional<WatchEvent::Type> TypeOf(std::string_view text) {
  constexpr std::array<std::pair<std::string_view, WatchEvent::Type>, 5> kTypes{{
      {"ADDED", WatchEvent::Type::kAdded},
      {"MODIFIED", WatchEvent::Type::kModified},
      {"DELETED", WatchEvent::Type::kDeleted},
      {"BOOKMARK", WatchEvent::Type::kBookmark},
      {"ERROR", WatchEvent::Type::kError},
  }};
  for (const auto& [name, type] : kTypes) {
    if (name == text) {
      return type;
    }
  }
  return std::nullopt;
}

Result<WatchEvent, DecodeError> Decode(std::string_view line) {
  Json json = Json::parse(line, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) {
    return Unexpected{DecodeError{"a line of the watch is not a JSON object"}};
  }
  const std::string type_name = api::StringAt(json, "type");
  const auto type = TypeOf(type_name);
  if (!type) {
    return Unexpected{DecodeError{"unknown watch event type \"" + type_name + "\""}};
  }
  WatchEvent event{.type = *type, .object = Json::object()};
  if (const auto object = json.find("object"); object != json.end() && object->is_object()) {
    event.object = std::move(*object);
  }
  // An object that cannot be read must not end the watch: the reader sees an empty version.
  if (const Json* meta = api::FindMember(event.object, "metadata")) {
    event.resource_version = api::StringAt(*meta, "resourceVersion");
  }
  return event;
}

}  // namespace

Result<std::vector<WatchEvent>, DecodeError> WatchDecoder::Feed(std::string_view bytes) {
  std::vector<WatchEvent> events;
  while (!bytes.empty()) {
    const std::size_t end = bytes.find('\n');
    const std::string_view part = bytes.substr(0, end);
    if (line_.size() + part.size() > max_line_bytes_) {
      return Unexpected{DecodeError{"a watch event is longer than " +
                                    std::to_string(max_line_bytes_) + " bytes"}};
    }
    line_ += part;
    if (end == std::string_view::npos) {
      break;
    }
    bytes.remove_prefix(end + 1);
    const std::string line = std::exchange(line_, {});
    if (line.find_first_not_of(" \t\r") == std::string::npos) {
      continue;
    }
    BREAKWATER_ASSIGN_OR_RETURN(WatchEvent event, Decode(line));
    events.push_back(std::move(event));
  }
  return events;
}

}  // namespace breakwater::kube
