// Everything that the parts of the simulator share.
#pragma once

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/e2e/sim/drbd/config.h"
#include "tests/e2e/sim/drbd/event_queue.h"
#include "tests/e2e/sim/drbd/rng.h"
#include "tests/e2e/sim/drbd/state.h"

namespace breakwater::sim {

// Default size of a volume nobody sized: that of the recorded samples.
inline constexpr std::uint64_t kDefaultSizeKib = 204720;

// Something that a correct migration never does (DESIGN section 4.5).
struct Violation {
  Time time{0};
  std::string kind;
  std::string resource;
  std::string node;
  std::string detail;
};

struct World {
  explicit World(const SimConfig& c) : config(c), rng(c.seed) {}

  SimConfig config;
  EventQueue events;
  Rng rng;
  std::map<std::string, Node> nodes;
  std::map<std::pair<std::string, int>, Volume> volumes;
  std::set<std::pair<std::string, std::string>> cut_links;  // ordered pairs of node names
  std::vector<Violation> violations;

  Node& GetNode(std::string_view name);
  Volume& GetVolume(const std::string& resource, int volume);
  Disk* FindDisk(Node& node, const std::string& resource, int volume);

  // Kernel log line, without the time stamp.
  void Log(Node& node, std::string_view line);
  void Violate(std::string_view kind,
               std::string_view resource,
               std::string_view node,
               std::string_view detail);
  [[nodiscard]] bool LinkUp(const std::string& a, const std::string& b) const;
};

// Is `version` ("9.3.3") at least `minimum`?
[[nodiscard]] bool AtLeast(std::string_view version, std::string_view minimum);

}  // namespace breakwater::sim
