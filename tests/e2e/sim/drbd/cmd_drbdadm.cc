// drbdadm: configuration, addressing of resources, and the small commands.
#include <algorithm>
#include <cstdlib>

#include "tests/e2e/sim/drbd/shell.h"

namespace breakwater::sim {
namespace {

std::string Ended(const std::string& command, int exit) {
  return "Command '" + command + "' terminated with exit code " + std::to_string(exit) + "\n";
}

std::string VersionText(const Node& node) {
  const auto code = [](const std::string& version) {
    int parts[3] = {0, 0, 0};
    std::size_t index = 0;
    for (const char c : version) {
      if (c == '.') {
        ++index;
      } else if (index < 3 && c >= '0' && c <= '9') {
        parts[index] = parts[index] * 10 + (c - '0');
      }
    }
    char text[16];
    std::snprintf(text, sizeof(text), "0x%02x%02x%02x", parts[0], parts[1], parts[2]);
    return std::string(text);
  };
  return "DRBDADM_BUILDTAG=GIT-hash:\\ 0000000000000000000000000000000000000000\\ build\\ by\\ "
         "@vm\\,\\ 2026-11-21\\ 19:28:17\n"
         "DRBDADM_API_VERSION=2\n"
         "DRBD_KERNEL_VERSION_CODE=" +
         code(node.drbd_version) + "\nDRBD_KERNEL_VERSION=" + node.drbd_version +
         "\nDRBDADM_VERSION_CODE=" + code(node.utils_version) +
         "\nDRBDADM_VERSION=" + node.utils_version + "\n";
}

bool MentionsTls(const ResFile& file) {
  return file.net.contains("tls") ||
         std::any_of(file.connections.begin(), file.connections.end(),
                     [](const auto& connection) { return connection.net.contains("tls"); });
}

}  // namespace

Shell::Config Shell::LoadConfig(const Node& node) const {
  Config config;
  for (const auto& [path, text] : node.files) {
    const bool ours =
        (path.starts_with("/var/lib/linstor.d/") || path.starts_with("/etc/drbd.d/")) &&
        path.ends_with(".res");
    if (!ours) {
      continue;
    }
    ResParse parsed = ParseResFile(path, text);
    if (!parsed.error.empty()) {
      config.error = parsed.error;
      return config;
    }
    for (ResFile& file : parsed.resources) {
      if (MentionsTls(file) && !AtLeast(node.utils_version, "9.26.0")) {
        config.error = path + ": Parse error: 'an option keyword' expected,\n\tbut got 'tls'\n";
        return config;
      }
      const std::string name = file.name;
      config.resources[name] = std::move(file);
    }
  }
  return config;
}

std::vector<Shell::Target> Shell::Resolve(Job& job, const Config& config) {
  std::vector<Target> targets;
  for (std::size_t i = 1; i < job.words.size(); ++i) {
    Target target;
    std::string word = job.words[i];
    if (word == "all") {
      for (const auto& [name, file] : config.resources) {
        if (file.hosts.contains(job.node)) {
          targets.push_back({name, "", -1});
        }
      }
      continue;
    }
    if (const std::size_t slash = word.find('/'); slash != std::string::npos) {
      target.volume = std::atoi(word.c_str() + slash + 1);
      word.resize(slash);
    }
    if (const std::size_t colon = word.find(':'); colon != std::string::npos) {
      target.peer = word.substr(colon + 1);
      word.resize(colon);
    }
    target.resource = word;
    const auto it = config.resources.find(word);
    if (it == config.resources.end() || !it->second.hosts.contains(job.node)) {
      Fail(job, 1, "'" + word + "' not defined in your config (for this host).\n");
      return {};
    }
    if (!target.peer.empty() && !it->second.hosts.contains(target.peer)) {
      Fail(job, 10, "'" + job.words[i] + "' not defined in your config (for this host).\n");
      return {};
    }
    targets.push_back(target);
  }
  if (job.words.size() < 2) {
    Fail(job, 3, "drbdadm: missing resource argument\n");
  }
  return targets;
}

void Shell::Drbdadm(Job& job) {
  const Node& node = NodeOf(job);
  if (job.Has("--version") || job.Has("-V")) {
    job.result.out = VersionText(node);
    return;
  }
  if (job.words.empty()) {
    Fail(job, 3, "USAGE: drbdadm COMMAND [OPTION...] {all|RESOURCE...}\n");
    return;
  }
  const std::string command = job.words[0];
  const Config config = LoadConfig(node);
  if (!config.error.empty()) {
    Fail(job, 10, config.error);  // F33: also when the file is none of this resource's
    return;
  }
  if (command == "status") {
    job.words.erase(job.words.begin());
    if (!job.words.empty() && job.words[0] == "all") {
      job.words.clear();
    }
    job.words.insert(job.words.begin(), "status");
    SetupStatus(job);
    return;
  }
  if (command == "sh-list-adjustable" || command == "sh-resources") {
    std::string line;
    for (const auto& [name, file] : config.resources) {
      if (command == "sh-resources") {
        line += (line.empty() ? "" : " ") + name;
      } else if (file.hosts.contains(job.node) && !PlanAdjust(job.node, file, "").empty()) {
        job.result.out += name + "\n";
      }
    }
    job.result.out += line.empty() ? "" : line + "\n";
    return;
  }
  const std::vector<Target> targets = Resolve(job, config);
  if (job.result.exit != 0) {
    return;
  }
  if (command == "adjust" || command == "up") {
    AdmAdjust(job, config, targets);
  } else if (command == "dump") {
    AdmDump(job, config, targets);
  } else if (command == "create-md" || command == "wipe-md") {
    AdmMetadata(job, config, command, targets);
  } else if (command == "disconnect") {
    AdmDisconnect(job, targets);
  } else {
    AdmSimple(job, config, command, targets);
  }
}

void Shell::AdmMetadata(Job& job,
                        const Config& config,
                        const std::string& command,
                        const std::vector<Target>& targets) {
  Node& node = NodeOf(job);
  for (const Target& target : targets) {
    const auto& volumes = config.resources.at(target.resource).hosts.at(job.node).volumes;
    for (const auto& [volume, definition] : volumes) {
      if (target.volume >= 0 && volume != target.volume) {
        continue;
      }
      Resource* live = kernel_.Find(job.node, target.resource);
      if (live != nullptr && live->devices.contains(volume) &&
          live->devices.at(volume).disk != DiskState::kDiskless) {
        Fail(job, 20,
             "Device '" + std::to_string(definition.minor) + "' is configured!\n" +
                 Ended("drbdmeta " + std::to_string(definition.minor) + " v09 " + definition.disk +
                           " internal " + command,
                       20));
        return;
      }
      node.disks.erase({target.resource, volume});
      job.result.out += command == "create-md"
                            ? "initializing activity log\ninitializing bitmap (16 KB) to all zero\n"
                              "Writing meta data...\nNew drbd meta data block successfully "
                              "created.\n"
                            : "Wiping meta data...\nDRBD meta data block successfully wiped out.\n";
    }
  }
}

void Shell::AdmDisconnect(Job& job, const std::vector<Target>& targets) {
  const bool force = job.Has("--force");
  for (const Target& target : targets) {
    Resource* resource = kernel_.Find(job.node, target.resource);
    if (resource == nullptr) {
      Fail(job, 10, target.resource + ": Failure: (158) Unknown resource\n");
      continue;
    }
    for (const auto& [id, connection] : resource->connections) {
      if (!target.peer.empty() && connection.peer != target.peer) {
        continue;
      }
      const std::string text = "drbdsetup disconnect " + target.resource + " " +
                               std::to_string(id) + (force ? " --force" : "");
      job.steps.push_back({world_.config.drbdsetup_start,
                           [this, name = target.resource, peer = id, text, force](Job& j) {
                             const End end = kernel_.FindEnd(j.node, name, peer);
                             if (end.connection == nullptr) {
                               return Flow::kNext;
                             }
                             if (KernelResult error = kernel_.Disconnect(end, force)) {
                               Fail(j, error->exit, error->text + Ended(text, error->exit));
                             } else {
                               WaitStandAlone(j, name, peer);
                             }
                             return Flow::kNext;
                           }});
    }
  }
}

// The next step of the job: until the connection is down.
void Shell::WaitStandAlone(Job& job, const std::string& resource, int peer_id) {
  job.steps.push_front({Time{0}, [this, resource, peer_id](Job& j) {
                          const End end = kernel_.FindEnd(j.node, resource, peer_id);
                          return end.connection == nullptr ||
                                         end.connection->state != ConnState::kDisconnecting
                                     ? Flow::kNext
                                     : Flow::kAgain;
                        }});
}

void Shell::AdmSimple(Job& job,
                      const Config& config,
                      const std::string& command,
                      const std::vector<Target>& targets) {
  for (const Target& target : targets) {
    Resource* resource = kernel_.Find(job.node, target.resource);
    if (resource == nullptr) {
      if (command != "down") {
        Fail(job, 10, target.resource + ": Failure: (158) Unknown resource\n");
      }
      continue;
    }
    const auto act = [&](const std::string& text, const std::function<KernelResult()>& run) {
      job.steps.push_back({world_.config.drbdsetup_start, [this, text, run](Job& j) {
                             RunAction(j, {0, "", text, run});
                             return Flow::kNext;
                           }});
    };
    const std::string& name = target.resource;
    Node& node = NodeOf(job);
    if (command == "connect") {
      for (auto& [id, connection] : resource->connections) {
        if (target.peer.empty() || connection.peer == target.peer) {
          job.steps.push_back({world_.config.drbdsetup_start, [this, name, peer = id](Job& j) {
                                 j.words = {"connect", name, std::to_string(peer)};
                                 SetupChange(j, "connect");
                                 return Flow::kNext;
                               }});
        }
      }
    } else if (command == "down") {
      act("drbdsetup down " + name,
          [this, &node, name] { return kernel_.DeleteResource(node, name); });
    } else if (command == "primary") {
      act("drbdsetup primary " + name,
          [this, &node, name, force = job.Has("--force")]() -> KernelResult {
            Resource* r = kernel_.Find(node.name, name);
            KernelResult error = r == nullptr ? std::nullopt : kernel_.Promote(node, *r, force);
            if (r != nullptr && !error) {
              r->explicit_primary = true;
            }
            return error;
          });
    } else if (command == "secondary") {
      act("drbdsetup secondary " + name, [this, &node, name]() -> KernelResult {
        Resource* r = kernel_.Find(node.name, name);
        return r == nullptr ? std::nullopt : kernel_.Demote(node, *r);
      });
    } else {
      AdmPerVolume(job, command, target);
    }
  }
  (void)config;
}

void Shell::AdmPerVolume(Job& job, const std::string& command, const Target& target) {
  Resource& resource = *kernel_.Find(job.node, target.resource);
  const std::string& name = target.resource;
  const Time delay = world_.config.drbdsetup_start;
  for (const auto& [volume, device] : resource.devices) {
    if (target.volume >= 0 && volume != target.volume) {
      continue;
    }
    if (command == "suspend-io") {
      QueueSuspend(job, name, device.minor);
    } else if (command == "resume-io") {
      job.steps.push_back({delay, [this, name](Job& j) {
                             if (Resource* r = kernel_.Find(j.node, name)) {
                               kernel_.ResumeIo(NodeOf(j), *r, j.launch.detached);
                             }
                             return Flow::kNext;
                           }});
    } else if (command == "invalidate" || command == "invalidate-remote" || command == "verify") {
      AdmInvalidate(job, command, target, volume);
    } else if (command == "role") {
      job.result.out += std::string(Name(resource.role)) + "\n";
    } else if (command == "dstate") {
      job.result.out += std::string(Name(device.disk)) + "\n";
    } else if (command == "cstate") {
      for (const auto& [id, connection] : resource.connections) {
        if (target.peer.empty() || connection.peer == target.peer) {
          job.result.out += std::string(Name(connection.state)) + "\n";
        }
      }
    } else {
      Fail(job, 3, "drbdadm: Unknown command '" + command + "'\n");
      return;
    }
  }
}

void Shell::AdmInvalidate(Job& job, const std::string& command, const Target& target, int volume) {
  Resource& resource = *kernel_.Find(job.node, target.resource);
  const bool reset = !job.Has("--reset-bitmap=no");
  const std::string option = reset ? "" : " --reset-bitmap=no";
  const std::string& name = target.resource;
  const auto queue = [&](const std::string& text, const std::function<KernelResult()>& run) {
    job.steps.push_back({world_.config.drbdsetup_start, [this, text, run](Job& j) {
                           RunAction(j, {0, "", text, run});
                           return Flow::kNext;
                         }});
  };
  Node& node = NodeOf(job);
  if (command == "invalidate") {
    queue("drbdsetup invalidate " + std::to_string(resource.devices.at(volume).minor) + option,
          [this, &node, name, volume, reset]() -> KernelResult {
            Resource* r = kernel_.Find(node.name, name);
            return r == nullptr ? std::nullopt : kernel_.Invalidate(node, *r, volume, reset);
          });
    return;
  }
  for (const auto& [id, connection] : resource.connections) {
    if (command == "verify" && (target.peer.empty() || connection.peer == target.peer) &&
        !connection.volumes.at(volume).client) {
      queue("drbdsetup verify " + name + " " + std::to_string(id) + " " + std::to_string(volume),
            [this, &node, name, peer = id, volume]() -> KernelResult {
              const End end = kernel_.FindEnd(node.name, name, peer);
              return end.connection == nullptr ? std::nullopt : kernel_.Verify(end, volume);
            });
    } else if (target.peer.empty() || connection.peer == target.peer) {
      queue("drbdsetup invalidate-remote " + name + " " + std::to_string(id) + " " +
                std::to_string(volume) + option,
            [this, &node, name, peer = id, volume, reset]() -> KernelResult {
              const End end = kernel_.FindEnd(node.name, name, peer);
              return end.connection == nullptr ? std::nullopt
                                               : kernel_.InvalidateRemote(end, volume, reset);
            });
    }
  }
}

// F2.7: frozen by quorum, a mounted and dirty file system cannot be frozen by suspend-io: the tool
// gives up, the kernel does not.
void Shell::QueueSuspend(Job& job, const std::string& resource, int minor) {
  const bool freeze = !job.Has("--bdev-freeze=no");
  job.steps.push_back(
      {world_.config.drbdsetup_start, [this, resource, minor, freeze](Job& j) {
         Resource* r = kernel_.Find(j.node, resource);
         if (r == nullptr) {
           return Flow::kNext;
         }
         if (!freeze || !kernel_.SuspendedQuorum(*r) || !writers_.Running(resource, j.node)) {
           kernel_.SuspendIo(NodeOf(j), *r);
           return Flow::kNext;
         }
         r->suspend_pending = true;
         j.steps.push_front({Millis(5000), [minor](Job& late) {
                               Fail(late, 20,
                                    "Command 'drbdsetup suspend-io " + std::to_string(minor) +
                                        "' did not terminate within 5 seconds\n");
                               return Flow::kNext;
                             }});
         return Flow::kNext;
       }});
}

void Shell::RunAction(Job& job, const Action& action) {
  const KernelResult error = action.run();
  world_.Touch(job.node, action.resource);
  if (error) {
    Fail(job, error->exit, error->text + Ended(action.text, error->exit));
  }
}

}  // namespace breakwater::sim
