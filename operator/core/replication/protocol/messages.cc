#include "operator/core/replication/protocol/messages.h"

#include <algorithm>
#include <array>
#include <type_traits>
#include <utility>

#include "operator/core/replication/protocol/fields.h"

namespace breakwater::replication {
namespace {

std::string Line(const char* key, Json value) {
  Json message = Json::object();
  message[key] = std::move(value);
  return ToText(message) + "\n";
}

Unexpected<Error> Invalid(std::string_view what) {
  return Unexpected{Error{ErrorClass::kInvalid, "message: " + std::string(what)}};
}

template <typename Message, typename T>
Result<std::optional<Message>, Error> ReadStruct(const Json& json, const Json& /*line*/) {
  T value;
  std::string problem;
  Reader reader(json, &problem);
  Fields(reader, value);
  if (!problem.empty()) {
    return Invalid(problem);
  }
  return std::optional<Message>(std::move(value));
}

template <typename Message, typename T>
Result<std::optional<Message>, Error> ReadNumber(const Json& json, const Json& /*line*/) {
  const bool fits = json.is_number_integer() &&
                    (!json.is_number_unsigned() || json.get<std::uint64_t>() <= INT64_MAX);
  if (!fits) {
    return Invalid("a number is expected");
  }
  return std::optional<Message>(T{json.get<std::int64_t>()});
}

// The time stands beside the number: what there was in the first version stays as it was.
Result<std::optional<AgentMessage>, Error> ReadPong(const Json& json, const Json& line) {
  auto message = ReadNumber<AgentMessage, PongMessage>(json, line);
  const auto time = line.find("time");
  if (!message || time == line.end()) {
    return message;
  }
  auto seconds = ReadNumber<AgentMessage, PongMessage>(*time, line);
  if (!seconds) {
    return seconds;
  }
  std::get<PongMessage>(**message).time = std::get<PongMessage>(**seconds).number;
  return message;
}

Result<std::optional<AgentMessage>, Error> ReadSynced(const Json& json, const Json& /*line*/) {
  if (json != Json(true)) {
    return Invalid("synced is not true");
  }
  return std::optional<AgentMessage>(SyncedMessage{});
}

Result<std::optional<AgentMessage>, Error> ReadGone(const Json& json, const Json& /*line*/) {
  if (!json.is_string() || !IsSafeName(json.get_ref<const std::string&>())) {
    return Invalid("gone names no resource");
  }
  return std::optional<AgentMessage>(GoneMessage{json.get<std::string>()});
}

Result<std::optional<OperatorMessage>, Error> ReadCancel(const Json& json, const Json& /*line*/) {
  if (!json.is_string() || !IsTransactionId(json.get_ref<const std::string&>())) {
    return Invalid("cancel names no id");
  }
  return std::optional<OperatorMessage>(CancelMessage{json.get<std::string>()});
}

template <typename Message>
struct Entry {
  std::string_view key;
  Result<std::optional<Message>, Error> (*read)(const Json& value, const Json& line);
};

// One message per line: the member that names it decides; others beside it are ignored unless they
// name a message too.
template <typename Message, std::size_t N>
Result<std::optional<Message>, Error> Decode(std::string_view line,
                                             const std::array<Entry<Message>, N>& entries) {
  if (line.size() > kMaxLineBytes) {
    return Invalid("the line is too long");
  }
  const std::optional<Json> json = ParseObject(line);
  if (!json) {
    return Invalid("no JSON object, or nested too deep");
  }
  const Entry<Message>* found = nullptr;
  for (const Entry<Message>& entry : entries) {
    if (!json->contains(entry.key)) {
      continue;
    }
    if (found != nullptr) {
      return Invalid("two messages in one line");
    }
    found = &entry;
  }
  if (found == nullptr) {
    return std::optional<Message>{};
  }
  return found->read(*json->find(found->key), *json);
}

constexpr std::array<Entry<AgentMessage>, 8> kAgentMessages{
    {{"hello", ReadStruct<AgentMessage, AgentHello>},
     {"node", ReadStruct<AgentMessage, NodeFactsMessage>},
     {"resource", ReadStruct<AgentMessage, ResourceMessage>},
     {"gone", ReadGone},
     {"synced", ReadSynced},
     {"progress", ReadStruct<AgentMessage, ProgressMessage>},
     {"result", ReadStruct<AgentMessage, ResultMessage>},
     {"pong", ReadPong}}};

constexpr std::array<Entry<OperatorMessage>, 4> kOperatorMessages{
    {{"hello", ReadStruct<OperatorMessage, OperatorHello>},
     {"request", ReadStruct<OperatorMessage, TransactionRequest>},
     {"cancel", ReadCancel},
     {"ping", ReadNumber<OperatorMessage, PingMessage>}}};

struct Encoder {
  std::string operator()(const AgentHello& m) const { return Line("hello", Writer::ToJson(m)); }

  std::string operator()(const NodeFactsMessage& m) const {
    return Line("node", Writer::ToJson(m));
  }

  std::string operator()(const ResourceMessage& m) const {
    return Line("resource", Writer::ToJson(m));
  }

  std::string operator()(const GoneMessage& m) const { return Line("gone", m.name); }

  std::string operator()(const SyncedMessage& /*m*/) const { return Line("synced", true); }

  std::string operator()(const ProgressMessage& m) const {
    return Line("progress", Writer::ToJson(m));
  }

  std::string operator()(const ResultMessage& m) const { return Line("result", Writer::ToJson(m)); }

  std::string operator()(const PongMessage& m) const {
    Json message = Json::object();
    message["pong"] = m.number;
    if (m.time) {
      message["time"] = *m.time;
    }
    return ToText(message) + "\n";
  }

  std::string operator()(const OperatorHello& m) const { return Line("hello", Writer::ToJson(m)); }

  std::string operator()(const TransactionRequest& m) const {
    return Line("request", Writer::ToJson(m));
  }

  std::string operator()(const CancelMessage& m) const { return Line("cancel", m.id); }

  std::string operator()(const PingMessage& m) const { return Line("ping", m.number); }
};

}  // namespace

std::string Encode(const AgentMessage& message) {
  return std::visit(Encoder{}, message);
}

std::string Encode(const OperatorMessage& message) {
  return std::visit(Encoder{}, message);
}

Result<std::optional<AgentMessage>, Error> DecodeAgentMessage(std::string_view line) {
  return Decode(line, kAgentMessages);
}

Result<std::optional<OperatorMessage>, Error> DecodeOperatorMessage(std::string_view line) {
  return Decode(line, kOperatorMessages);
}

std::optional<int> AgreeOnProtocol(int own, int own_oldest, int peer, int peer_oldest) {
  const int highest = std::min(own, peer);
  return highest >= std::max(own_oldest, peer_oldest) ? std::optional<int>(highest) : std::nullopt;
}

Result<std::vector<std::string>, Error> LineSplitter::Feed(std::string_view bytes) {
  std::vector<std::string> lines;
  while (!broken_ && !bytes.empty()) {
    const std::size_t end = bytes.find('\n');
    const std::string_view part = bytes.substr(0, end);
    if (rest_.size() + part.size() > max_line_) {
      broken_ = true;
      rest_ = {};
      break;
    }
    rest_.append(part);
    if (end == std::string_view::npos) {
      break;
    }
    lines.push_back(std::exchange(rest_, {}));
    bytes.remove_prefix(end + 1);
  }
  if (broken_ && lines.empty()) {
    return Invalid("a line is longer than " + std::to_string(max_line_) + " bytes");
  }
  return lines;
}

}  // namespace breakwater::replication
