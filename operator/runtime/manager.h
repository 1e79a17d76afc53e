#pragma once

/// Manager: owns stores, reflectors and controllers, and the order in which all parts start and
/// stop.
///
/// Start: reflectors, stores synced, parts that run everywhere, leadership, parts of the leader.
/// Stop: parts of the leader and controllers (with a grace), other parts, reflectors, lease last -
/// so that no other replica starts while we still write.

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "operator/api/resource_info.h"
#include "operator/base/context.h"
#include "operator/base/error.h"
#include "operator/base/log.h"
#include "operator/base/result.h"
#include "operator/kube/client.h"
#include "operator/runtime/controller.h"
#include "operator/runtime/leader_elector.h"
#include "operator/runtime/metrics.h"
#include "operator/runtime/reflector.h"
#include "operator/runtime/services.h"
#include "operator/runtime/store.h"

namespace breakwater::runtime {

/// A part with its own threads: the event recorder, the migration engine.
struct Runnable {
  std::string name{};
  /// Returns once it works; an error ends the start of the manager. The context is cancelled as
  /// soon as the manager begins to stop or leadership is lost, `stop` is called after that.
  std::function<Result<void, Error>(const Context&)> start{};
  /// Returns once it has ended; called only when `start` succeeded, in the reverse order of the
  /// starts.
  std::function<void()> stop{};
};

struct ManagerOptions {
  /// Nothing = leader election off: this is the only replica and always leads.
  std::optional<LeaderElectorOptions> leader_election{};
  /// For the lease alone; null = the manager's client. Must outlive the manager.
  kube::KubeClient* lease_client = nullptr;
  /// How long running reconciles may go on at stop. Source: controller-runtime, 30 s.
  std::chrono::seconds grace{30};
  /// How long a start may wait for the stores before it says which one is missing (and goes on
  /// waiting).
  std::chrono::seconds sync_log_interval{30};
  /// For all reflectors; `filter` is per store.
  ReflectorOptions reflector{};
};

/// Thread safety: Add* before Run, from one thread; Run once.
/// Ownership: owns stores, reflectors and controllers; `client`, services and reconcilers must
/// outlive it.
class Manager {
 public:
  Manager(Services services, kube::KubeClient& client, ManagerOptions options = {});
  ~Manager();
  Manager(const Manager&) = delete;
  Manager& operator=(const Manager&) = delete;

  /// The store of this kind and filter; the same one for the same arguments (then `validate` of the
  /// first call counts). Nodes and Pods are trimmed (TrimFor).
  Store& AddStore(const api::ResourceInfo& resource,
                  const StoreFilter& filter = {},
                  ValidateFn validate = {});
  Controller& AddController(ControllerOptions options, Reconciler& reconciler);
  /// Needs synced stores, runs in every replica.
  void AddRunnable(Runnable runnable);
  /// Needs synced stores, runs in the leader only.
  void AddLeaderRunnable(Runnable runnable);

  /// Runs until `stop` is requested (then success), a part cannot start, or leadership is lost
  /// (then an error: the process must end non-zero, because another replica may already work).
  Result<void, Error> Run(std::stop_token stop);

  bool IsLeader() const;

  /// LeaderElector::Term; without an election the time at which Run began, in seconds.
  std::int64_t LeaderTerm() const;

 private:
  Result<void, Error> StartParts(const Context& ctx);
  Result<void, Error> StartAll(const Context& ctx, std::vector<Runnable>& runnables);
  bool WaitSynced(const Context& ctx) const;
  bool WaitElected(const Context& ctx);
  void StartControllers(bool leader_only);
  bool StopControllers();
  void StopRunnables();

  const Services services_;  // constant after construction
  kube::KubeClient& client_;
  const ManagerOptions options_;  // constant after construction
  const Logger log_;              // constant after construction

  // Only used by the thread that calls Add* and Run.
  std::map<std::pair<api::ResourceInfo, StoreFilter>, std::unique_ptr<Store>> stores_;
  std::vector<Metrics::Registration> store_metrics_;  // after stores_: they end first
  std::vector<std::unique_ptr<Reflector>> reflectors_;
  std::vector<std::unique_ptr<Controller>> controllers_;
  std::vector<Runnable> everywhere_;
  std::vector<Runnable> leader_only_;
  std::vector<const Runnable*> started_;  // in the order of the starts
  std::unique_ptr<LeaderElector> elector_;

  std::function<void()> end_run_;  // constant while the elector runs

  std::atomic<bool> leader_{false};
  std::atomic<std::int64_t> started_at_{0};  // seconds
  std::stop_source lost_;  // leadership was lost: another replica may already work
};

}  // namespace breakwater::runtime
