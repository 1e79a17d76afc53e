// Output of drbdsetup, byte for byte like drbd-utils 9.34.
#pragma once

#include <string>
#include <vector>

#include "tests/e2e/sim/drbd/kernel.h"

namespace breakwater::sim {

struct StatusOptions {
  bool verbose = false;
  bool statistics = false;
};

[[nodiscard]] std::string StatusJson(World& world,
                                     Kernel& kernel,
                                     Node& node,
                                     const std::vector<Resource*>& resources);
[[nodiscard]] std::string StatusText(
    World& world, Kernel& kernel, Node& node, Resource& resource, const StatusOptions& options);

// One object as events2 shows it. A change of `state` is an event, one of the rest of `text` is
// not.
struct EventObject {
  std::string kind;  // "resource", "connection", "device", "peer-device", "path"
  std::string key;
  std::string state;
  std::string text;
  std::string only_at_first;  // left out in "change" lines
};

[[nodiscard]] std::vector<EventObject> EventObjects(World& world,
                                                    Kernel& kernel,
                                                    Node& node,
                                                    Resource& resource);
// `action`: "exists", "create", "change", "destroy".
[[nodiscard]] std::string EventLine(const std::string& action, const EventObject& object);
[[nodiscard]] std::string Events2(World& world, Kernel& kernel, Node& node, Resource& resource);
[[nodiscard]] std::string ShowJson(const Node& node,
                                   const std::vector<Resource*>& resources,
                                   bool defaults);
[[nodiscard]] std::string ShowText(const Node& node, const Resource& resource);

// What status shows about one peer device.
struct PeerView {
  ReplState repl = ReplState::kOff;
  DiskState disk = DiskState::kUnknown;
  bool client = false;
  std::string resync_suspended = "no";
  std::uint64_t received = 0;
  std::uint64_t sent = 0;
  std::uint64_t out_of_sync = 0;
  std::uint64_t size = 0;
  bool syncing = false;
  bool verifying = false;
  std::uint64_t rs_total = 0;  // sectors, as are the following
  std::uint64_t rs_done = 0;
  std::int64_t rs_ms = 0;

  [[nodiscard]] double done_percent() const;
  [[nodiscard]] double in_sync_percent() const;
  [[nodiscard]] double mib_per_second() const;
};

[[nodiscard]] PeerView ViewPeer(World& world, Kernel& kernel, const End& end, int volume);
[[nodiscard]] std::string SuspendedText(const Kernel& kernel, const Resource& resource);
[[nodiscard]] std::string WriteOrdering(const Resource& resource);
[[nodiscard]] std::uint64_t SizeKib(World& world, Node& node, const Resource& resource, int volume);

}  // namespace breakwater::sim
