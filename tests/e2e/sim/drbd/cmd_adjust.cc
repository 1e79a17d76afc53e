// drbdadm adjust, up and dump: from the configuration file to kernel calls.
//
// The calls run in stages over all resources named. The first stage with a failure is the last one,
// which is how `adjust all` leaves other resources half done (F20).
#include <algorithm>
#include <cstdlib>

#include "tests/e2e/sim/drbd/shell.h"

namespace breakwater::sim {
namespace {

constexpr int kPrepare = 0;
constexpr int kOptions = 1;
constexpr int kDisk = 2;
constexpr int kConnect = 3;

// What one connection of this host should be.
struct Wanted {
  int peer_id = 0;
  std::string peer;
  Address local;
  Address remote;
  Options net;
};

std::vector<Wanted> WantedPeers(const ResFile& file, const std::string& node) {
  std::vector<Wanted> result;
  for (const ResConnection& connection : file.connections) {
    const auto own = connection.hosts.find(node);
    if (own == connection.hosts.end()) {
      continue;
    }
    for (const auto& [name, address] : connection.hosts) {
      const auto host = file.hosts.find(name);
      if (name == node || host == file.hosts.end()) {
        continue;
      }
      Wanted wanted{host->second.node_id, name, own->second, address, file.net};
      for (const auto& [key, value] : connection.net) {
        wanted.net[key] = value;
      }
      result.push_back(std::move(wanted));
    }
  }
  return result;
}

// The module's default and an absent option are the same to adjust.
Options Normal(Options options) {
  static const Options kDefaults = {{"tls", "no"},
                                    {"protocol", "C"},
                                    {"allow-two-primaries", "no"},
                                    {"quorum", "off"},
                                    {"on-no-quorum", "suspend-io"}};
  for (const auto& [key, value] : kDefaults) {
    const auto it = options.find(key);
    if (it != options.end() && it->second == value) {
      options.erase(it);
    }
  }
  return options;
}

std::string OptionText(const Options& options) {
  std::string text;
  for (const auto& [key, value] : options) {
    text += " --" + key + "=" + value;
  }
  return text;
}

// Which volumes both hosts have, and whether the peer has no disk for it.
std::map<int, bool> PeerVolumes(const ResFile& file,
                                const std::string& node,
                                const std::string& peer) {
  std::map<int, bool> diskless;
  const auto host = file.hosts.find(peer);
  if (host == file.hosts.end()) {
    return diskless;
  }
  for (const auto& [volume, definition] : host->second.volumes) {
    if (file.hosts.at(node).volumes.contains(volume)) {
      diskless[volume] = definition.disk == "none";
    }
  }
  return diskless;
}

}  // namespace

std::vector<Shell::Action> Shell::PlanAdjust(const std::string& node_name,
                                             const ResFile& file,
                                             const std::string& only_peer) {
  std::vector<Action> plan;
  Node& node = world_.GetNode(node_name);
  if (only_peer.empty()) {
    PlanNew(plan, node, file);
    PlanRemovals(plan, node, file);
    PlanDisks(plan, node, file);
  }
  PlanPeers(plan, node, file, only_peer);
  return plan;
}

void Shell::PlanNew(std::vector<Action>& plan, Node& node, const ResFile& file) {
  const Resource* live = kernel_.Find(node.name, file.name);
  const int id = file.hosts.at(node.name).node_id;
  if (live == nullptr) {
    plan.push_back({kPrepare, file.name,
                    "drbdsetup new-resource " + file.name + " " + std::to_string(id) +
                        OptionText(file.options),
                    [this, &node, name = file.name, id, options = file.options]() -> KernelResult {
                      kernel_.NewResource(node, name, id).options = options;
                      return std::nullopt;
                    }});
  } else if (Normal(live->options) != Normal(file.options)) {
    plan.push_back(
        {kOptions, file.name,
         "drbdsetup resource-options " + file.name + " --set-defaults" + OptionText(file.options),
         [this, &node, name = file.name, options = file.options]() -> KernelResult {
           if (Resource* resource = kernel_.Find(node.name, name)) {
             kernel_.ResourceOptions(node, *resource, options);
           }
           return std::nullopt;
         }});
  }
}

void Shell::PlanRemovals(std::vector<Action>& plan, Node& node, const ResFile& file) {
  const Resource* live = kernel_.Find(node.name, file.name);
  if (live == nullptr) {
    return;
  }
  const std::vector<Wanted> wanted = WantedPeers(file, node.name);
  for (const auto& [id, connection] : live->connections) {
    const bool keep = std::any_of(wanted.begin(), wanted.end(),
                                  [peer = id](const Wanted& w) { return w.peer_id == peer; });
    if (!keep) {
      plan.push_back({kPrepare, file.name,
                      "drbdsetup del-peer " + file.name + " " + std::to_string(id),
                      [this, n = node.name, name = file.name, peer = id]() -> KernelResult {
                        const End end = kernel_.FindEnd(n, name, peer);
                        if (end.connection != nullptr) {
                          kernel_.DeleteConnection(end);
                        }
                        return std::nullopt;
                      }});
    }
  }
}

void Shell::PlanDisks(std::vector<Action>& plan, Node& node, const ResFile& file) {
  const Resource* live = kernel_.Find(node.name, file.name);
  for (const auto& [volume, definition] : file.hosts.at(node.name).volumes) {
    const Device* device = nullptr;
    if (live != nullptr && live->devices.contains(volume)) {
      device = &live->devices.at(volume);
    }
    const std::string minor = std::to_string(definition.minor);
    if (device == nullptr) {
      plan.push_back(
          {kPrepare, file.name,
           "drbdsetup new-minor " + file.name + " " + minor + " " + std::to_string(volume),
           [this, n = node.name, name = file.name, v = volume, d = definition]() -> KernelResult {
             Resource* resource = kernel_.Find(n, name);
             if (resource != nullptr) {
               Device& made = resource->devices[v];
               made.minor = d.minor;
               made.backing = d.disk;
               made.meta_disk = d.meta_disk;
               made.disk_options = d.disk_options;
             }
             return std::nullopt;
           }});
    }
    const bool attach =
        definition.disk != "none" &&
        (device == nullptr || device->disk == DiskState::kDiskless || device->client());
    if (attach) {
      plan.push_back(
          {kDisk, file.name,
           "drbdsetup attach " + minor + " " + definition.disk + " " + definition.disk + " " +
               definition.meta_disk,
           [this, &node, name = file.name, v = volume, d = definition]() -> KernelResult {
             Resource* resource = kernel_.Find(node.name, name);
             if (resource != nullptr) {
               resource->devices.at(v).backing = d.disk;
               kernel_.Attach(node, *resource, v);
             }
             return std::nullopt;
           }});
    } else if (device != nullptr && definition.disk == "none" && !device->client()) {
      plan.push_back({kDisk, file.name, "drbdsetup detach " + minor,
                      [this, &node, name = file.name, v = volume]() -> KernelResult {
                        if (Resource* resource = kernel_.Find(node.name, name)) {
                          kernel_.Detach(node, *resource, v);
                          resource->devices.at(v).backing = "none";
                        }
                        return std::nullopt;
                      }});
    }
  }
}

// A volume that is new, or whose disk on the peer came or went.
void Shell::PlanPeerVolumes(std::vector<Action>& plan,
                            Node& node,
                            const ResFile& file,
                            const Connection& connection) {
  for (const auto& [volume, diskless] : PeerVolumes(file, node.name, connection.peer)) {
    const auto known = connection.volumes.find(volume);
    if (known != connection.volumes.end() && known->second.client == diskless) {
      continue;
    }
    plan.push_back({kPrepare, file.name,
                    "drbdsetup peer-device-options " + file.name + " " +
                        std::to_string(connection.peer_id) + " " + std::to_string(volume) +
                        " --set-defaults --bitmap=" + (diskless ? "no" : "yes"),
                    [this, n = node.name, name = file.name, peer = connection.peer_id, v = volume,
                     d = diskless]() -> KernelResult {
                      const End end = kernel_.FindEnd(n, name, peer);
                      if (end.connection != nullptr && end.resource->devices.contains(v)) {
                        end.connection->volumes[v].client = d;
                      }
                      return std::nullopt;
                    }});
  }
}

void Shell::PlanPeers(std::vector<Action>& plan,
                      Node& node,
                      const ResFile& file,
                      const std::string& only_peer) {
  for (const Wanted& wanted : WantedPeers(file, node.name)) {
    if (!only_peer.empty() && wanted.peer != only_peer) {
      continue;
    }
    const std::string where = file.name + " " + std::to_string(wanted.peer_id);
    const End end = kernel_.FindEnd(node.name, file.name, wanted.peer_id);
    const std::map<int, bool> volumes = PeerVolumes(file, node.name, wanted.peer);
    if (end.connection == nullptr) {
      plan.push_back(
          {kPrepare, file.name,
           "drbdsetup new-peer " + where + " --_name=" + wanted.peer + OptionText(wanted.net),
           [this, n = node.name, name = file.name, w = wanted, volumes]() -> KernelResult {
             if (Resource* resource = kernel_.Find(n, name)) {
               Connection& made = resource->connections[w.peer_id];
               made.peer_id = w.peer_id;
               made.peer = w.peer;
               made.local = w.local;
               made.remote = w.remote;
               made.net = w.net;
               for (const auto& [volume, diskless] : volumes) {
                 made.volumes[volume].client = diskless;
               }
             }
             return std::nullopt;
           }});
    } else {
      PlanPeerVolumes(plan, node, file, *end.connection);
      if (Normal(end.connection->net) != Normal(wanted.net)) {
        plan.push_back(
            {kOptions, file.name,
             "drbdsetup net-options " + where + " --set-defaults" + OptionText(wanted.net),
             [this, n = node.name, name = file.name, w = wanted]() -> KernelResult {
               const End now = kernel_.FindEnd(n, name, w.peer_id);
               return now.connection == nullptr ? std::nullopt
                                                : kernel_.NetOptions(now, w.net, true);
             }});
      }
    }
    if (end.connection == nullptr || end.connection->state == ConnState::kStandAlone) {
      plan.push_back({kConnect, file.name, "drbdsetup connect " + where,
                      [this, n = node.name, name = file.name, w = wanted]() -> KernelResult {
                        const End now = kernel_.FindEnd(n, name, w.peer_id);
                        if (now.connection != nullptr) {
                          kernel_.Connect(now);
                        }
                        return std::nullopt;
                      }});
    }
  }
}

void Shell::AdmAdjust(Job& job, const Config& config, const std::vector<Target>& targets) {
  std::vector<Action> actions;
  for (const Target& target : targets) {
    std::vector<Action> plan =
        PlanAdjust(job.node, config.resources.at(target.resource), target.peer);
    actions.insert(actions.end(), plan.begin(), plan.end());
  }
  std::stable_sort(actions.begin(), actions.end(),
                   [](const Action& a, const Action& b) { return a.stage < b.stage; });
  if (job.Has("-d") || job.Has("--dry-run")) {
    for (const Action& action : actions) {
      job.result.out += action.text + "\n";
    }
    return;
  }
  QueueActions(job, std::move(actions), true);
}

void Shell::QueueActions(Job& job, std::vector<Action> actions, bool stop_at_error) {
  const bool verbose = std::any_of(job.options.begin(), job.options.end(),
                                   [](const auto& option) { return option.starts_with("-v"); });
  // The stage in which something failed; later ones are not run.
  const auto failed = std::make_shared<int>(kConnect + 1);
  for (Action& action : actions) {
    job.steps.push_back({world_.config.drbdsetup_start, [this, action = std::move(action), failed,
                                                         verbose, stop_at_error](Job& j) {
                           if (stop_at_error && action.stage > *failed) {
                             return Flow::kNext;
                           }
                           if (verbose) {
                             j.result.out += action.text + "\n";
                           }
                           const int before = j.result.exit;
                           j.result.exit = 0;
                           RunAction(j, action);
                           if (j.result.exit != 0) {
                             *failed = std::min(*failed, action.stage);
                             j.result.exit = 1;
                           } else {
                             j.result.exit = before;
                           }
                           return Flow::kNext;
                         }});
  }
}

void Shell::AdmDump(Job& job, const Config& config, const std::vector<Target>& targets) {
  std::string& out = job.result.out;
  const auto block = [&out](const char* name, const Options& options, const std::string& indent) {
    if (options.empty()) {
      return;
    }
    out += indent + name + " {\n";
    for (const auto& [key, value] : options) {
      std::string padded = key;
      padded.resize(std::max<std::size_t>(padded.size(), 16), ' ');
      out += indent + "    " + padded + " " + value + ";\n";
    }
    out += indent + "}\n";
  };
  for (const Target& target : targets) {
    const ResFile& file = config.resources.at(target.resource);
    out += "# resource " + file.name + " on " + job.node + ": not ignored, not stacked\n";
    out += "# defined at " + file.path + ":1\nresource " + file.name + " {\n";
    for (const auto& [name, host] : file.hosts) {
      out += "    on " + name + " {\n        node-id " + std::to_string(host.node_id) + ";\n";
      for (const auto& [volume, definition] : host.volumes) {
        out += "        volume " + std::to_string(volume) + " {\n            device       minor " +
               std::to_string(definition.minor) + ";\n            disk         " + definition.disk +
               ";\n            meta-disk    " + definition.meta_disk + ";\n        }\n";
      }
      out += "    }\n";
    }
    for (const ResConnection& connection : file.connections) {
      out += "    connection {\n";
      for (const auto& [name, address] : connection.hosts) {
        out += "        host " + name + "         address         ipv4 " + address.ip + ":" +
               std::to_string(address.port) + ";\n";
      }
      block("net", connection.net, "        ");
      out += "    }\n";
    }
    block("net", file.net, "    ");
    block("options", file.options, "    ");
    out += "}\n\n";
  }
}

}  // namespace breakwater::sim
