// A simulated DRBD cluster: the entry point for tests and for the daemon.
//
//   Cluster cluster({.seed = 7});
//   cluster.PutFile("n1", "/var/lib/linstor.d/r0.res", text);   // and on the other nodes
//   cluster.Run("n1", {"drbdadm", "up", "r0"});                 // advances virtual time
//   cluster.StartWriter("r0", "n1", Millis(20));
//   cluster.Advance(Millis(5000));
//   cluster.Report("r0").diverged_blocks;
//
// Deterministic for a given seed and sequence of calls. Thread-compatible: the daemon locks.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "tests/e2e/sim/drbd/events.h"
#include "tests/e2e/sim/drbd/kernel.h"
#include "tests/e2e/sim/drbd/shell.h"
#include "tests/e2e/sim/drbd/world.h"
#include "tests/e2e/sim/drbd/writers.h"

namespace breakwater::sim {

inline constexpr char kSatelliteContainer[] = "linstor-satellite";
inline constexpr char kTlsContainer[] = "ktls-utils";

struct ResourceReport {
  std::string name;
  std::string primary;  // node, empty: none
  Time longest_stall{0};
  std::uint64_t errors = 0;
  std::uint64_t writes = 0;
  std::uint64_t diverged_blocks = 0;  // differ between connected UpToDate replicas
  std::uint64_t lost_writes = 0;      // acknowledged, but missing on such a replica
  std::uint64_t resync_kib = 0;
  std::uint64_t stale_peers = 0;  // F12: Established with peer-disk Outdated at the Primary
  bool suspended_user = false;
  Time frozen{0};          // a Primary is suspended by the user, for so long until now
  Time longest_freeze{0};  // that, or an earlier one
  std::vector<Stall> stalls;
  int connections = 0;  // pairs that are configured
  int connected = 0;
  int encrypted = 0;
};

class Cluster {
 public:
  explicit Cluster(const SimConfig& config = {});

  Cluster(const Cluster&) = delete;
  Cluster& operator=(const Cluster&) = delete;

  // --- time
  [[nodiscard]] Time now() const { return world_.events.now(); }

  [[nodiscard]] std::optional<Time> next_event() const { return world_.events.next(); }

  void AdvanceTo(Time time) { world_.events.AdvanceTo(time); }

  void Advance(Time duration) { AdvanceTo(now() + duration); }

  // Advances until the condition holds; false when it does not within `limit`.
  bool WaitFor(const std::function<bool()>& condition, Time limit);

  // --- commands
  void Start(const std::string& node,
             const std::string& container,
             const std::vector<std::string>& argv,
             Shell::Done done,
             Launch launch = {});
  // Advances virtual time until the command is done (at most ten minutes: then exit 124).
  ExecResult Run(const std::string& node,
                 const std::vector<std::string>& argv,
                 const std::string& container = kSatelliteContainer,
                 const Launch& launch = {});

  // --- the world around the kernel
  void PutFile(const std::string& node, const std::string& path, const std::string& content);
  void SetTlshd(const std::string& node, bool running, bool hung = false);
  KernelResult StartWriter(const std::string& resource, const std::string& node, Millis interval);
  void StopWriter(const std::string& resource, const std::string& node);
  void CrashNode(const std::string& node);
  void BootNode(const std::string& node);
  void CutLink(const std::string& a, const std::string& b, bool cut);
  // F12 at once, or at the next reconnect when the pair is not connected. False: no such pair.
  bool InjectStale(const std::string& resource,
                   const std::string& primary,
                   const std::string& peer);
  // F4.9 at the next reconnect of the two Secondaries.
  bool InjectStuck(const std::string& resource, const std::string& a, const std::string& b);

  // Makes up to `count` blocks that were written differ on this node, as a bad disk would: only
  // verify can find them. Returns how many.
  std::size_t CorruptBlocks(const std::string& resource,
                            const std::string& node,
                            int volume,
                            std::size_t count);
  // A .res file of some other resource that no tool can read (F33); `broken` false: removed.
  void BreakConfig(const std::string& node, bool broken);

  // --- events: see EventFeed
  std::uint64_t OnEvent(const std::string& node,
                        std::function<void(const std::string& resource)> changed) {
    return feed_.Subscribe(node, std::move(changed));
  }

  void RemoveOnEvent(std::uint64_t id) { feed_.Unsubscribe(id); }

  [[nodiscard]] EventFeed& feed() { return feed_; }

  // --- results
  [[nodiscard]] std::vector<ResourceReport> ReportAll();
  [[nodiscard]] ResourceReport Report(const std::string& resource);
  // The same without the comparison of all blocks, which is slow: diverged and lost stay 0.
  [[nodiscard]] ResourceReport Summary(const std::string& resource);
  // Do all connected good replicas hold all acknowledged writes, and the same data? Cheap: by
  // digests, unless something is wrong.
  [[nodiscard]] bool DataIntact(const std::string& resource);
  // Since when a Primary of this resource has been suspended by the user; nothing: none is.
  [[nodiscard]] std::optional<Time> FrozenSince(const std::string& resource);
  // The longest such time, the present one included.
  [[nodiscard]] Time LongestFreeze(const std::string& resource);
  void ResetStatistics();
  [[nodiscard]] std::vector<Violation> Check();

  [[nodiscard]] World& world() { return world_; }

  [[nodiscard]] Kernel& kernel() { return kernel_; }

  [[nodiscard]] Shell& shell() { return shell_; }

  [[nodiscard]] Writers& writers() { return writers_; }

 private:
  [[nodiscard]] End FindPair(const std::string& resource,
                             const std::string& node,
                             const std::string& peer);
  [[nodiscard]] std::map<std::string, ResourceReport> Summaries(const std::string& only);

  World world_;
  Kernel kernel_;
  Writers writers_;
  EventFeed feed_;
  Shell shell_;
};

}  // namespace breakwater::sim
