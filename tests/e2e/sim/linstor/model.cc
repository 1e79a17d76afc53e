#include "tests/e2e/sim/linstor/model.h"

#include <algorithm>
#include <cctype>
#include <ctime>
#include <random>

#include <fmt/format.h>

namespace breakwater::sim {
namespace {

std::mt19937_64& Random() {
  thread_local std::mt19937_64 random{std::random_device{}()};
  return random;
}

}  // namespace

NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(NetIf, name, address, encryption, uuid, port, active)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Node, name, type, uuid, flags, props, nets, next_loop)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(
    StorPool, name, node, kind, uuid, props, free_kib, total_kib, shared_space, external_locking)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(VolumeGroup, number, uuid, props, flags)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Group, name, description, uuid, props, select_filter, volumes)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(VolumeDef, number, size_kib, minor, uuid, props, flags)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Volume, number, uuid, backing, pool, kind)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Resource,
                                   node,
                                   uuid,
                                   props,
                                   flags,
                                   node_id,
                                   created_ms,
                                   initialized,
                                   copy_of,
                                   copy_name,
                                   volumes)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Connection, a, b, uuid, props)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(
    Snapshot, name, uuid, nodes, flags, props, created_ms, sizes_kib, pools, torn)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Definition,
                                   name,
                                   external_name,
                                   uuid,
                                   group,
                                   secret,
                                   flags,
                                   layers,
                                   props,
                                   port,
                                   synced,
                                   volumes,
                                   resources,
                                   connections,
                                   snapshots)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(KeyValueStore, name, props)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(
    ErrorReport, id, node, module, peer, exception, message, text, time_ms)

void to_json(nlohmann::json& out, const State& state) {
  out = {{"cluster_id", state.cluster_id},
         {"passphrase", state.passphrase},
         {"controller", state.controller},
         {"nodes", state.nodes},
         {"pools", state.pools},
         {"groups", state.groups},
         {"definitions", state.definitions},
         {"node_conns", state.node_conns},
         {"key_values", state.key_values},
         {"reports", state.reports}};
}

void from_json(const nlohmann::json& in, State& state) {
  in.at("cluster_id").get_to(state.cluster_id);
  in.at("passphrase").get_to(state.passphrase);
  in.at("controller").get_to(state.controller);
  in.at("nodes").get_to(state.nodes);
  in.at("pools").get_to(state.pools);
  in.at("groups").get_to(state.groups);
  in.at("definitions").get_to(state.definitions);
  in.at("node_conns").get_to(state.node_conns);
  in.at("key_values").get_to(state.key_values);
  in.at("reports").get_to(state.reports);
}

std::string Key(const std::string& name) {
  std::string out = name;
  std::transform(out.begin(), out.end(), out.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return out;
}

std::string PairKey(const std::string& a, const std::string& b) {
  const std::string first = Key(a);
  const std::string second = Key(b);
  return first < second ? first + "/" + second : second + "/" + first;
}

std::string PoolKey(const std::string& node, const std::string& pool) {
  return Key(pool) + "/" + Key(node);
}

std::string NewUuid() {
  const auto high = Random()();
  const auto low = Random()();
  return fmt::format("{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}", high >> 32U, (high >> 16U) & 0xFFFFU,
                     high & 0xFFFU, 0x8000U | ((low >> 48U) & 0x3FFFU), low & 0xFFFFFFFFFFFFU);
}

std::string NewSecret() {
  static const std::string kAlphabet =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  for (int i = 0; i < 20; ++i) {
    out += kAlphabet[Random()() % kAlphabet.size()];
  }
  return out;
}

std::string NewGeneration() {
  return fmt::format("{:016X}", Random()() & ~std::uint64_t{1});
}

bool HasFlag(const std::vector<std::string>& flags, const std::string& flag) {
  return std::find(flags.begin(), flags.end(), flag) != flags.end();
}

bool IsDiskless(const Resource& resource) {
  return HasFlag(resource.flags, "DISKLESS");
}

bool HasLayer(const Definition& definition, const std::string& layer) {
  return HasFlag(definition.layers, layer);
}

std::string DeviceBelowDrbd(const Definition& definition, const Volume& volume) {
  if (volume.backing.empty() || !HasLayer(definition, "LUKS")) {
    return volume.backing;
  }
  return fmt::format("/dev/mapper/Linstor-Crypt-{}_{:05}", definition.name, volume.number);
}

std::string TopDevice(const Definition& definition, const Volume& volume) {
  if (HasLayer(definition, "DRBD")) {
    return fmt::format("/dev/drbd{}", definition.volumes.at(volume.number).minor);
  }
  return DeviceBelowDrbd(definition, volume);
}

void ForgetDeletedVolumes(Definition& definition, const std::string& node) {
  const auto marked = [&](int number) {
    return HasFlag(definition.volumes.at(number).flags, "DELETE");
  };
  if (const auto own = definition.resources.find(Key(node)); own != definition.resources.end()) {
    std::erase_if(own->second.volumes, [&](const auto& item) { return marked(item.first); });
  }
  std::erase_if(definition.volumes, [&](const auto& item) {
    return marked(item.first) && std::none_of(definition.resources.begin(),
                                              definition.resources.end(), [&](const auto& other) {
                                                return other.second.volumes.contains(item.first);
                                              });
  });
}

State FreshState() {
  State state;
  state.cluster_id = NewUuid();
  state.controller = {{"Cluster/LocalID", state.cluster_id},
                      {"DrbdOptions/AutoEvictAllowEviction", "True"},
                      {"DrbdOptions/Resource/on-no-quorum", "io-error"},
                      {"DrbdOptions/auto-add-quorum-tiebreaker", "True"},
                      {"DrbdOptions/auto-diskful-allow-cleanup", "True"},
                      {"DrbdOptions/auto-resync-after-disable", "true"},
                      {"DrbdOptions/auto-verify-algo-allowed-list",
                       "crct10dif;crc32c;sha384;sha512;sha256;sha1;md5;windrbd"},
                      {"defaultDebugSslConnector", "DebugSslConnector"},
                      {"defaultPlainConSvc", "PlainConnector"},
                      {"defaultSslConSvc", ""}};
  for (const std::string name : {"DebugSslConnector", "SslConnector"}) {
    const std::string prefix = "NetCom/" + name + "/";
    const bool debug = name == "DebugSslConnector";
    state.controller.insert({{prefix + "BindAddress", debug ? "::0" : ""},
                             {prefix + "Enabled", "true"},
                             {prefix + "KeyPasswd", "linstor"},
                             {prefix + "KeyStore", "ssl/keystore.jks"},
                             {prefix + "KeyStorePasswd", "linstor"},
                             {prefix + "Port", debug ? "3373" : "3377"},
                             {prefix + "SslProtocol", "TLSv1.2"},
                             {prefix + "TrustStore", "ssl/certificates.jks"},
                             {prefix + "TrustStorePasswd", "linstor"},
                             {prefix + "Type", "SSL"}});
  }
  state.controller.insert({{"NetCom/PlainConnector/BindAddress", ""},
                           {"NetCom/PlainConnector/Enabled", "true"},
                           {"NetCom/PlainConnector/Port", "3376"},
                           {"NetCom/PlainConnector/Type", "Plain"}});
  Group group;
  group.name = "DfltRscGrp";
  group.uuid = NewUuid();
  group.select_filter = {{"place_count", 2}};
  state.groups[Key(group.name)] = group;
  return state;
}

}  // namespace breakwater::sim
