#include "operator/runtime/leader_elector.h"

#include <algorithm>
#include <exception>
#include <utility>

#include "operator/runtime/metrics.h"

namespace breakwater::runtime {
kube::Lease HeldLease(const LeaderElectorOptions& options,
                      const std::optional<kube::Lease>& current,
                      SystemTime now) {
  kube::Lease lease = current.value_or(kube::Lease{});
  if (lease.holder != options.identity) {
    lease.holder = options.identity;
    lease.transitions = current ? lease.transitions + 1 : 0;
    // Grows with every change of the holder, whatever the clocks of the replicas say: see Term().
    const SystemTime after = current && current->acquire_time
                                 ? *current->acquire_time + std::chrono::seconds(1)
                                 : SystemTime{};
    lease.acquire_time = std::max(now, after);
  }
  lease.duration = options.lease_duration;
  lease.renew_time = now;
  return lease;
}

LeaderElector::LeaderElector(Services services,
                             kube::KubeClient& client,
                             LeaderElectorOptions options)
    : services_(services),
      lease_(client, {options.ns, options.name}),
      options_(std::move(options)),
      log_(services.log.Named("leader", {{"identity", options_.identity}})) {
  if (options_.fence != nullptr) {
    options_.fence->Close();
  }
}

LeaderElector::~LeaderElector() {
  Stop(false);
}

void LeaderElector::Start(std::function<void()> on_lost) {
  on_lost_ = std::move(on_lost);
  watchdog_ = Thread("leader-watchdog", [this](const std::stop_token& stop) { Watch(stop); });
  thread_ = Thread("leader", [this](const std::stop_token& stop) { Run(stop); });
}

std::optional<std::stop_token> LeaderElector::WaitElected(const Context& ctx) const {
  while (true) {
    const Wakeup::Ticket ticket = changed_.GetTicket();
    {
      const MutexLock lock(mutex_);
      if (ended_ || ctx.canceled() || ctx.expired()) {
        return std::nullopt;
      }
      if (leader_) {
        return leading_.get_token();
      }
    }
    const SteadyTime later = services_.clock.SteadyNow() + std::chrono::hours(1);
    Wakeup::Wait(ticket, ctx.stop(), services_.clock, ctx.deadline().value_or(later));
  }
}

std::int64_t LeaderElector::Term() const {
  const MutexLock lock(mutex_);
  return term_;
}

bool LeaderElector::IsLeader() const {
  const SteadyTime now = services_.clock.SteadyNow();
  const MutexLock lock(mutex_);
  // Also when the watchdog thread did not get the processor yet.
  return leader_ && now < renewed_at_ + options_.renew_deadline;
}

bool LeaderElector::WasElected() const {
  const MutexLock lock(mutex_);
  return leader_;
}

void LeaderElector::Stop(bool release) {
  thread_.RequestStop();
  thread_.Join();
  // Only now: until the last renewal attempt has ended the watchdog is needed.
  watchdog_.RequestStop();
  watchdog_.Join();
  std::stop_source leading;
  bool was_leader = false;
  {
    const MutexLock lock(mutex_);
    ended_ = true;
    was_leader = std::exchange(leader_, false);
    leading = leading_;
  }
  EndFence();
  leading.request_stop();
  changed_.NotifyAll();
  if (was_leader && release) {
    Release();
  }
}

void LeaderElector::Run(const std::stop_token& stop) {
  const Context ctx(stop, services_.clock);
  while (!ctx.canceled()) {
    const SteadyTime started = services_.clock.SteadyNow();
    // Half the deadline for one attempt, so that one hanging connection does not use up all of it.
    const Attempt attempt = Guarded(ctx.WithTimeout(options_.renew_deadline / 2));
    if (ctx.canceled()) {
      return;
    }
    if (attempt == Attempt::kHeld) {
      Held(started);
    } else if (attempt == Attempt::kOther && WasElected()) {
      Lose("another replica holds the lease");
    }
    {
      const MutexLock lock(mutex_);
      if (ended_) {
        return;
      }
    }
    // Counted from the start: an attempt that hung has used up the pause already.
    ctx.SleepFor(started + options_.retry_period - services_.clock.SteadyNow());
  }
}

/// Ends leadership at the renew deadline whatever the renewal thread is stuck in.
void LeaderElector::Watch(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    const Wakeup::Ticket ticket = changed_.GetTicket();
    const SteadyTime now = services_.clock.SteadyNow();
    SteadyTime until = now + std::chrono::hours(1);
    bool overdue = false;
    {
      const MutexLock lock(mutex_);
      if (ended_) {
        return;
      }
      if (leader_) {
        until = renewed_at_ + options_.renew_deadline;
        overdue = now >= until;
      }
    }
    if (overdue) {
      Lose("the lease could not be renewed in time");
      return;
    }
    Wakeup::Wait(ticket, stop, services_.clock, until);
  }
}

LeaderElector::Attempt LeaderElector::Guarded(const Context& ctx) {
  try {
    return TryOnce(ctx);
  } catch (const std::exception& e) {  // a lease of a strange shape; the watchdog limits the damage
    CountPanic(services_.metrics, "leader");
    log_.Error("lease attempt failed", {{"error", e.what()}});
    return Attempt::kFailed;
  }
}

/// A renewal without looking first: the version that we wrote makes it fail when anybody else wrote
/// since. Nothing when the lease has to be looked at.
std::optional<LeaderElector::Attempt> LeaderElector::Renew(const Context& ctx) {
  if (!held_) {
    return std::nullopt;
  }
  const kube::KubeResult<kube::Lease> written =
      lease_.Update(ctx, HeldLease(options_, held_, services_.clock.SystemNow()));
  if (written) {
    held_ = *written;
    return Attempt::kHeld;
  }
  held_.reset();
  if (written.error().IsConflict() || written.error().IsNotFound()) {
    return std::nullopt;
  }
  if (!ctx.canceled()) {
    log_.Warn("lease cannot be renewed", {{"error", written.error().message()}});
  }
  return Attempt::kFailed;
}

LeaderElector::Attempt LeaderElector::TryOnce(const Context& ctx) {
  if (const std::optional<Attempt> renewed = Renew(ctx)) {
    return *renewed;
  }
  const kube::KubeResult<kube::Lease> read = lease_.Get(ctx);
  if (!read && !read.error().IsNotFound()) {
    if (!ctx.canceled()) {
      log_.Warn("lease cannot be read", {{"error", read.error().message()}});
    }
    return Attempt::kFailed;
  }
  if (!(read ? MayTake(*read) : MayCreate())) {
    return Attempt::kOther;
  }
  const std::optional<kube::Lease> current = read ? std::optional(*read) : std::nullopt;
  const kube::Lease wanted = HeldLease(options_, current, services_.clock.SystemNow());
  // The version that was read makes the write fail when anybody else was faster.
  const kube::KubeResult<kube::Lease> written =
      current ? lease_.Update(ctx, wanted) : lease_.Create(ctx, wanted);
  if (!written) {
    if (!written.error().IsConflict() && !ctx.canceled()) {
      log_.Warn("lease cannot be written", {{"error", written.error().message()}});
    }
    return Attempt::kFailed;
  }
  held_ = *written;
  return Attempt::kHeld;
}

/// Whether the lease is ours, free, or has been seen unchanged for as long as its holder asked for.
bool LeaderElector::MayTake(const kube::Lease& lease) {
  // After the request: the holder renewed before that, so this errs on the late side.
  const SteadyTime now = services_.clock.SteadyNow();
  if (lease.resource_version != observed_version_) {
    observed_version_ = lease.resource_version;
    observed_at_ = now;
  }
  if (lease.holder.empty() || lease.holder == options_.identity) {
    return true;
  }
  const auto wait = lease.duration.count() > 0 ? lease.duration : options_.lease_duration;
  return now - observed_at_ >= wait;
}

/// Whether the lease, which is not there, may be created: at once by who never saw one and by the
/// leader; by others only when the holder of the deleted one has stopped for sure.
bool LeaderElector::MayCreate() {
  if (WasElected() || !observed_version_) {
    return true;
  }
  const SteadyTime now = services_.clock.SteadyNow();
  if (!observed_version_->empty()) {
    observed_version_ = "";
    observed_at_ = now;
  }
  return now - observed_at_ >= options_.lease_duration;
}

void LeaderElector::Held(SteadyTime started) {
  bool elected = false;
  {
    const MutexLock lock(mutex_);
    // A reply that comes after the deadline is no right to work: others may have waited long
    // enough.
    if (ended_ || services_.clock.SteadyNow() >= started + options_.renew_deadline) {
      return;
    }
    renewed_at_ = started;
    if (held_ && held_->acquire_time) {
      term_ =
          std::chrono::duration_cast<std::chrono::seconds>(held_->acquire_time->time_since_epoch())
              .count();
    }
    elected = !std::exchange(leader_, true);
    if (options_.fence != nullptr) {
      options_.fence->OpenUntil(started + options_.renew_deadline);
    }
  }
  if (elected) {
    log_.Info("this replica leads now");
    changed_.NotifyAll();
  }
}

void LeaderElector::Lose(std::string_view why) {
  std::stop_source leading;
  {
    const MutexLock lock(mutex_);
    if (ended_) {
      return;
    }
    leader_ = false;
    ended_ = true;
    leading = leading_;
  }
  EndFence();
  leading.request_stop();
  changed_.NotifyAll();
  log_.Error("leadership lost", {{"why", why}});
  if (on_lost_) {
    on_lost_();
  }
}

void LeaderElector::EndFence() {
  if (options_.fence != nullptr) {
    options_.fence->End();
  }
}

void LeaderElector::Release() {
  // Not cancelled by the stop that got us here, but short: the process wants to end.
  const Context ctx =
      Context(std::stop_token(), services_.clock).WithTimeout(options_.renew_deadline / 2);
  const kube::KubeResult<kube::Lease> current = lease_.Get(ctx);
  if (!current || current->holder != options_.identity) {
    return;
  }
  kube::Lease free = *current;
  free.holder.clear();
  free.duration = std::chrono::seconds(1);  // the API demands a value above zero
  free.renew_time = services_.clock.SystemNow();
  const kube::KubeResult<kube::Lease> released = lease_.Update(ctx, free);
  if (released) {
    log_.Info("lease released");
  } else {
    log_.Warn("lease not released, the next leader has to wait for it",
              {{"error", released.error().message()}});
  }
}

}  // namespace breakwater::runtime
