#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "tests/e2e/sim/linstor/satellite.h"

namespace breakwater::sim {

/// All satellites: who is online, rounds of work over several nodes, LINSTOR's own retries.
/// Thread safe. Never call with the database locked, except status().
class Satellites {
 public:
  struct Work {
    std::string node;  // name
    CycleRequest request;
  };

  Satellites(Database& database, DrbdPort& port, const SimOptions& options);
  ~Satellites();

  /// Starts polling and retrying; without it (unit tests) call Poll() by hand.
  void Start();

  /// Compares the pods with the nodes' interfaces once.
  void Poll();

  /// OFFLINE, CONNECTED, ONLINE, FULL_SYNC_FAILED.
  [[nodiscard]] std::string status(const std::string& node) const;

  /// Runs the work on all nodes at once and calls `each` in the order in which they finish, offline
  /// nodes first. Ends early after the first error, as LINSTOR's replies do; the rest goes on
  /// alone.
  void RunRound(const std::vector<Work>& work, const std::function<void(const CycleResult&)>& each);

  /// Drops the connection and builds it up again; waits until the node is ONLINE or `wait` is over.
  bool Reconnect(const std::string& node, std::chrono::milliseconds wait);
  bool WaitOnline(const std::string& node, std::chrono::milliseconds wait);

  /// As after a restart of the controller: every satellite connects again, which adjusts everything
  /// (L27). Requests that were under way fail.
  void Restart();

  void SetHung(const std::string& node, bool hung);
  void SetSlow(const std::string& node, std::chrono::milliseconds delay);
  /// The node left the cluster.
  void Forget(const std::string& node);

 private:
  std::shared_ptr<Satellite> Get(const std::string& node);
  [[nodiscard]] std::shared_ptr<Satellite> Find(const std::string& node) const;
  void RetryTick();

  Database& database_;
  DrbdPort& port_;
  const SimOptions options_;
  mutable std::mutex mutex_;
  std::map<std::string, std::shared_ptr<Satellite>> satellites_;  // by Key(node)
  std::map<std::string, std::chrono::steady_clock::time_point> hung_since_;
  std::mutex poll_mutex_;  // one Poll() at a time
  std::jthread poller_, retrier_;
};

}  // namespace breakwater::sim
