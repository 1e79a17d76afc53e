#include "tests/e2e/sim/drbd/world.h"

#include <array>
#include <cstdio>
#include <cstdlib>

namespace breakwater::sim {
namespace {

// As the kernel's ring buffer: old lines are lost. Enough for several migrations of a volume.
constexpr std::size_t kDmesgLines = 5000;

// So that time stamps look like those of a machine that has been up for a while.
constexpr std::int64_t kBootSeconds = 1000;

std::array<long, 3> ParseVersion(std::string_view text) {
  std::array<long, 3> parts{};
  std::size_t index = 0;
  for (const char c : text) {
    if (c == '.') {
      if (++index == parts.size()) {
        break;
      }
    } else if (c >= '0' && c <= '9') {
      parts.at(index) = parts.at(index) * 10 + (c - '0');
    } else {
      break;
    }
  }
  return parts;
}

}  // namespace

Node& World::GetNode(std::string_view name) {
  auto [it, inserted] = nodes.try_emplace(std::string(name));
  if (inserted) {
    it->second.name = name;
  }
  return it->second;
}

Volume& World::GetVolume(const std::string& resource, int volume) {
  Volume& result = volumes[{resource, volume}];
  if (result.size_kib == 0) {
    result.size_kib = config.volume_kib;
  }
  return result;
}

Disk* World::FindDisk(Node& node, const std::string& resource, int volume) {
  const auto it = node.disks.find({resource, volume});
  return it == node.disks.end() ? nullptr : &it->second;
}

void World::Log(Node& node, std::string_view line) {
  if (on_log) {
    on_log(node, line);
  }
  const auto micros = events.now().count();
  std::array<char, 40> stamp{};
  std::snprintf(stamp.data(), stamp.size(), "[%5lld.%06lld] ",
                static_cast<long long>(kBootSeconds) + micros / 1000000,
                static_cast<long long>(micros % 1000000));
  node.dmesg.push_back(std::string(stamp.data()) + std::string(line));
  if (node.dmesg.size() > kDmesgLines) {
    node.dmesg.pop_front();
  }
}

void World::Violate(std::string_view kind,
                    std::string_view resource,
                    std::string_view node,
                    std::string_view detail) {
  violations.push_back({events.now(), std::string(kind), std::string(resource), std::string(node),
                        std::string(detail)});
}

bool World::LinkUp(const std::string& a, const std::string& b) const {
  return !cut_links.contains(a < b ? std::pair(a, b) : std::pair(b, a));
}

bool AtLeast(std::string_view version, std::string_view minimum) {
  return ParseVersion(version) >= ParseVersion(minimum);
}

}  // namespace breakwater::sim
