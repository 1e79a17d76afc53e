#include "tests/e2e/sim/linstor/view.h"

#include <algorithm>

#include <fmt/format.h>

namespace breakwater::sim {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr milliseconds kKeep{200};
constexpr milliseconds kAskTimeout{5000};

/// Backing devices are a little larger than the volume: DRBD's metadata.
constexpr std::int64_t kMetadataKib = 52;

// Points into `status`: with thousands of resources, copies were most of the time of a list.
template <typename Value>
const nlohmann::json* Lookup(const nlohmann::json& status,
                             const char* list,
                             const char* key,
                             const Value& value) {
  const auto items = status.find(list);
  if (items == status.end()) {
    return nullptr;
  }
  for (const auto& item : *items) {
    const auto member = item.find(key);
    if (member != item.end() && *member == value) {
      return &item;
    }
  }
  return nullptr;
}

nlohmann::json Connections(const Definition& definition,
                           const Resource& resource,
                           const nlohmann::json& status) {
  auto out = nlohmann::json::object();
  for (const auto& [key, peer] : definition.resources) {
    const auto* connection = Lookup(status, "connections", "name", peer.node);
    if (Key(peer.node) == Key(resource.node) || connection == nullptr) {
      continue;
    }
    const auto state = connection->value("connection-state", "Unknown");
    out[peer.node] = {{"connected", state == "Connected"}, {"message", state}};
  }
  return out;
}

nlohmann::json DrbdVolume(const VolumeDef& definition, const std::string& backing) {
  nlohmann::json out{{"drbd_volume_definition",
                      {{"volume_number", definition.number}, {"minor_number", definition.minor}}},
                     {"device_path", fmt::format("/dev/drbd{}", definition.minor)},
                     {"allocated_size_kib", definition.size_kib + kMetadataKib},
                     {"usable_size_kib", definition.size_kib}};
  if (!backing.empty()) {
    out["backing_device"] = backing;
  }
  return out;
}

nlohmann::json LuksVolume(const Definition& definition,
                          const VolumeDef& dfn,
                          const Volume& volume) {
  nlohmann::json out{{"volume_number", dfn.number},
                     {"allocated_size_kib", dfn.size_kib + kMetadataKib},
                     {"usable_size_kib", dfn.size_kib + kMetadataKib},
                     {"opened", true}};
  if (!volume.backing.empty()) {
    out["device_path"] = DeviceBelowDrbd(definition, volume);
    out["backing_device"] = volume.backing;
  }
  return out;
}

nlohmann::json StorageVolume(const VolumeDef& definition, const Volume& volume) {
  nlohmann::json out{{"volume_number", definition.number},
                     {"allocated_size_kib", definition.size_kib + kMetadataKib},
                     {"usable_size_kib", definition.size_kib + kMetadataKib},
                     {"disk_state", "[]"}};
  if (!volume.backing.empty()) {
    out["device_path"] = volume.backing;
  }
  return out;
}

nlohmann::json VolumeState(const Definition& definition, int number, const nlohmann::json& status) {
  nlohmann::json out = nlohmann::json::object();
  if (!HasLayer(definition, "DRBD")) {
    out["disk_state"] = "Created";
    return out;
  }
  if (const auto* device = Lookup(status, "devices", "volume", number)) {
    out["disk_state"] = device->value("disk-state", "Unknown");
  }
  auto states = nlohmann::json::object();
  for (const auto& [key, peer] : definition.resources) {
    const auto* connection = Lookup(status, "connections", "name", peer.node);
    const auto* peer_device =
        connection == nullptr ? nullptr : Lookup(*connection, "peer_devices", "volume", number);
    if (peer_device == nullptr) {
      continue;
    }
    const auto state = peer_device->value("replication-state", "Off");
    states[peer.node] = {{"replication_state", state}};
    const double percent = peer_device->value("percent-in-sync", 100.0);
    if (state.find("Sync") != std::string::npos) {
      states[peer.node]["done_percentage"] = percent;
    }
  }
  if (!states.empty()) {
    out["replication_states"] = states;
  }
  return out;
}

/// What one layer says about a volume.
nlohmann::json LayerVolume(const Definition& definition,
                           const std::string& layer,
                           const Volume& volume) {
  const VolumeDef& dfn = definition.volumes.at(volume.number);
  if (layer == "DRBD") {
    return DrbdVolume(dfn, DeviceBelowDrbd(definition, volume));
  }
  return layer == "LUKS" ? LuksVolume(definition, dfn, volume) : StorageVolume(dfn, volume);
}

nlohmann::json VolumeJson(const Definition& definition,
                          const Volume& volume,
                          const nlohmann::json& status) {
  nlohmann::json out{{"volume_number", volume.number},
                     {"storage_pool_name", volume.pool},
                     {"provider_kind", volume.kind},
                     {"device_path", TopDevice(definition, volume)},
                     {"allocated_size_kib", 0},
                     {"layer_data_list", nlohmann::json::array()},
                     {"uuid", volume.uuid}};
  for (const auto& layer : definition.layers) {
    out["layer_data_list"].push_back(
        {{"type", layer}, {"data", LayerVolume(definition, layer, volume)}});
  }
  if (const auto& flags = definition.volumes.at(volume.number).flags; !flags.empty()) {
    out["flags"] = flags;
  }
  if (!status.is_null()) {
    out["state"] = VolumeState(definition, volume.number, status);
  }
  return out;
}

nlohmann::json DrbdLayer(const Definition& definition,
                         const Resource& resource,
                         const nlohmann::json& status,
                         const nlohmann::json& volumes) {
  auto flags = nlohmann::json::array();
  if (IsDiskless(resource)) {
    flags.push_back("DISKLESS");
  }
  flags.push_back("INITIALIZED");
  nlohmann::json out{{"drbd_resource_definition", DrbdDefinitionJson(definition)},
                     {"node_id", resource.node_id},
                     {"tcp_ports", nlohmann::json::array({definition.port})},
                     {"peer_slots", 7},
                     {"al_stripes", 1},
                     {"al_size", 32},
                     {"flags", flags},
                     {"drbd_volumes", volumes}};
  if (!status.is_null()) {
    out["connections"] = Connections(definition, resource, status);
    out["promotion_score"] = 10101;
    out["may_promote"] = status.value("role", "") != "Primary";
  }
  return out;
}

/// The tree of layers, built from the lowest one up.
nlohmann::json Layers(const Definition& definition,
                      const Resource& resource,
                      const nlohmann::json& status) {
  nlohmann::json below;
  for (auto layer = definition.layers.rbegin(); layer != definition.layers.rend(); ++layer) {
    auto volumes = nlohmann::json::array();
    for (const auto& [number, volume] : resource.volumes) {
      volumes.push_back(LayerVolume(definition, *layer, volume));
    }
    nlohmann::json here{{"type", *layer}};
    if (*layer == "DRBD") {
      here["drbd"] = DrbdLayer(definition, resource, status, volumes);
    } else if (*layer == "LUKS") {
      here["luks"] = {{"luks_volumes", volumes}};
    } else {
      here["storage"] = {{"storage_volumes", volumes}};
    }
    if (!below.is_null()) {
      here["children"] = nlohmann::json::array({below});
    }
    below = std::move(here);
  }
  return below;
}

bool IsPrimary(const std::map<std::string, nlohmann::json>& all, const std::string& resource) {
  const auto it = all.find(Key(resource));
  return it != all.end() && it->second.value("role", "") == "Primary";
}

}  // namespace

StatusCache::Statuses StatusCache::Of(const std::string& node, bool fresh) {
  const auto now = steady_clock::now();
  if (!fresh) {
    const std::lock_guard lock(mutex_);
    const auto it = nodes_.find(Key(node));
    if (it != nodes_.end() && now - it->second.at < kKeep) {
      return it->second.resources;
    }
  }
  const auto run = port_.Run(node, {"drbdsetup", "status", "--json"}, kAskTimeout);
  auto answer = std::make_shared<std::map<std::string, nlohmann::json>>();
  auto list = nlohmann::json::parse(run.out, nullptr, false);
  if (run.exit == 0 && list.is_array()) {
    for (auto& resource : list) {
      std::string key = Key(resource.value("name", ""));
      (*answer)[std::move(key)] = std::move(resource);
    }
  }
  const std::lock_guard lock(mutex_);
  nodes_[Key(node)] = {now, answer};
  return answer;
}

bool StatusCache::InUse(const std::string& node, const std::string& resource) {
  return IsPrimary(*Of(node), resource);
}

bool StatusCache::InUseNow(const std::string& node, const std::string& resource) {
  return IsPrimary(*Of(node, true), resource);
}

bool StatusCache::AllUpToDate(const std::string& node, const std::string& resource) {
  const Statuses all = Of(node);
  const auto it = all->find(Key(resource));
  if (it == all->end()) {
    return true;  // LINSTOR answers true also for what is not deployed
  }
  const auto devices = it->second.value("devices", nlohmann::json::array());
  return std::all_of(devices.begin(), devices.end(), [](const nlohmann::json& device) {
    return device.value("disk-state", "") == "UpToDate";
  });
}

nlohmann::json DrbdDefinitionJson(const Definition& definition) {
  return {{"peer_slots", 7}, {"al_stripes", 1},        {"al_stripe_size_kib", 32},
          {"port", -1},      {"transport_type", "IP"}, {"secret", definition.secret},
          {"down", false}};
}

nlohmann::json ResourceJson(const Definition& definition,
                            const Resource& resource,
                            const nlohmann::json& status,
                            bool with_volumes) {
  auto volumes = nlohmann::json::array();
  for (const auto& [number, volume] : resource.volumes) {
    volumes.push_back(VolumeJson(definition, volume, status));
  }
  nlohmann::json out{{"name", definition.name},
                     {"node_name", resource.node},
                     {"props", resource.props},
                     {"uuid", resource.uuid},
                     {"create_timestamp", resource.created_ms},
                     {"layer_object", Layers(definition, resource, status)}};
  if (!resource.flags.empty()) {
    out["flags"] = resource.flags;
  }
  if (!status.is_null()) {
    out["state"] = {{"in_use", status.value("role", "") == "Primary"}};
  }
  if (with_volumes) {
    out["volumes"] = volumes;
  }
  return out;
}

}  // namespace breakwater::sim
