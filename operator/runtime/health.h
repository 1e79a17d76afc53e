#pragma once

/// Health: what /livez and /readyz answer.
///
/// Live: no worker has been busy with one piece of work for longer than it may (then a restart
/// helps). Ready: all registered checks hold (stores synced); not "is
/// leader", so that standby replicas are ready too.

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "operator/base/clock.h"
#include "operator/base/thread_annotations.h"

namespace breakwater::runtime {

/// Answer of a probe: HTTP 200 when ok, else 503; `text` names what is wrong, one per line.
struct HealthReport {
  bool ok = true;
  std::string text{};
};

/// Thread safety: all methods may be called from any thread.
class Health {
 public:
  explicit Health(const Clock& clock) : clock_(clock) {}

  /// The pulse of one thread. Busy(): a piece of work begins (or makes progress); Idle(): it ended.
  class Heartbeat {
   public:
    Heartbeat(const Clock& clock, std::string name, std::chrono::nanoseconds limit)
        : clock_(clock), name_(std::move(name)), limit_(limit) {}

    void Busy();
    void Idle();

   private:
    friend class Health;
    bool Late(SteadyTime now) const;

    const Clock& clock_;
    const std::string name_;
    const std::chrono::nanoseconds limit_;
    mutable Mutex mutex_;
    std::optional<SteadyTime> busy_since_ BREAKWATER_GUARDED_BY(mutex_);
  };

  /// `limit`: longest time that one piece of work may take. The heartbeat ends with the last owner.
  std::shared_ptr<Heartbeat> AddHeartbeat(const std::string& name, std::chrono::nanoseconds limit);

  /// `check` returns nothing when ready, else what is missing. It must stay valid until removed.
  void AddReadyCheck(const std::string& name, std::function<std::optional<std::string>()> check);
  /// When it returns, the check is not running and will not run again.
  void RemoveReadyCheck(const std::string& name);

  HealthReport Live() const;
  HealthReport Ready() const;

 private:
  const Clock& clock_;
  mutable Mutex mutex_;
  std::vector<std::weak_ptr<Heartbeat>> heartbeats_ BREAKWATER_GUARDED_BY(mutex_);
  std::map<std::string, std::function<std::optional<std::string>()>> checks_
      BREAKWATER_GUARDED_BY(mutex_);
};

}  // namespace breakwater::runtime
