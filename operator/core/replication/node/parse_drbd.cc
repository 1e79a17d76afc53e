#include <algorithm>
#include <limits>
#include <utility>

#include <nlohmann/json.hpp>

#include "operator/core/replication/node/parse.h"
#include "operator/core/replication/node/text.h"

namespace breakwater::replication {
namespace {

using Json = nlohmann::json;

// More than any node can hold; a bound against a reply that never ends.
constexpr std::size_t kMaxItems = 20000;

const Json& Empty() {
  static const Json kEmpty = Json::array();
  return kEmpty;
}

const Json& Member(const Json& object, const char* key) {
  if (!object.is_object()) {
    return Empty();
  }
  const auto it = object.find(key);
  return it == object.end() ? Empty() : *it;
}

std::string Text(const Json& object, const char* key) {
  const Json& value = Member(object, key);
  return value.is_string() ? value.get<std::string>() : std::string();
}

std::string TextOrNumber(const Json& object, const char* key) {
  const Json& value = Member(object, key);
  return value.is_number_integer() ? std::to_string(value.get<std::int64_t>()) : Text(object, key);
}

int Int(const Json& object, const char* key) {
  const Json& value = Member(object, key);
  if (!value.is_number_integer()) {
    return -1;
  }
  const auto number = value.get<std::int64_t>();
  return number < 0 || number > std::numeric_limits<int>::max() ? -1 : static_cast<int>(number);
}

bool Bool(const Json& object, const char* key) {
  const Json& value = Member(object, key);
  return value.is_boolean() && value.get<bool>();
}

std::optional<bool> MaybeBool(const Json& object, const char* key) {
  const Json& value = Member(object, key);
  if (value.is_boolean()) {
    return value.get<bool>();
  }
  return std::nullopt;
}

// Items of a list; a missing or wrong list reads as empty, a huge one is cut.
template <typename Fn>
void ForEach(const Json& object, const char* key, Fn fn) {
  const Json& list = Member(object, key);
  if (!list.is_array()) {
    return;
  }
  std::size_t count = 0;
  for (const Json& item : list) {
    if (++count > kMaxItems) {
      return;
    }
    if (item.is_object()) {
      fn(item);
    }
  }
}

PeerDevice ReadPeerDevice(const Json& json) {
  PeerDevice device;
  device.volume = Int(json, "volume");
  device.replication = Text(json, "replication-state");
  device.peer_disk = Text(json, "peer-disk-state");
  device.peer_client = Bool(json, "peer-client");
  const Json& behind = Member(json, "out-of-sync");
  if (behind.is_number_unsigned()) {
    device.out_of_sync_kib = behind.get<std::uint64_t>();
  }
  return device;
}

std::vector<DrbdPath> ReadPaths(const Json& json) {
  std::vector<DrbdPath> paths;
  ForEach(json, "paths", [&](const Json& path) {
    const Json& here = Member(path, "this_host");
    const Json& there = Member(path, "remote_host");
    paths.push_back(
        {Text(here, "address"), Int(here, "port"), Text(there, "address"), Int(there, "port")});
  });
  return paths;
}

DrbdConnection ReadConnection(const Json& json) {
  DrbdConnection connection;
  connection.peer_node_id = Int(json, "peer-node-id");
  connection.peer = Text(json, "name");
  connection.state = Text(json, "connection-state");
  connection.peer_role = Text(json, "peer-role");
  connection.tls = MaybeBool(json, "tls");
  connection.paths = ReadPaths(json);
  ForEach(json, "peer_devices",
          [&](const Json& item) { connection.devices.push_back(ReadPeerDevice(item)); });
  return connection;
}

DrbdStatus ReadStatus(const Json& json) {
  DrbdStatus status;
  status.name = Text(json, "name");
  status.node_id = Int(json, "node-id");
  status.role = Text(json, "role");
  status.suspended_user = Bool(json, "suspended-user");
  status.suspended_no_data = Bool(json, "suspended-no-data");
  status.suspended_quorum = Bool(json, "suspended-quorum");
  ForEach(json, "devices", [&](const Json& item) {
    status.devices.push_back({Int(item, "volume"), Int(item, "minor"), Text(item, "disk-state"),
                              Bool(item, "client"), Bool(item, "quorum")});
  });
  ForEach(json, "connections",
          [&](const Json& item) { status.connections.push_back(ReadConnection(item)); });
  return status;
}

DrbdShow ReadShow(const Json& json) {
  DrbdShow show;
  show.name = Text(json, "resource");
  const Json& options = Member(json, "options");
  show.quorum = TextOrNumber(options, "quorum");
  show.minimum_redundancy = TextOrNumber(options, "quorum-minimum-redundancy");
  show.on_no_quorum = Text(options, "on-no-quorum");
  show.on_no_data = Text(options, "on-no-data-accessible");
  ForEach(json, "connections", [&](const Json& item) {
    const Json& net = Member(item, "net");
    ShownConnection connection;
    connection.peer_node_id = Int(item, "_peer_node_id");
    connection.peer = Text(net, "_name");
    connection.tls = MaybeBool(net, "tls");
    connection.transport = Text(net, "transport");
    connection.load_balance_paths = Bool(net, "load-balance-paths");
    connection.paths = ReadPaths(item);
    show.connections.push_back(std::move(connection));
  });
  return show;
}

template <typename T, typename Read>
std::optional<std::map<std::string, T>> ParseList(std::string_view text, Read read) {
  const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_array()) {
    return std::nullopt;
  }
  std::map<std::string, T> result;
  std::size_t count = 0;
  for (const Json& item : json) {
    if (++count > kMaxItems) {
      break;
    }
    T value = read(item);
    if (IsSafeName(value.name)) {  // nobody could ask for anything about another
      result.insert_or_assign(value.name, std::move(value));
    }
  }
  return result;
}

}  // namespace

std::optional<std::map<std::string, DrbdStatus>> ParseStatus(std::string_view text) {
  return ParseList<DrbdStatus>(text, ReadStatus);
}

std::optional<std::map<std::string, DrbdShow>> ParseShow(std::string_view text) {
  return ParseList<DrbdShow>(text, ReadShow);
}

}  // namespace breakwater::replication
