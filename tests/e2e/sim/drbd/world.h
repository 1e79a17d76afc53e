// Everything that the parts of the simulator share.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/e2e/sim/drbd/config.h"
#include "tests/e2e/sim/drbd/cuts.h"
#include "tests/e2e/sim/drbd/event_queue.h"
#include "tests/e2e/sim/drbd/rng.h"
#include "tests/e2e/sim/drbd/state.h"

namespace breakwater::sim {

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
  // Longest time that a Primary of the resource was suspended by the user, ended ones only.
  std::map<std::string, Time> longest_freeze;
  CutLog cuts;
  // What the clock on the wall showed at virtual time 0; only in time stamps of events2.
  Time wall_base = std::chrono::seconds(1796000000);
  // Something that events2 may show has changed.
  std::function<void(const std::string& node, const std::string& resource)> on_touch;
  // A kernel has logged this line.
  std::function<void(const Node& node, std::string_view line)> on_log;

  void Touch(const std::string& node, const std::string& resource) {
    if (on_touch) {
      on_touch(node, resource);
    }
  }

  // Changed so lately that nobody who acts now can know? `far`: nor can be told by another node.
  [[nodiscard]] bool JustChanged(Time changed, bool far = false) const {
    const Time grace =
        far ? std::max<Time>(config.look_grace, config.far_grace) : config.look_grace;
    return changed >= Time{0} && events.now() - changed < grace;
  }

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
