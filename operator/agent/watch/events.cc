#include "operator/agent/watch/events.h"

#include <cstddef>
#include <optional>
#include <vector>

#include "operator/core/replication/node/text.h"

namespace breakwater::agent {
namespace {

bool IsVerb(std::string_view word) {
  return word == "exists" || word == "create" || word == "change" || word == "destroy" ||
         word == "rename";
}

}  // namespace

DrbdEvent ParseEvent(std::string_view line) {
  const std::vector<std::string_view> words = replication::Words(line);
  std::size_t at = 0;
  if (words.size() >= 3 && !IsVerb(words[0]) && words[0].find(':') != std::string_view::npos) {
    at = 1;
  }
  DrbdEvent event;
  if (words.size() < at + 2 || !IsVerb(words[at])) {
    return event;
  }
  if (words[at + 1] == "-") {
    event.kind = DrbdEvent::Kind::kDumpEnd;
    return event;
  }
  event.exists = words[at] == "exists";
  event.kind = DrbdEvent::Kind::kAll;
  for (std::size_t i = at + 2; i < words.size(); ++i) {
    const std::size_t colon = words[i].find(':');
    const std::string_view key = words[i].substr(0, colon);
    const std::string_view value =
        colon == std::string_view::npos ? std::string_view() : words[i].substr(colon + 1);
    if (key == "name" && replication::IsSafeName(value) && words[at] != "rename") {
      event.kind = DrbdEvent::Kind::kChange;
      event.resource = value;
    } else if (key == "conn-name") {
      event.peer = value;
    } else if (key == "volume") {
      event.volume = static_cast<int>(replication::ToInteger(value).value_or(-1));
    } else if (key == "replication") {
      event.replication = value;
    } else if (key == "peer-disk") {
      event.peer_disk = value;
    }
  }
  return event;
}

}  // namespace breakwater::agent
