#pragma once

/// Controller: triggers -> queue -> workers -> Reconciler.
///
///   Controller& controller = manager.AddController({.name = "cluster"}, reconciler);
///   controller.WatchSelf(clusters, SpecOrMetadataChanged);
///   controller.WatchOwned(daemon_sets, clusters);
///   controller.WatchMapped(nodes, [&](const ChangeEvent&) { return KeysOf(clusters); });

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "operator/api/resource_info.h"
#include "operator/base/context.h"
#include "operator/base/error.h"
#include "operator/base/log.h"
#include "operator/base/result.h"
#include "operator/base/thread.h"
#include "operator/runtime/metrics.h"
#include "operator/runtime/services.h"
#include "operator/runtime/store.h"
#include "operator/runtime/trigger.h"
#include "operator/runtime/work_queue.h"

namespace breakwater::runtime {

/// When to look at the key again although nothing changed; nothing = not before the next change.
struct Requeue {
  std::optional<std::chrono::milliseconds> after{};
};

/// Brings the world closer to what one object asks for.
///
/// Level-based: a call says "look at this key", never what changed. The object may be gone.
/// Thread safety: called by several workers at once, but never twice at once for one key.
class Reconciler {
 public:
  virtual ~Reconciler() = default;

  /// Must return soon after `ctx` is cancelled or its deadline passed.
  /// The class of an error decides about the retry: kConflict at once (5 ms), kTransient and
  /// kNotFound with backoff, kThrottled after retry_after, kInvalid and kForbidden slowly,
  /// kTerminal not before the next change, kCanceled silently. Do not log an error that you return:
  /// the caller does, once. An exception counts as kTransient and in breakwater_panics_total.
  virtual Result<Requeue, Error> Reconcile(const Context& ctx, const api::ObjectKey& key) = 0;
};

struct ControllerOptions {
  std::string name{};  ///< lower case, value of the metrics' label `controller`
  int workers = 2;
  /// Longest time for one reconcile; a hanging API call then counts as a transient error.
  std::chrono::milliseconds reconcile_deadline{std::chrono::minutes{2}};
  /// Reconciles every object of the WatchSelf store again after this time; nothing = never.
  std::optional<std::chrono::milliseconds> resync{};
  /// Retry of kInvalid and kForbidden: a person must act first, so there is no hurry. 5 min:
  /// DESIGN 3.
  std::chrono::milliseconds slow_retry{std::chrono::minutes{5}};
  /// False: runs in every replica, not only in the leader.
  bool leader_only = true;
  WorkQueue::Options queue{};
};

/// Thread safety: the Watch* methods before Start only; Enqueue* from any thread.
/// Ownership: keeps references to services, reconciler and stores, which must outlive it. Stops and
/// joins its workers in the destructor.
class Controller {
 public:
  Controller(Services services, ControllerOptions options, Reconciler& reconciler);
  ~Controller();
  Controller(const Controller&) = delete;
  Controller& operator=(const Controller&) = delete;

  const std::string& name() const { return options_.name; }

  const ControllerOptions& options() const { return options_; }

  /// Reconciles the object that changed.
  Controller& WatchSelf(Store& store, Predicate predicate = {});
  /// Reconciles the controller-owner (in `owners`) of the object that changed.
  Controller& WatchOwned(Store& owned, Store& owners, Predicate predicate = {});
  /// Reconciles the keys that `mapper` names.
  Controller& WatchMapped(Store& store, Mapper mapper, Predicate predicate = {});
  /// Waits for this store before the first reconcile, without being triggered by it.
  Controller& Needs(Store& store);

  /// Reconciles `key` although no store changed: timers, external events.
  void Enqueue(const api::ObjectKey& key);

  /// Subscribes to the stores, which hand over what they have, and starts the workers; they wait
  /// until all stores are synced. Once only. Before, a replica that only stands by collects no
  /// keys.
  void Start();
  /// Takes no new key, cancels nothing: running reconciles may end in peace.
  void CloseQueue();
  /// Waits until no reconcile runs; false when `ctx` ended first.
  bool WaitIdle(const Context& ctx) const;
  /// CloseQueue, cancels running reconciles and joins. Idempotent.
  void Stop();

  const WorkQueue& queue() const { return queue_; }

 private:
  struct Instruments;  // metrics, heartbeats: controller.cc

  struct Trigger {
    Store* store;
    ChangeFn fn;
    std::optional<Store::SubscriptionId> id{};  ///< once subscribed
  };

  static WorkQueue::Hooks QueueHooks(Metrics& metrics, const std::string& name);
  Controller& Watch(Store& store, Mapper mapper, Predicate predicate);
  bool WaitStores(const Context& ctx) const;
  void RunWorker(const std::stop_token& stop, int index);
  void RunResync(const std::stop_token& stop);
  void Process(const Context& ctx, const api::ObjectKey& key);
  Result<Requeue, Error> Guarded(const Context& ctx, const api::ObjectKey& key);
  void Retry(const api::ObjectKey& key, const Error& error, std::string_view reconcile_id);

  const Services services_;          // constant after construction
  const ControllerOptions options_;  // constant after construction
  const Logger log_;                 // constant after construction
  Reconciler& reconciler_;
  std::unique_ptr<Instruments> instruments_;  // constant after construction
  WorkQueue queue_;                           // own locking
  Metrics::Registration queue_gauges_;        // constant after construction
  std::vector<Store*> stores_;                // constant after Start
  std::vector<Store*> self_stores_;           // constant after Start
  std::vector<Trigger> triggers_;             // constant after Start
  std::atomic<std::uint64_t> reconciles_{0};
  std::vector<Thread> threads_;  // last member: joined first
};

}  // namespace breakwater::runtime
