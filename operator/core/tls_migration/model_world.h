#pragma once

/// ModelWorld: everything around the planner for the model tests, in virtual time and in process:
/// the DRBD simulator, a LINSTOR that rewrites .res files and adjusts without coordination (facts
/// L16, L20, L22), and an executor that can be killed before any single operation.

#include <map>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "operator/core/tls_migration/planner.h"
#include "tests/e2e/sim/drbd/cluster.h"
#include "tests/e2e/sim/drbd/test_cluster.h"

namespace breakwater::tls_migration {

struct WorldOptions {
  sim::SimConfig sim{};
  sim::testing::ResourceSpec spec{};
  std::string primary = "node1";  ///< "" = nobody writes
  sim::Millis write_interval{20};
};

/// Thrown by the executor at the point where the operator is killed.
struct Killed {};

class ModelWorld {
 public:
  explicit ModelWorld(const WorldOptions& options);

  // --- what the operator sees and does
  ResourceObservation Observe();
  void Do(const Action& action, const ResourceObservation& seen);
  SystemTime now() const;

  /// Drives Next() until it says Finished, at most `limit` of virtual time. Restarts after a kill
  /// as a new leader would: with the journal only.
  std::optional<Finished::Result> Drive(const Goal& goal, GatePolicy policy, sim::Time limit);

  /// All connections wanted with this value.
  Goal GoalFor(bool tls) const;

  // --- faults
  /// The operator dies before the n-th operation from now.
  void KillAfter(int operations) { kill_after_ = operations; }

  /// Chance that an operation fails without an effect.
  double op_failure = 0;
  /// Chance that an operation begins up to 12 s late: a slow API server or node.
  double op_delay = 0;
  /// Chance per LINSTOR change that the reply is an error although it was made.
  double linstor_failure = 0;
  /// Chance per observation that a satellite reconnects: all its .res files written again, adjust
  /// (L27).
  double foreign_adjust = 0;
  std::set<std::string> unreachable{};  ///< nodes whose exec fails
  std::mt19937_64 random{1};

  sim::Cluster& cluster() { return cluster_; }

  ResourceLevels& levels() { return levels_; }

  const std::string& last_why() const { return last_why_; }

  std::vector<std::string> broken{};  ///< violated invariants
  int kills = 0;
  int acts = 0;
  std::vector<std::string> log{};

 private:
  bool Chance(double probability);
  void Operation();
  bool RunOp(const NodeOp& op);
  sim::ExecResult Run(const std::string& node, const std::vector<std::string>& argv);
  NodeReport Report(const std::string& node, const std::vector<sim::ExecResult>& parts);
  void WriteRes(const std::vector<std::string>& nodes);
  void AdjustAll(const std::vector<std::string>& nodes);

  sim::Cluster cluster_;
  sim::testing::ResourceSpec spec_;
  ResourceLevels levels_{};
  std::optional<RunState> journal_{};  // what the API server has
  void Watch(const std::string& node, int generation, const std::vector<int>& peer_ids, int turns);
  bool MayForce(const std::string& node);

  struct Watchdog {
    int generation = 0;  // 0 = disarmed
    sim::Time window_until{0};
  };

  std::map<std::string, Watchdog> watchdogs_{};
  int next_watchdog_ = 1;
  int kill_after_ = -1;
  std::string last_why_;
};

}  // namespace breakwater::tls_migration
