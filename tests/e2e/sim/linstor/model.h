#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

/// What the controller's database holds. Plain data; names are compared without case, as LINSTOR
/// does, so every map is keyed by Key(name).
namespace breakwater::sim {

using Props = std::map<std::string, std::string>;

struct NetIf {
  std::string name, address, encryption, uuid;
  int port = 0;  // 0: not usable by the controller
  bool active = false;
};

struct Node {
  std::string name, type, uuid;
  std::vector<std::string> flags;
  Props props;
  std::vector<NetIf> nets;
  int next_loop = 0;  // next free /dev/loopN on that node
};

struct StorPool {
  std::string name, node, kind, uuid;
  Props props;
  std::int64_t free_kib = 0, total_kib = 0;
  std::string shared_space;  // "" = none
  bool external_locking = false;
};

/// The pool that every node has for resources without a disk.
inline constexpr const char* kDisklessPool = "DfltDisklessStorPool";

struct VolumeGroup {
  int number = 0;
  std::string uuid;
  Props props;
  std::vector<std::string> flags;
};

struct Group {
  std::string name, description, uuid;
  Props props;
  nlohmann::json select_filter = nlohmann::json::object();
  std::map<int, VolumeGroup> volumes;
};

struct VolumeDef {
  int number = 0;
  std::int64_t size_kib = 0;
  int minor = 0;
  std::string uuid;
  Props props;
  std::vector<std::string> flags;
};

struct Volume {
  int number = 0;
  std::string uuid, backing, pool, kind;  // backing: empty on a diskless resource
};

struct Resource {
  std::string node, uuid;
  Props props;
  std::vector<std::string> flags;
  int node_id = 0;
  std::int64_t created_ms = 0;
  bool initialized = false;  // metadata made, first adjust done
  // Whose copy a new disk starts with: a resource and a name known to the nodes. Empty: empty disk.
  std::string copy_of, copy_name;
  std::map<int, Volume> volumes;
};

struct Connection {
  std::string a, b, uuid;  // names, a < b
  Props props;
};

struct Snapshot {
  std::string name, uuid;
  std::vector<std::string> nodes, flags;
  Props props;
  std::int64_t created_ms = 0;
  std::map<int, std::int64_t> sizes_kib;                    // by volume
  std::map<std::string, std::map<int, std::string>> pools;  // by Key(node) and volume
  bool torn = false;                                        // I/O went on while it was made
};

struct Definition {
  std::string name, external_name, uuid, group, secret;
  std::vector<std::string> flags;
  std::vector<std::string> layers = {"DRBD", "STORAGE"};  // the top one first
  Props props;
  int port = 0;         // 0: nothing deployed yet
  bool synced = false;  // data exists: a new replica must not start from the day-0 generation
  std::map<int, VolumeDef> volumes;
  std::map<std::string, Resource> resources;      // by Key(node)
  std::map<std::string, Connection> connections;  // by PairKey(a, b)
  std::map<std::string, Snapshot> snapshots;      // by Key(name)
};

struct KeyValueStore {
  std::string name;
  Props props;
};

struct ErrorReport {
  std::string id, node, module, peer, exception, message, text;
  std::int64_t time_ms = 0;
};

struct State {
  std::string cluster_id, passphrase;
  Props controller;
  std::map<std::string, Node> nodes;
  std::map<std::string, StorPool> pools;  // by PoolKey(node, pool)
  std::map<std::string, Group> groups;
  std::map<std::string, Definition> definitions;
  std::map<std::string, Connection> node_conns;  // by PairKey(a, b)
  std::map<std::string, KeyValueStore> key_values;
  std::vector<ErrorReport> reports;
  std::string boot_id;  // first part of error report ids, new at every start
  int next_report = 0;  // of the controller
  std::map<std::string, int> next_satellite_report;
};

std::string Key(const std::string& name);
std::string PairKey(const std::string& a, const std::string& b);
std::string PoolKey(const std::string& node, const std::string& pool);
std::string NewUuid();
/// 20 characters, as DRBD's shared secrets look.
std::string NewSecret();
/// 16 hex digits with the lowest bit clear: a DRBD generation identifier.
std::string NewGeneration();
bool HasFlag(const std::vector<std::string>& flags, const std::string& flag);
bool IsDiskless(const Resource& resource);
bool HasLayer(const Definition& definition, const std::string& layer);
/// The device that lies directly below DRBD; empty on a diskless resource.
std::string DeviceBelowDrbd(const Definition& definition, const Volume& volume);
/// The device that applications open.
std::string TopDevice(const Definition& definition, const Volume& volume);
/// Volumes marked for deletion are gone from this node; their definitions go with the last node.
void ForgetDeletedVolumes(Definition& definition, const std::string& node);

/// State of a fresh controller: default properties and DfltRscGrp.
State FreshState();

void to_json(nlohmann::json& out, const State& state);
void from_json(const nlohmann::json& in, State& state);

}  // namespace breakwater::sim
