// The applications: one writer per opened volume, and what became of their writes.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "tests/e2e/sim/drbd/kernel.h"

namespace breakwater::sim {

// A write that took too long: from when it was issued until it ended, or until now.
struct Stall {
  Time from{0};
  Time to{0};

  [[nodiscard]] Time length() const { return to - from; }
};

struct WriterStats {
  std::uint64_t writes = 0;
  std::uint64_t errors = 0;  // EIO
  Time longest_stall{0};
  std::vector<Stall> stalls;  // longer than SimConfig::stall_threshold, oldest first
  Time last_error{-1};
};

class Writers {
 public:
  // Registers itself for the kernel's callbacks; both must outlive it.
  Writers(World& world, Kernel& kernel);

  // Opens the device, which makes the node Primary. The error is what open(2) would mean.
  KernelResult Start(const std::string& resource, const std::string& node, Millis interval);
  void Stop(const std::string& resource, const std::string& node);
  // The node is gone, and its writers with it; what was in flight is marked for the resync.
  void NodeCrashed(const std::string& node);

  [[nodiscard]] bool Running(const std::string& resource, const std::string& node) const;
  // All writers of the resource together.
  [[nodiscard]] WriterStats Stats(const std::string& resource) const;
  // One of them, with the stall that is going on; cheap enough for every moment of a walk.
  [[nodiscard]] WriterStats StatsOf(const std::string& resource, const std::string& node) const;
  void ResetStats();
  // Blocks of this resource whose outcome is still open.
  [[nodiscard]] std::set<std::pair<int, std::uint64_t>> InFlight(const std::string& resource) const;

 private:
  struct Pending {
    std::uint64_t number = 0;
    int volume = 0;
    std::uint64_t block = 0;
    std::uint64_t previous = 0;  // content before, for a write that ends in EIO
    Time issued{0};
    bool submitted = false;
    bool unprotected = false;  // cut off in flight without suspend-io (F2.8)
    bool peer_lost = false;    // a peer went away meanwhile: others must learn that it is behind
    std::set<int> waiting;     // peers that have not confirmed
    std::set<int> holders;     // peers that have
    std::set<int> missing;     // peers that will not get it
    std::uint64_t round = 0;
  };

  struct Writer {
    bool running = false;
    Millis interval{20};
    WriterStats stats;
    std::optional<Pending> pending;
    std::uint64_t session = 0;
  };

  using Key = std::pair<std::string, std::string>;  // resource, node

  void Issue(const Key& key, std::uint64_t session);
  void Submit(const Key& key);
  void Arrive(const Key& key, std::uint64_t round);
  void Complete(const Key& key, std::uint64_t round);
  void Finish(const Key& key, bool ok);
  void Revert(const Key& key);
  void Doubt(const std::string& resource, const Writer& writer);
  bool LoseInFlight(const Key& key, Resource& resource);
  void LoseSilentPeers(const Key& key);
  void TellHolder(const Key& key, int holder);
  void OnIoChange(const std::string& node, const std::string& resource);
  void OnCut(const std::string& node, const std::string& resource, int peer_id);

  World& world_;
  Kernel& kernel_;
  std::map<Key, Writer> writers_;
  std::uint64_t next_round_ = 1;
};

}  // namespace breakwater::sim
