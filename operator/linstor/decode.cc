#include "operator/linstor/decode.h"

#include <algorithm>

#include "operator/base/json_depth.h"

namespace breakwater::linstor {
namespace {

const Json& Member(const Json& value, const char* key) {
  static const Json kNull;
  if (!value.is_object()) {
    return kNull;
  }
  const auto found = value.find(key);
  return found == value.end() ? kNull : *found;
}

/// The list at `key`, or an empty one.
const Json& Items(const Json& value, const char* key) {
  static const Json kNone = Json::array();
  const Json& member = Member(value, key);
  return member.is_array() ? member : kNone;
}

std::string Text(const Json& value, const char* key) {
  const Json& member = Member(value, key);
  return member.is_string() ? member.get<std::string>() : std::string();
}

std::int64_t Integer(const Json& value, const char* key, std::int64_t fallback = 0) {
  const Json& member = Member(value, key);
  return member.is_number_integer() ? member.get<std::int64_t>() : fallback;
}

std::optional<std::int64_t> OptionalInteger(const Json& value, const char* key) {
  const Json& member = Member(value, key);
  if (!member.is_number_integer()) {
    return std::nullopt;
  }
  return member.get<std::int64_t>();
}

bool Flag(const Json& value, const char* key) {
  const Json& member = Member(value, key);
  return member.is_boolean() && member.get<bool>();
}

std::vector<std::string> Texts(const Json& value, const char* key) {
  std::vector<std::string> texts;
  for (const Json& item : Items(value, key)) {
    if (item.is_string()) {
      texts.push_back(item.get<std::string>());
    }
  }
  return texts;
}

template <typename Decode>
auto List(const Json& value, const char* key, Decode decode) {
  std::vector<decltype(decode(value))> items;
  for (const Json& item : Items(value, key)) {
    items.push_back(decode(item));
  }
  return items;
}

ApiCallRc DecodeMessage(const Json& value) {
  return ApiCallRc{.ret_code = Integer(value, "ret_code"),
                   .message = Text(value, "message"),
                   .cause = Text(value, "cause"),
                   .details = Text(value, "details"),
                   .correction = Text(value, "correction")};
}

NetInterface DecodeNetInterface(const Json& value) {
  NetInterface netif{.name = Text(value, "name"),
                     .address = Text(value, "address"),
                     .satellite_encryption_type = Text(value, "satellite_encryption_type"),
                     .is_active = Flag(value, "is_active")};
  if (const auto port = OptionalInteger(value, "satellite_port")) {
    netif.satellite_port = static_cast<int>(*port);
  }
  return netif;
}

Volume DecodeVolume(const Json& value) {
  Volume volume{.number = static_cast<int>(Integer(value, "volume_number")),
                .storage_pool = Text(value, "storage_pool_name"),
                .provider_kind = Text(value, "provider_kind"),
                .device_path = Text(value, "device_path"),
                .props = DecodeProps(Member(value, "props")),
                .flags = Texts(value, "flags"),
                .allocated_kib = Integer(value, "allocated_size_kib")};
  const Json& state = Member(value, "state");
  volume.disk_state = Text(state, "disk_state");
  const Json& replication = Member(state, "replication_states");
  if (replication.is_object()) {
    for (const auto& [peer, detail] : replication.items()) {
      volume.replication_states[peer] = Text(detail, "replication_state");
    }
  }
  return volume;
}

void DecodeDrbdLayer(const Json& layer, Resource& resource) {
  const Json& drbd = Member(layer, "drbd");
  if (drbd.is_object()) {
    resource.has_drbd = true;
    resource.drbd_node_id = static_cast<int>(Integer(drbd, "node_id", -1));
    for (const Json& port : Items(drbd, "tcp_ports")) {
      if (port.is_number_integer()) {
        resource.tcp_ports.push_back(port.get<int>());
      }
    }
    const Json& connections = Member(drbd, "connections");
    if (connections.is_object()) {
      for (const auto& [peer, detail] : connections.items()) {
        resource.connections[peer] = {Flag(detail, "connected"), Text(detail, "message")};
      }
    }
    return;
  }
  for (const Json& child : Items(layer, "children")) {
    DecodeDrbdLayer(child, resource);
  }
}

bool IsForeignAux(const Json& key) {
  const auto& name = key.get_ref<const std::string&>();
  return name.starts_with("Aux/") && !name.starts_with("Aux/breakwater.io/") &&
         !name.starts_with("Aux/piraeus.io/");
}

}  // namespace

Result<Json, DecodeError> ParseJson(std::string_view text, bool skip_foreign_aux) {
  if (NestsDeeperThan(text, kMaxJsonDepth)) {  // layers are read recursively
    return Unexpected{DecodeError{"LINSTOR's reply is nested more than " +
                                  std::to_string(kMaxJsonDepth) + " levels deep"}};
  }
  Json::parser_callback_t keep = nullptr;  // only where it pays: it costs time for each value
  if (skip_foreign_aux && text.size() > kLargeReply) {
    keep = [](int /*depth*/, Json::parse_event_t event, const Json& parsed) {
      return event != Json::parse_event_t::key || !IsForeignAux(parsed);
    };
  }
  Json value = Json::parse(text, keep, /*allow_exceptions=*/false);
  if (value.is_discarded()) {
    return Unexpected{
        DecodeError{"LINSTOR's reply of " + std::to_string(text.size()) + " bytes is not JSON"}};
  }
  return value;
}

std::vector<ApiCallRc> DecodeMessages(const Json& value) {
  std::vector<ApiCallRc> messages;
  if (value.is_object() && value.contains("ret_code")) {
    messages.push_back(DecodeMessage(value));
  }
  if (value.is_array()) {
    for (const Json& item : value) {
      if (item.is_object() && item.contains("ret_code")) {
        messages.push_back(DecodeMessage(item));
      }
    }
  }
  return messages;
}

Props DecodeProps(const Json& value) {
  Props props;
  if (value.is_object()) {
    for (const auto& [key, item] : value.items()) {
      if (item.is_string()) {
        props[key] = item.get<std::string>();
      }
    }
  }
  return props;
}

ControllerVersion DecodeVersion(const Json& value) {
  return {Text(value, "version"), Text(value, "git_hash"), Text(value, "build_time"),
          Text(value, "rest_api_version")};
}

Node DecodeNode(const Json& value) {
  return Node{.name = Text(value, "name"),
              .type = Text(value, "type"),
              .flags = Texts(value, "flags"),
              .props = DecodeProps(Member(value, "props")),
              .net_interfaces = List(value, "net_interfaces", DecodeNetInterface),
              .connection_status = Text(value, "connection_status"),
              .storage_providers = Texts(value, "storage_providers"),
              .resource_layers = Texts(value, "resource_layers")};
}

StoragePool DecodeStoragePool(const Json& value) {
  return StoragePool{.name = Text(value, "storage_pool_name"),
                     .node = Text(value, "node_name"),
                     .provider_kind = Text(value, "provider_kind"),
                     .props = DecodeProps(Member(value, "props")),
                     .free_kib = OptionalInteger(value, "free_capacity"),
                     .total_kib = OptionalInteger(value, "total_capacity"),
                     .reports = DecodeMessages(Member(value, "reports")),
                     .shared_space = Text(value, "shared_space"),
                     .external_locking = Flag(value, "external_locking")};
}

ResourceGroup DecodeResourceGroup(const Json& value) {
  return {Text(value, "name"), DecodeProps(Member(value, "props")),
          OptionalInteger(Member(value, "select_filter"), "place_count").value_or(0)};
}

ResourceDefinition DecodeResourceDefinition(const Json& value) {
  return ResourceDefinition{
      .name = Text(value, "name"),
      .resource_group = Text(value, "resource_group_name"),
      .props = DecodeProps(Member(value, "props")),
      .flags = Texts(value, "flags"),
      .layers = List(value, "layer_data", [](const Json& layer) { return Text(layer, "type"); })};
}

Resource DecodeResource(const Json& value) {
  Resource resource{.name = Text(value, "name"),
                    .node = Text(value, "node_name"),
                    .flags = Texts(value, "flags"),
                    .props = DecodeProps(Member(value, "props")),
                    .volumes = List(value, "volumes", DecodeVolume)};
  const Json& in_use = Member(Member(value, "state"), "in_use");
  if (in_use.is_boolean()) {
    resource.in_use = in_use.get<bool>();
  }
  DecodeDrbdLayer(Member(value, "layer_object"), resource);
  return resource;
}

Connection DecodeConnection(const Json& value) {
  return {Text(value, "node_a"), Text(value, "node_b"), DecodeProps(Member(value, "props"))};
}

Snapshot DecodeSnapshot(const Json& value) {
  return {Text(value, "name"), Text(value, "resource_name"), Texts(value, "nodes")};
}

}  // namespace breakwater::linstor
