#include "tests/e2e/sim/drbd/protocol_json.h"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace breakwater::sim {
namespace {

using nlohmann::json;

std::map<std::string, Millis*> Durations(SimConfig& config) {
  return {{"drbdadm_start_ms", &config.drbdadm_start},
          {"drbdsetup_start_ms", &config.drbdsetup_start},
          {"handshake_plain_ms", &config.handshake_plain},
          {"handshake_tls_ms", &config.handshake_tls},
          {"handshake_hung_ms", &config.handshake_hung},
          {"mismatch_tls_primary_ms", &config.mismatch_tls_primary},
          {"mismatch_other_ms", &config.mismatch_other},
          {"retry_ms", &config.retry},
          {"ping_timeout_ms", &config.ping_timeout},
          {"orphan_lifetime_ms", &config.orphan_lifetime},
          {"teardown_ms", &config.teardown},
          {"peer_state_ms", &config.peer_state},
          {"resync_base_ms", &config.resync_base},
          {"resync_spread_ms", &config.resync_spread},
          {"write_latency_ms", &config.write_latency},
          {"hot_window_ms", &config.hot_window},
          {"parallel_window_ms", &config.parallel_window},
          {"event_delay_ms", &config.event_delay},
          {"look_grace_ms", &config.look_grace},
          {"far_grace_ms", &config.far_grace},
          {"stall_threshold_ms", &config.stall_threshold},
          {"suspend_limit_ms", &config.suspend_limit}};
}

std::map<std::string, double*> Rates(SimConfig& config) {
  return {{"stale_after_graceful", &config.stale_after_graceful},
          {"stale_after_parallel_forced", &config.stale_after_parallel_forced},
          {"stale_after_suspended_cut", &config.stale_after_suspended_cut},
          {"event_lost", &config.event_lost},
          {"lost_in_flight", &config.lost_in_flight},
          {"stuck_wfbitmap", &config.stuck_wfbitmap}};
}

std::map<std::string, std::uint64_t*> Numbers(SimConfig& config) {
  return {{"resync_kib_per_second", &config.resync_kib_per_second},
          {"verify_kib_per_second", &config.verify_kib_per_second},
          {"volume_kib", &config.volume_kib}};
}

// {"disconnect": [min, median, max]} replaces all entries; "lab" and "fast" stand for known ones.
void SetTiming(SimConfig& config, const json& value) {
  if (value.is_string() && value == "lab") {
    UseLabTiming(config);
    return;
  }
  const SimConfig fresh;
  config.command_times.clear();
  if (value.is_string() && value == "fast") {
    config.drbdadm_start = fresh.drbdadm_start;
    config.handshake_plain = fresh.handshake_plain;
    config.handshake_tls = fresh.handshake_tls;
    return;
  }
  for (const auto& [command, times] : value.items()) {
    config.command_times[command] = {Millis(times.at(0).get<std::int64_t>()),
                                     Millis(times.at(1).get<std::int64_t>()),
                                     Millis(times.at(2).get<std::int64_t>())};
  }
}

json DumpConnection(World& world, Kernel& kernel, const End& end) {
  const Connection& c = *end.connection;
  json result{{"peer", c.peer},           {"state", Name(c.state)},   {"net", c.net},
              {"attempt", c.attempt},     {"encrypted", c.encrypted}, {"stuck", c.stuck},
              {"volumes", json::object()}};
  for (const auto& [volume, device] : c.volumes) {
    const PeerSlot* slot = nullptr;
    if (const Disk* disk = world.FindDisk(*end.node, end.resource->name, volume)) {
      const auto it = disk->peers.find(c.peer_id);
      slot = it == disk->peers.end() ? nullptr : &it->second;
    }
    result["volumes"][std::to_string(volume)] = {
        {"replication", Name(device.repl)},
        {"peerDisk", Name(device.disk)},
        {"client", device.client},
        {"bitmapBlocks", slot == nullptr ? 0 : slot->bitmap.blocks()},
        {"hearsayBlocks", slot == nullptr ? 0 : slot->hearsay.size()},
        {"bitmapUuid", slot == nullptr ? 0 : slot->bitmap_uuid}};
  }
  (void)kernel;
  return result;
}

json DumpResource(World& world, Kernel& kernel, Node& node, Resource& resource) {
  json result{{"nodeId", resource.node_id},
              {"role", Name(resource.role)},
              {"suspendedUser", resource.suspended_user},
              {"suspendedQuorum", kernel.SuspendedQuorum(resource)},
              {"suspendPending", resource.suspend_pending},
              {"openers", resource.openers},
              {"options", resource.options},
              {"devices", json::object()},
              {"connections", json::array()}};
  for (const auto& [volume, device] : resource.devices) {
    const Disk* disk = world.FindDisk(node, resource.name, volume);
    result["devices"][std::to_string(volume)] = {
        {"minor", device.minor},
        {"backing", device.backing},
        {"disk", Name(device.disk)},
        {"quorum", device.quorum},
        {"newUuidPending", device.new_uuid_pending},
        {"generationForgotten", device.generation_forgotten},
        {"currentUuid", disk == nullptr ? 0 : disk->current_uuid},
        {"writtenBlocks", disk == nullptr ? 0 : disk->blocks.size()},
        {"digest", disk == nullptr ? 0 : disk->blocks.digest()}};
  }
  for (auto& [id, connection] : resource.connections) {
    result["connections"].push_back(DumpConnection(world, kernel, {&node, &resource, &connection}));
  }
  return result;
}

}  // namespace

json ReportJson(const ResourceReport& report) {
  json stalls = json::array();
  for (const Stall& stall : report.stalls) {
    stalls.push_back({stall.from.count() / 1000, stall.to.count() / 1000});
  }
  json cuts = json::array();
  Time longest_cut{0};
  for (const PairCut& cut : report.cuts) {
    cuts.push_back({cut.a, cut.b, cut.from.count() / 1000, cut.to.count() / 1000});
    longest_cut = std::max(longest_cut, cut.length());
  }
  return {{"name", report.name},
          {"primary", report.primary},
          {"longestStallMs", report.longest_stall.count() / 1000},
          {"errors", report.errors},
          {"writes", report.writes},
          {"divergedBlocks", report.diverged_blocks},
          {"lostWrites", report.lost_writes},
          {"resyncKiB", report.resync_kib},
          {"stalePeers", report.stale_peers},
          {"suspendedUser", report.suspended_user},
          {"frozenMs", report.frozen.count() / 1000},
          {"longestFreezeMs", report.longest_freeze.count() / 1000},
          {"stalls", stalls},
          {"longestCutMs", longest_cut.count() / 1000},
          {"cuts", cuts},
          {"connections", report.connections},
          {"connectedConnections", report.connected},
          {"encryptedConnections", report.encrypted}};
}

json DumpJson(Cluster& cluster) {
  json nodes = json::object();
  for (auto& [name, node] : cluster.world().nodes) {
    json resources = json::object();
    for (auto& [resource_name, resource] : node.resources) {
      resources[resource_name] = DumpResource(cluster.world(), cluster.kernel(), node, resource);
    }
    json files = json::array();
    for (const auto& [path, content] : node.files) {
      files.push_back(path);
    }
    nodes[name] = {
        {"up", node.up},
        {"drbdVersion", node.drbd_version},
        {"utilsVersion", node.utils_version},
        {"transport", node.transport},
        {"usermodeHelper", node.usermode_helper},
        {"clockAheadS", node.clock_ahead_s},
        {"kernelTls", node.kernel_tls},
        {"tcpDiag", node.tcp_diag},
        {"tlshd",
         {{"running", node.tlshd.running},
          {"hung", node.tlshd.hung},
          {"filesGiven", node.tlshd.files_given}}},
        {"satellite", {{"running", node.satellite.running}, {"address", node.satellite.address}}},
        {"files", files},
        {"resources", resources}};
  }
  return {{"nowMs", cluster.now().count() / 1000}, {"nodes", nodes}};
}

json ApplyConfig(World& world, const json& request) {
  auto durations = Durations(world.config);
  auto rates = Rates(world.config);
  auto numbers = Numbers(world.config);
  for (const auto& [key, value] : request.items()) {
    if (key == "op" || key == "id") {
      continue;
    }
    if (key == "seed") {
      world.config.seed = value.get<std::uint64_t>();
      world.rng.Seed(world.config.seed);
    } else if (key == "kill_with_client") {
      world.config.kill_with_client = value.get<bool>();
    } else if (key == "timing") {
      SetTiming(world.config, value);
    } else if (const auto n = numbers.find(key); n != numbers.end()) {
      *n->second = value.get<std::uint64_t>();
    } else if (const auto d = durations.find(key); d != durations.end()) {
      *d->second = Millis(value.get<std::int64_t>());
    } else if (const auto r = rates.find(key); r != rates.end()) {
      *r->second = value.get<double>();
    } else {
      return {{"error", "unknown setting '" + key + "'"}};
    }
  }
  json reply{{"ok", true},
             {"seed", world.config.seed},
             {"kill_with_client", world.config.kill_with_client}};
  for (const auto& [key, value] : durations) {
    reply[key] = value->count();
  }
  for (const auto& [key, value] : numbers) {
    reply[key] = *value;
  }
  for (const auto& [key, value] : rates) {
    reply[key] = *value;
  }
  return reply;
}

}  // namespace breakwater::sim
