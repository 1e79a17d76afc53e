#pragma once

/// LeaderElector: at most one replica works at a time, by a Lease (coordination.k8s.io/v1).
///
/// Two rules make "at most one" hold without comparing clocks of different machines:
///  - a candidate takes a foreign lease only after it has *watched it unchanged* for the lease
///  duration
///    on its own steady clock; one that was deleted meanwhile likewise: its holder may still work;
///  - a leader stops by itself when it could not renew for `renew_deadline` (< lease duration),
///  counted
///    from before the last successful request; a watchdog thread does that even when a request
///    hangs.

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>

#include "operator/base/context.h"
#include "operator/base/log.h"
#include "operator/base/thread.h"
#include "operator/base/thread_annotations.h"
#include "operator/kube/client.h"
#include "operator/kube/lease.h"
#include "operator/net/write_fence.h"
#include "operator/runtime/services.h"
#include "operator/runtime/wakeup.h"

namespace breakwater::runtime {

struct LeaderElectorOptions {
  std::string ns{};
  std::string name = "breakwater-operator";
  /// Unique per process, e.g. "<pod name>_<random>".
  std::string identity{};
  /// Source of the three: client-go leader election defaults as used by controller-runtime,
  /// 15/10/2 s.
  std::chrono::seconds lease_duration{15};
  std::chrono::seconds renew_deadline{10};
  std::chrono::seconds retry_period{2};
  /// Open only while this process leads; null = none. Must outlive the elector.
  net::WriteFence* fence = nullptr;
};

/// Thread safety: all methods may be called from any thread. Two threads (renewal, watchdog).
class LeaderElector {
 public:
  /// `client` must outlive it, and its writes must not be behind the fence.
  LeaderElector(Services services, kube::KubeClient& client, LeaderElectorOptions options);
  /// Stops without releasing.
  ~LeaderElector();
  LeaderElector(const LeaderElector&) = delete;
  LeaderElector& operator=(const LeaderElector&) = delete;

  /// Begins to try. `on_lost` is called at most once, after the leader's token was stopped; the
  /// process should then end (non-zero): this elector does not try again. It must not call Stop.
  void Start(std::function<void()> on_lost);

  /// Waits until this process leads. The token is stopped when it no longer may work. Nothing when
  /// `ctx` ended or Stop was called first.
  std::optional<std::stop_token> WaitElected(const Context& ctx) const;

  /// False from the renew deadline on, even before the watchdog got to it.
  bool IsLeader() const;

  /// Names this time of leading: greater than that of every leader before, 0 before the first. The
  /// lease's acquireTime in seconds, which a new holder never sets back; a lease that was deleted
  /// begins anew from the clock.
  std::int64_t Term() const;

  /// Ends the election. With `release` (only when no work runs any more!) another replica can take
  /// over at once instead of after the lease duration. Joins; idempotent.
  void Stop(bool release);

 private:
  enum class Attempt { kHeld, kOther, kFailed };

  void Run(const std::stop_token& stop);
  void Watch(const std::stop_token& stop);
  Attempt Guarded(const Context& ctx);
  Attempt TryOnce(const Context& ctx);
  std::optional<Attempt> Renew(const Context& ctx);
  bool MayTake(const kube::Lease& lease);
  bool MayCreate();
  void Held(SteadyTime started);
  bool WasElected() const;
  void Lose(std::string_view why);
  void EndFence();
  void Release();

  const Services services_;  // constant after construction
  kube::LeaseClient lease_;
  const LeaderElectorOptions options_;  // constant after construction
  const Logger log_;                    // constant after construction
  std::function<void()> on_lost_;       // constant after Start

  // Only used by the renewal thread, and by Stop after it was joined.
  std::optional<kube::Lease> held_{};              // as we wrote it last
  std::optional<std::string> observed_version_{};  // nothing: never looked; "": was not there
  SteadyTime observed_at_{};

  mutable Mutex mutex_;
  bool leader_ BREAKWATER_GUARDED_BY(mutex_) = false;
  /// No further attempt to lead: lost or stopped.
  bool ended_ BREAKWATER_GUARDED_BY(mutex_) = false;
  /// Just before the last successful request was sent.
  SteadyTime renewed_at_ BREAKWATER_GUARDED_BY(mutex_){};
  std::int64_t term_ BREAKWATER_GUARDED_BY(mutex_) = 0;
  std::stop_source leading_ BREAKWATER_GUARDED_BY(mutex_);
  mutable Wakeup changed_;  // own locking
  Thread watchdog_;
  Thread thread_;  // last member: joined first
};

/// The Lease with which `options.identity` follows `current` (nothing = there is none yet) at wall
/// time `now`. Pure.
kube::Lease HeldLease(const LeaderElectorOptions& options,
                      const std::optional<kube::Lease>& current,
                      SystemTime now);

}  // namespace breakwater::runtime
