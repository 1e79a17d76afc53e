#include "tests/e2e/sim/drbd/cluster.h"

#include <memory>

namespace breakwater::sim {
namespace {

constexpr Time kRunLimit = std::chrono::minutes(10);

}  // namespace

Cluster::Cluster(const SimConfig& config)
    : world_(config),
      kernel_(world_),
      writers_(world_, kernel_),
      feed_(world_, kernel_),
      shell_(world_, kernel_, writers_, feed_) {
  kernel_.config_broken = [this](const Node& node) { return shell_.ConfigBroken(node); };
}

bool Cluster::WaitFor(const std::function<bool()>& condition, Time limit) {
  const Time end = now() + limit;
  while (!condition()) {
    if (now() >= end) {
      return false;
    }
    const auto next = next_event();
    AdvanceTo(next && *next < end ? *next : end);
  }
  return true;
}

void Cluster::Start(const std::string& node,
                    const std::string& container,
                    const std::vector<std::string>& argv,
                    Shell::Done done,
                    Launch launch) {
  world_.GetNode(node);
  shell_.Start(node, container, argv, std::move(done), std::move(launch));
}

ExecResult Cluster::Run(const std::string& node,
                        const std::vector<std::string>& argv,
                        const std::string& container,
                        const Launch& launch) {
  const auto result = std::make_shared<std::optional<ExecResult>>();
  Start(
      node, container, argv, [result](const ExecResult& done) { *result = done; }, launch);
  if (!WaitFor([&] { return result->has_value(); }, kRunLimit)) {
    return {.exit = 124, .err = "the command never ended\n"};
  }
  return **result;
}

void Cluster::PutFile(const std::string& node,
                      const std::string& path,
                      const std::string& content) {
  world_.GetNode(node).files[path] = content;
}

void Cluster::SetTlshd(const std::string& node, bool running, bool hung) {
  Tlshd& daemon = world_.GetNode(node).tlshd;
  if (!running) {
    daemon.log.clear();  // that of a container that is gone
  } else if (!daemon.running) {
    daemon.log = "tlshd[1]: Built from ktls-utils 0.10 on Oct  4 2023 07:26:06\n";
  }
  daemon.running = running;
  daemon.hung = hung;
}

KernelResult Cluster::StartWriter(const std::string& resource,
                                  const std::string& node,
                                  Millis interval) {
  return writers_.Start(resource, node, interval);
}

void Cluster::StopWriter(const std::string& resource, const std::string& node) {
  writers_.Stop(resource, node);
}

void Cluster::CrashNode(const std::string& node) {
  Node& found = world_.GetNode(node);
  writers_.NodeCrashed(node);
  kernel_.CrashNode(found);
  feed_.NodeCrashed(node);
  SetTlshd(node, false);
  found.satellite.running = false;
}

void Cluster::BootNode(const std::string& node) {
  world_.GetNode(node).up = true;
}

void Cluster::CutLink(const std::string& a, const std::string& b, bool cut) {
  const auto link = a < b ? std::pair(a, b) : std::pair(b, a);
  if (!cut) {
    world_.cut_links.erase(link);
    kernel_.TryAllConnections();
    return;
  }
  world_.cut_links.insert(link);
  world_.events.After(world_.config.ping_timeout, [this, link] {
    if (world_.LinkUp(link.first, link.second)) {
      return;
    }
    for (const auto& [name, peer] : {link, std::pair(link.second, link.first)}) {
      Node& node = world_.GetNode(name);
      for (auto& [resource_name, resource] : node.resources) {
        for (auto& [id, connection] : resource.connections) {
          if (connection.peer == peer) {
            kernel_.LoseConnection({&node, &resource, &connection},
                                   "PingAck did not arrive in time.");
          }
        }
      }
    }
  });
}

End Cluster::FindPair(const std::string& resource,
                      const std::string& node,
                      const std::string& peer) {
  Resource* found = kernel_.Find(node, resource);
  if (found != nullptr) {
    for (auto& [id, connection] : found->connections) {
      if (connection.peer == peer) {
        return {&world_.nodes.at(node), found, &connection};
      }
    }
  }
  return {};
}

bool Cluster::InjectStale(const std::string& resource,
                          const std::string& primary,
                          const std::string& peer) {
  const End end = FindPair(resource, primary, peer);
  if (end.connection == nullptr) {
    return false;
  }
  (void)kernel_.InjectStale(end);
  return true;
}

std::size_t Cluster::CorruptBlocks(const std::string& resource,
                                   const std::string& node,
                                   int volume,
                                   std::size_t count) {
  Disk* disk = world_.FindDisk(world_.GetNode(node), resource, volume);
  std::set<std::uint64_t> written;
  for (const auto& [block, number] : world_.GetVolume(resource, volume).acknowledged) {
    if (number != 0) {
      written.insert(block);
    }
  }
  std::size_t done = 0;
  for (auto it = written.begin(); disk != nullptr && it != written.end() && done < count; ++it) {
    disk->blocks.Put(*it, 0);
    ++done;
  }
  return done;
}

void Cluster::BreakConfig(const std::string& node, bool broken) {
  const std::string path = "/etc/drbd.d/broken.res";
  if (broken) {
    PutFile(node, path, "resource broken {\n  device minor 9999\n");
  } else {
    world_.GetNode(node).files.erase(path);
  }
}

bool Cluster::InjectStuck(const std::string& resource, const std::string& a, const std::string& b) {
  const End end = FindPair(resource, a, b);
  if (end.connection == nullptr) {
    return false;
  }
  end.connection->will_stick = true;
  return true;
}

}  // namespace breakwater::sim
